/**
 * How the demo asks its own node: a real query over UDP, marked so that the narration doesn't tell of it.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { decodeMessage, encodeQuery, type Message } from "../wire/message.ts";
import type { Answers } from "./narration.ts";

/** An EDNS option number for local use (RFC 6891 §9); servers ignore what they do not know. */
const MARK = 65_044;

/** A lost datagram on loopback means that nothing listens. */
const TIMEOUT_MS = 2_000;

/** Whether this query was asked by `askAll`. */
export function isOwnQuery(query: Message): boolean {
  return query.edns?.options.some(({ code }) => code === MARK) ?? false;
}

/** What is asked. */
export interface OwnQuestion {
  /** Presentation form. */
  readonly domain: string;
  /** The type's number. */
  readonly type: number;
}

/**
 * Asks each name `times` times and gathers the addresses, in order of their text.
 *
 * @throws {Deno.errors.TimedOut} when an answer doesn't come
 */
export async function askAll(
  server: SocketAddress,
  questions: readonly OwnQuestion[],
  times: number,
): Promise<Answers[]> {
  const answers: Answers[] = [];
  for (const question of questions) {
    const addresses = new Set<string>();
    for (let i = 0; i < times; i++) {
      for (const { type, data } of (await ask(server, question)).answers) {
        if (type === question.type) addresses.add(data);
      }
    }
    answers.push({ domain: question.domain, addresses: [...addresses].sort() });
  }
  return answers;
}

async function ask({ hostname, port }: SocketAddress, { domain, type }: OwnQuestion): Promise<Message> {
  const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  const edns = { udpSize: 1232, options: [{ code: MARK, data: new Uint8Array() }] };
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: hostname.includes(":") ? "::1" : "127.0.0.1",
    port: 0,
  });
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  const timer = setTimeout(close, TIMEOUT_MS);
  try {
    await socket.send(encodeQuery({ id, name: domain, type, edns }), { transport: "udp", hostname, port });
    for (;;) {
      const message = decodeMessage((await socket.receive())[0]);
      if (message.id === id) return message;
    }
  } catch (cause) {
    if (isOpen) throw cause;
    throw new Deno.errors.TimedOut(`The node did not answer for ${domain} within ${TIMEOUT_MS} ms`, {
      cause,
    });
  } finally {
    clearTimeout(timer);
    close();
  }
}
