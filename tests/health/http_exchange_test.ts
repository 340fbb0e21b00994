/**
 * Responses cut into pieces at every place: what a network may do and a test over a real socket can't force.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
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

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const KIB = 1024;
/** What a hostile backend says without end → what is said of it, and the bytes after which it is. */
const ENDLESS: [name: string, begin: string, piece: string, error: string | null, sizeMax: number][] = [
  [
    "chunks of a byte",
    CHUNKED,
    "1\r\nx\r\n".repeat(2500),
    "chunks take more than 256 KiB beside the body",
    400 * KIB,
  ],
  [
    "extensions of chunks",
    CHUNKED,
    `1;${"e".repeat(4000)}\r\nx\r\n`.repeat(4),
    "chunks take more than 256 KiB beside the body",
    300 * KIB,
  ],
  [
    "one extension",
    `${CHUNKED}1;`,
    "e".repeat(16 * KIB),
    "chunks take more than 256 KiB beside the body",
    300 * KIB,
  ],
  [
    "chunks of which each is a read",
    CHUNKED,
    "1\r\nx\r\n",
    "response comes in more than 4096 pieces",
    64 * KIB,
  ],
  [
    "a body of which each byte is a read",
    `${OK}\r\n`,
    "x",
    "response comes in more than 4096 pieces",
    64 * KIB,
  ],
  [
    "a header of which each byte is a read",
    `${OK}a: `,
    "x",
    "response comes in more than 4096 pieces",
    64 * KIB,
  ],
  ["headers", OK, "a: b\r\n".repeat(2500), "response head is longer than 64 KiB", 96 * KIB],
  ["one header", `${OK}a: `, "x".repeat(16 * KIB), "response head is longer than 64 KiB", 96 * KIB],
  [
    "interim responses",
    "",
    "HTTP/1.1 100 C\r\n\r\n".repeat(900),
    "response head is longer than 64 KiB",
    96 * KIB,
  ],
  ["a body", `${OK}\r\n`, "x".repeat(16 * KIB), null, 1100 * KIB],
  ["a chunk", `${CHUNKED}ffffffffffff\r\n`, "x".repeat(16 * KIB), null, 1100 * KIB],
];
for (const [name, begin, piece, error, sizeMax] of ENDLESS) {
  Deno.test(`exchange() makes an end of a backend that says ${name} without one`, async () => {
    const stream = new Endless(encode(begin), encode(piece));
    using calls = new CallCount();
    const turns = new AbortController();
    const turning = turnsUntil(turns.signal);
    const outcome = await exchange(stream, looking("ready")).then(
      ({ body }) => body,
      ({ message }) => message,
    );
    turns.abort();
    assert.equal(outcome, error ?? "too-long");
    assert.ok(stream.taken <= sizeMax, `${stream.taken} bytes taken`);
    // The work is done by the read, whatever the reads hold.
    assert.ok(
      calls.count <= 2 * stream.reads + 10,
      `${calls.count} searches and copies in ${stream.reads} reads`,
    );
    // This stream never waits, as little as a socket that always has something.
    const turnsMin = Math.max(stream.taken / (128 * KIB), stream.reads / 128);
    assert.ok(await turning >= Math.floor(turnsMin), `of ${turnsMin} turns`);
  });
}

Deno.test("exchange() takes chunks of every size, and extensions, as long as they are few", async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i} of a log that is not ready\n`);
  const chunks = lines.map((line, i) =>
    `${line.length.toString(16)}${i % 9 === 0 ? ";a=b" : ""}\r\n${line}\r\n`
  );
  const response = encode(`${CHUNKED}${chunks.join("")}6\r\nREADY!\r\n0\r\n\r\n`);
  const result = await exchange(new Pieces(response, () => 1400), looking("READY!"));
  assert.deepEqual(result, { status: 200, body: "found" });
});

for (
  const [body, message] of [
    ["5\r\nready!\r\n", "a chunk is longer than it says"],
    ["\r\n", 'bad chunk size: ""'],
    [";x\r\n", 'bad chunk size: ";x"'],
    ["5x\r\nready\r\n", 'bad chunk size: "5x"'],
    ["1000000000000\r\n", 'bad chunk size: "1000000000000"'],
  ] as const
) {
  Deno.test(`exchange() refuses the chunk ${JSON.stringify(body)}`, async () => {
    const stream = new Pieces(encode(`${CHUNKED}${body}`), () => 1000);
    await assert.rejects(exchange(stream, looking("nothing")), { name: "HttpSyntaxError", message });
  });
}

/** Says how often the event loop turned. */
async function turnsUntil(signal: AbortSignal): Promise<number> {
  for (let turns = 0;; turns++) {
    await setImmediate();
    if (signal.aborted) return turns;
  }
}

/** Counts searches in buffers and copies of them while it lives. */
class CallCount implements Disposable {
  readonly #includes = Buffer.prototype.includes;
  readonly #concat = Buffer.concat;
  count = 0;

  constructor() {
    Buffer.prototype.includes = this.#counted(this.#includes);
    Buffer.concat = this.#counted(this.#concat);
  }

  #counted<This, Arguments extends unknown[], Result>(act: (this: This, ...given: Arguments) => Result) {
    const count = () => this.count++;
    return function (this: This, ...given: Arguments): Result {
      count();
      return act.apply(this, given);
    };
  }

  [Symbol.dispose](): void {
    Buffer.prototype.includes = this.#includes;
    Buffer.concat = this.#concat;
  }
}

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

/** Says the same without end, and always at once. */
class Endless implements ByteStream {
  readonly #begin: Uint8Array;
  readonly #piece: Uint8Array;
  reads = 0;
  taken = 0;

  constructor(begin: Uint8Array, piece: Uint8Array) {
    this.#begin = begin;
    this.#piece = piece;
  }

  read(): Promise<Uint8Array> {
    const bytes = this.reads++ === 0 && this.#begin.length > 0 ? this.#begin : this.#piece;
    this.taken += bytes.length;
    return Promise.resolve(bytes);
  }

  write(): Promise<void> {
    return Promise.resolve();
  }
}
