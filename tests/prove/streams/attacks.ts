/**
 * What a client may do with a TCP connection, from the ordinary to the hostile. Each attack knows what it must be
 * answered.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { framed } from "../../dns/clients.ts";
import type { Mutator } from "../../dns/mutate.ts";
import { query } from "../../dns/packets.ts";
import { Client } from "./client.ts";

/** One connection to be made. */
export interface Attempt {
  readonly server: SocketAddress;
  /** Which one it is, from 0: what goes through all values goes by it. */
  readonly number: number;
  readonly mutator: Mutator;
}

/** Makes a connection; says what went wrong, `null` = nothing did. */
export type Attack = (attempt: Attempt) => Promise<string | null>;

/** All of them; each is as likely as any other. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  split: async ({ server, number }) => {
    using client = await Client.connect(server);
    const bytes = framed(good(1), good(2), good(3));
    const cut = number % (bytes.length + 1);
    await client.send(bytes.subarray(0, cut));
    await turn();
    await client.send(bytes.subarray(cut));
    return await client.expect(3);
  },
  dripped: async ({ server }) => {
    using client = await Client.connect(server);
    for (const byte of framed(good(1))) await client.send(new Uint8Array([byte]));
    return await client.expect(1);
  },
  halfClosed: async ({ server, mutator }) => {
    using client = await Client.connect(server);
    const count = 1 + mutator.below(8);
    await client.send(framed(...ids(count).map(good)));
    await client.closeWrite();
    return await client.expect(count) ?? await client.expectEnd();
  },
  halfAMessage: async ({ server, number }) => {
    using client = await Client.connect(server);
    const bytes = framed(good(1));
    await client.send(bytes.subarray(0, number % bytes.length));
    await client.closeWrite();
    return await client.expectEnd();
  },
  reset: async ({ server, mutator }) => {
    // What is closed with answers unread is reset.
    using client = await Client.connect(server);
    await client.send(framed(...ids(1 + mutator.below(64)).map(large)));
    if (mutator.below(2) === 0) await client.readSome();
    return null;
  },
  leftAtOnce: async ({ server }) => {
    using _client = await Client.connect(server);
    return null;
  },
  noQuery: async ({ server, mutator }) => {
    using client = await Client.connect(server);
    const bytes = framed(good(1), good(2).with(2, 0x80 | mutator.below(128)));
    const more = new Uint8Array(MORE[mutator.below(MORE.length)]!);
    const parts = mutator.below(2) === 0 ? [bytes, more] : [new Uint8Array([...bytes, ...more])];
    for (const part of parts) await client.send(part).catch(Client.expectClosed);
    return await client.expect(1) ?? await client.expectEnd();
  },
  empty: async ({ server, mutator }) => {
    using client = await Client.connect(server);
    await client.send(framed(good(1), new Uint8Array(mutator.below(12)), good(2)));
    return await client.expect(1) ?? await client.expectEnd();
  },
  longest: async ({ server, mutator }) => {
    using client = await Client.connect(server);
    const message = new Uint8Array(65_535);
    message.set(good(1));
    const bytes = framed(message);
    if (mutator.below(2) === 0) {
      await client.send(bytes);
      return await client.expect(1);
    }
    await client.send(bytes.subarray(0, mutator.below(bytes.length)));
    return null;
  },
  garbage: async ({ server, mutator }) => {
    using client = await Client.connect(server);
    await client.send(framed(good(1)));
    const wrong = await client.expect(1);
    const bytes = new Uint8Array(1 + mutator.below(5000)).map(() => mutator.below(256));
    await client.send(bytes).catch(Client.expectClosed);
    await client.closeWrite().catch(Client.expectClosed);
    return wrong ?? await client.expectEnd();
  },
  mutated: async ({ server, mutator }) => {
    using client = await Client.connect(server);
    const messages = Array.from({ length: 1 + mutator.below(16) }, () => mutator.next().slice());
    await client.send(framed(...messages)).catch(Client.expectClosed);
    await client.closeWrite().catch(Client.expectClosed);
    return await client.expectEnd();
  },
  pipelined: async ({ server }) => {
    using client = await Client.connect(server);
    await client.send(framed(...ids(QUERIES_MAX).map(good)));
    return await client.expect(QUERIES_MAX);
  },
};

/** Bytes behind what is no query; 1,024 is the room that a connection begins with. */
const MORE = [0, 1, 900, 1022, 1023, 1024, 1025, 2048, 5000, 70_000];

/** Most queries of a kind on one connection. */
const QUERIES_MAX = 500;
// Made once: to write a query costs more than to answer it.
const [GOOD, LARGE] = ["www.example.com", "large.example.com"].map((name) =>
  Array.from({ length: QUERIES_MAX + 1 }, (_, id) => query(name, "A", { id }))
);
const good = (id: number) => GOOD![id]!;
const large = (id: number) => LARGE![id]!;
const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** What a client does next isn't in the same packet as what it did before. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
