/**
 * Asks for addresses, many at once: queries without a number of their own get one by their place in the batch, so that each
 * answer finds its query.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";

/** A UDP client of one server. */
export class Asker implements Disposable {
  /** Queries that are best asked at once. */
  static readonly batch = 64;
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #to: Deno.NetAddr;
  readonly #buffer = new Uint8Array(4096);

  /** Asks this server. */
  constructor({ hostname, port }: SocketAddress) {
    this.#to = { transport: "udp", hostname, port };
  }

  /** The address at the end of each answer, in the order of the queries: each has one A record, or none (empty). */
  async ask(packets: readonly Uint8Array[]): Promise<string[]> {
    for (const [i, packet] of packets.entries()) {
      const numbered = packet.slice();
      numbered[0] = i >> 8;
      numbered[1] = i & 255;
      await this.#socket.send(numbered, this.#to);
    }
    const addresses = new Array<string>(packets.length);
    for (let left = packets.length; left > 0; left--) {
      const [answer] = await this.#socket.receive(this.#buffer);
      addresses[answer[0]! << 8 | answer[1]!] = firstAddress(answer);
    }
    return addresses;
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** The data of the first answer record, which begins with a pointer to the question's name. */
function firstAddress(answer: Uint8Array): string {
  if ((answer[6]! << 8 | answer[7]!) === 0) return "";
  let at = 12;
  while (answer[at] !== 0) at += answer[at]! + 1;
  const data = at + 1 + 4 + 12;
  return answer.subarray(data, data + 4).join(".");
}
