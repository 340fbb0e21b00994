/**
 * Responses cut into pieces at every place: what a network may do and a test over a real socket can't force.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { type ByteStream, exchange, HttpSyntaxError } from "../../src/health/http_exchange.ts";

const encode = (text: string) => new TextEncoder().encode(text);

const RESPONSES: [name: string, response: string, body: "found" | "missing"][] = [
  ["Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nit is ready", "found"],
  ["a text that begins twice", "HTTP/1.1 200 OK\r\n\r\nrereadready", "found"],
  ["a text cut short", "HTTP/1.1 200 OK\r\n\r\nread", "missing"],
  [
    "chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nit r\r\n3;x\r\nead\r\n1\r\ny\r\n0\r\n\r\n",
    "found",
  ],
  [
    "chunks without the text",
    "HTTP/1.1 200 OK\r\ntransfer-encoding:chunked\r\n\r\n4\r\nread\r\n0\r\n\r\n",
    "missing",
  ],
  ["an interim response", "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\n\nready", "found"],
];

for (const [name, response, body] of RESPONSES) {
  Deno.test(`exchange() reads ${name} however it is cut`, async () => {
    const bytes = encode(response);
    for (let first = 1; first <= bytes.length; first++) {
      for (let rest = 1; rest <= 9; rest++) {
        const result = await exchange(new Pieces(bytes, (i) => i === 0 ? first : rest), looking("ready"));
        assert.deepEqual(result, { status: 200, body }, `cut after ${first}, then every ${rest}`);
      }
    }
  });
}

Deno.test("exchange() ends on mutated responses with a result or a HttpSyntaxError, and reads a bounded amount", async () => {
  const rng = seededRng(0x5eed1234);
  for (let round = 0; round < 20_000; round++) {
    const bytes = encode(RESPONSES[rng() % RESPONSES.length]![1]);
    for (let n = rng() % 4; n >= 0; n--) bytes[rng() % bytes.length] = rng();
    try {
      const { status } = await exchange(new Pieces(bytes, () => 1 + rng() % 40), looking("ready"));
      assert.ok(status >= 101 && status <= 599, String(status));
    } catch (error) {
      assert.ok(error instanceof HttpSyntaxError, String(error));
      assert.match(error.message, /^[\x20-\x7e…]{1,120}$/u);
    }
  }
});

Deno.test("exchange() stops reading once the text is found", async () => {
  const stream = new Pieces(encode(`HTTP/1.1 200 OK\r\n\r\nready${"x".repeat(10_000)}`), () => 100);
  await exchange(stream, looking("ready"));
  assert.equal(stream.reads, 1);
});

function looking(text: string) {
  return { request: encode("GET / HTTP/1.1\r\n\r\n"), needle: encode(text), hasBody: true };
}

/** Gives bytes in pieces, each in the same buffer, as a socket does. */
class Pieces implements ByteStream {
  readonly #bytes: Uint8Array;
  readonly #sizeOf: (index: number) => number;
  readonly #buffer = new Uint8Array(16 * 1024);
  #offset = 0;
  reads = 0;

  constructor(bytes: Uint8Array, sizeOf: (index: number) => number) {
    this.#bytes = bytes;
    this.#sizeOf = sizeOf;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#offset === this.#bytes.length) return Promise.resolve(null);
    const piece = this.#bytes.subarray(this.#offset, this.#offset + this.#sizeOf(this.reads++));
    this.#offset += piece.length;
    this.#buffer.fill(0).set(piece);
    return Promise.resolve(this.#buffer.subarray(0, piece.length));
  }

  write(): Promise<void> {
    return Promise.resolve();
  }
}
