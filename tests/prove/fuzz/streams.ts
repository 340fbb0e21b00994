/**
 * Mutated messages over TCP: several at a time on one connection, torn in two at any place, now and then left half
 * sent. The server ends a connection on which something else than a query comes; such a message goes last, then.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { framed, TcpClient } from "../../dns/clients.ts";
import { describe, judge, mayBeAnswered } from "../../dns/judge.ts";
import type { Mutator } from "../../dns/mutate.ts";

/** What to send, and where. */
export interface Streamed {
  readonly server: SocketAddress;
  readonly mutator: Mutator;
  /** Messages. */
  readonly count: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Messages of one connection. */
const TOGETHER_MAX = 32;
/** One connection in so many is left in the midst of a message. */
const LEFT_SHARE = 8;
/** The answers of a connection that take longer don't come. */
const SILENCE_MAX_MS = 5000;

/** Sends and judges; says what went wrong first, `null` = nothing did. */
export async function pumpStreams({ server, mutator, count, signal }: Streamed): Promise<string | null> {
  for (let sent = 0; sent < count && !signal.aborted;) {
    const messages = together(mutator);
    sent += messages.length;
    const fault = await overOneConnection(server, messages, mutator);
    if (fault !== null) return fault;
  }
  return null;
}

/** Messages that are answered, and at most one at the end that isn't. */
function together(mutator: Mutator): Uint8Array[] {
  const messages: Uint8Array[] = [];
  do messages.push(mutator.next().slice()); while (
    messages.length < TOGETHER_MAX && mayBeAnswered(messages.at(-1)!)
  );
  return messages;
}

async function overOneConnection(
  server: SocketAddress,
  messages: readonly Uint8Array[],
  mutator: Mutator,
): Promise<string | null> {
  const bytes = framed(...messages);
  const torn = mutator.below(bytes.length + 1);
  const isLeft = mutator.below(LEFT_SHARE) === 0;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<string>((resolve) => {
    waiting = setTimeout(
      resolve,
      SILENCE_MAX_MS,
      describe(`not all was answered over TCP within ${SILENCE_MAX_MS / 1000} s`, bytes, null),
    );
  });
  const answered = async () => {
    using client = await TcpClient.connect(server);
    await client.write(bytes.subarray(0, torn));
    await client.write(bytes.subarray(torn));
    for (const message of messages) {
      const answer = await client.read();
      const fault = judge({ query: message, answer, stream: true });
      if (fault !== null) return describe(`${fault} (over TCP)`, message, answer);
    }
    if (isLeft && mayBeAnswered(messages.at(-1)!)) await client.write(bytes.subarray(0, 1));
    return null;
  };
  try {
    return await Promise.race([
      answered().catch((error) => describe(`over TCP: ${error}`, bytes, null)),
      silence,
    ]);
  } finally {
    clearTimeout(waiting);
  }
}
