/**
 * What a client may do with a connection to the ports of DNS over TLS and over HTTPS, and what isn't spoken on a port but
 * sent to it. Each attack knows what it must be answered.
 *
 * @module
 */
import { framed } from "../../dns/clients.ts";
import type { Mutator } from "../../dns/mutate.ts";
import { query } from "../../dns/packets.ts";
import { Client } from "./client.ts";

/** The ports of a node, and who vouches for it. */
export interface Ports {
  readonly tcp: number;
  readonly tls: number;
  readonly https: number;
  readonly caCerts: string[];
}

/** One connection to be made. */
export interface EncryptedAttempt {
  readonly hostname: string;
  readonly ports: Ports;
  /** Which one it is, from 0: what goes through all values goes by it. */
  readonly number: number;
  readonly mutator: Mutator;
}

/** Makes a connection; says what went wrong, `null` = nothing did. */
export type EncryptedAttack = (attempt: EncryptedAttempt) => Promise<string | null>;

/** All of them; each is as likely as any other. */
export const ENCRYPTED_ATTACKS: Readonly<Record<string, EncryptedAttack>> = {
  splitOverTls: async ({ hostname, ports, number }) => {
    using client = await Client.connectTls({ hostname, port: ports.tls }, ports, "dot");
    const bytes = framed(good(1), good(2), good(3));
    const cut = number % (bytes.length + 1);
    await client.send(bytes.subarray(0, cut));
    await turn();
    await client.send(bytes.subarray(cut));
    return await client.expect(3);
  },
  pipelinedOverTls: async ({ hostname, ports, mutator }) => {
    using client = await Client.connectTls({ hostname, port: ports.tls }, ports, "dot");
    const count = 1 + mutator.below(QUERIES_MAX);
    await client.send(framed(...Array.from({ length: count }, (_, i) => good(i + 1))));
    return await client.expect(count);
  },
  halfAMessageOverTls: async ({ hostname, ports, number }) => {
    using client = await Client.connectTls({ hostname, port: ports.tls }, ports, "dot");
    const bytes = framed(good(1));
    await client.send(bytes.subarray(0, number % bytes.length));
    await client.closeWrite();
    return await client.expectEnd();
  },
  mutatedOverTls: async ({ hostname, ports, mutator }) => {
    using client = await Client.connectTls({ hostname, port: ports.tls }, ports, "dot");
    const messages = Array.from({ length: 1 + mutator.below(8) }, () => mutator.next().slice());
    await client.send(framed(...messages)).catch(Client.expectClosed);
    await client.closeWrite().catch(Client.expectClosed);
    return await client.expectEnd();
  },
  leftInTheHandshake: async ({ hostname, ports, number }) => {
    const port = number % 2 === 0 ? ports.tls : ports.https;
    using client = await Client.connect({ hostname, port });
    await client.send(CLIENT_HELLO.subarray(0, 1 + number % CLIENT_HELLO.length));
    return null;
  },
  foreign: async ({ hostname, ports, number, mutator }) => {
    const names = Object.keys(FOREIGN);
    const name = names[number % names.length]!;
    const port = [ports.tcp, ports.tls, ports.https][mutator.below(3)]!;
    const bytes = FOREIGN[name]!;
    using client = await Client.connect({ hostname, port });
    const cut = mutator.below(bytes.length + 1);
    await client.send(bytes.subarray(0, cut)).catch(Client.expectClosed);
    await turn();
    await client.send(bytes.subarray(cut)).catch(Client.expectClosed);
    await client.closeWrite().catch(Client.expectClosed);
    return await client.expectEnd();
  },
  splitRequest: async ({ hostname, ports, number }) => {
    using client = await Client.connectTls({ hostname, port: ports.https }, ports, "http/1.1");
    const bytes = post(good(1));
    const cut = number % (bytes.length + 1);
    await client.send(bytes.subarray(0, cut));
    await turn();
    await client.send(bytes.subarray(cut));
    return await client.expectStatus(200);
  },
  badRequest: async ({ hostname, ports, number }) => {
    using client = await Client.connectTls({ hostname, port: ports.https }, ports, "http/1.1");
    const [status, bytes] = BAD_REQUESTS[number % BAD_REQUESTS.length]!;
    await client.send(bytes).catch(Client.expectClosed);
    return await client.expectStatus(status);
  },
  halfARequest: async ({ hostname, ports, number }) => {
    using client = await Client.connectTls({ hostname, port: ports.https }, ports, "http/1.1");
    const bytes = post(good(1));
    await client.send(bytes.subarray(0, number % bytes.length));
    await client.closeWrite();
    return await client.expectEnd();
  },
  noHttp2: async ({ hostname, ports, mutator }) => {
    using client = await Client.connectTls({ hostname, port: ports.https }, ports, "h2");
    const bytes = new Uint8Array(1 + mutator.below(2000)).map(() => mutator.below(256));
    const opening = mutator.below(2) === 0 ? H2_PREFACE : new Uint8Array(0);
    await client.send(new Uint8Array([...opening, ...bytes])).catch(Client.expectClosed);
    await client.closeWrite().catch(Client.expectClosed);
    return await client.expectEnd();
  },
};

/** Most queries on one connection over TLS. */
const QUERIES_MAX = 50;
const GOOD = Array.from({ length: QUERIES_MAX + 1 }, (_, id) => query("www.example.com", "A", { id }));
const good = (id: number) => GOOD[id]!;
const text = (said: string) => new TextEncoder().encode(said);
const H2_PREFACE = text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** A record of a handshake with a ClientHello of TLS 1.2 in it (RFC 5246 §7.4.1.2), with one cipher suite. */
const CLIENT_HELLO = Uint8Array.fromHex(
  `16030100310100002d0303${"5a".repeat(32)}0000041301c02b0100`.padEnd(2 * (5 + 0x31), "0"),
);
/** What is spoken elsewhere. */
const FOREIGN: Readonly<Record<string, Uint8Array>> = {
  clientHello: CLIENT_HELLO,
  proxy1: text("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"),
  proxy2: Uint8Array.fromHex("0d0a0d0a000d0a515549540a2111000cc0000201c0000202dc0401bb"),
  http: text("GET /dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB HTTP/1.1\r\nHost: a\r\n\r\n"),
  http2: H2_PREFACE,
  ssh: text("SSH-2.0-OpenSSH_9.9\r\n"),
};

function post(message: Uint8Array, type = "application/dns-message"): Uint8Array {
  const head = `POST /dns-query HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n` +
    `Content-Length: ${message.length}\r\n\r\n`;
  return new Uint8Array([...text(head), ...message]);
}

function get(path: string): Uint8Array {
  return text(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
}

/** Requests, and the status of each (RFC 8484 §4.2). */
const BAD_REQUESTS: readonly (readonly [status: number, bytes: Uint8Array])[] = [
  [400, get("/dns-query")],
  [400, get("/dns-query?dns=not+base64url/")],
  [400, get("/dns-query?dns=AAAB")],
  [400, get("/dns-query?dns=AAABAAAB&dns=AAABAAAB")],
  [404, get("/")],
  [413, post(new Uint8Array(65_536))],
  [415, post(good(1), "text/plain")],
  [400, post(new Uint8Array(5))],
];

/** What a client does next isn't in the same packet as what it did before. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
