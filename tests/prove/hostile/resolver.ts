/**
 * A resolver whose answers are malformed, each in another way (RFC 1035 §4.1): other classes with empty and odd record
 * data, lengths beyond the end, pointers in circles, noise.
 *
 * @module
 */

/** What stands behind the owner of the one record, from TYPE on. */
const RECORDS: readonly (readonly number[])[] = [
  [0, 1, 0, 3, 0, 0, 0, 9, 0, 0], // A, class CH, nothing
  [0, 1, 0, 3, 0, 0, 0, 9, 0, 3, 1, 2, 3], // A, class CH, three bytes
  [0, 28, 0, 3, 0, 0, 0, 9, 0, 0], // AAAA, class CH, nothing
  [0, 6, 0, 3, 0, 0, 0, 9, 0, 0], // SOA, class CH, nothing
  [0, 1, 0, 1, 0, 0, 0, 9, 0, 5, 1, 2, 3, 4, 5], // A of five bytes
  [0, 1, 0, 1, 0, 0, 0, 9, 255, 255, 1], // longer than the message
  [0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 192, 12], // CNAME to itself
  [0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 192, 255], // CNAME beyond the end
];

/** Answers over UDP until it is disposed. */
export class HostileResolver implements AsyncDisposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #serving = this.#serve();
  #asked = 0;

  /** On 127.0.0.1. */
  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    for await (const [query, client] of this.#socket) {
      await this.#socket.send(this.#answer(query), client).catch(() => {}); // the asker may be gone
    }
  }

  #answer(query: Uint8Array): Uint8Array {
    const number = this.#asked++ % (RECORDS.length + 1);
    const record = RECORDS[number];
    if (record === undefined) {
      return crypto.getRandomValues(new Uint8Array(64)).with(0, query[0]!).with(1, query[1]!);
    }
    // The question ends with its type and class, before any OPT record.
    let end = 12;
    while (query[end] !== 0) end += query[end]! + 1;
    const question = query.subarray(12, end + 5);
    const section = number % 2 === 0 ? [0, 1, 0, 0] : [0, 0, 0, 1];
    return Uint8Array.of(
      ...[query[0]!, query[1]!, 0x81, 0x80, 0, 1, ...section, 0, 0],
      ...question,
      ...[192, 12, ...record],
    );
  }
}
