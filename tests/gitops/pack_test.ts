/** @module Packs made by hand: what a Git server wouldn't send, and what a hostile one would. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { applyDelta, type GitObject, idOf, readPack, readPacked } from "../../src/gitops/pack.ts";
import { RepositoryError } from "../../src/gitops/repository.ts";
import { failure } from "./opened.ts";

const text = (content: string) => new TextEncoder().encode(content);
const blob = (content: string): GitObject => ({ kind: "blob", bytes: text(content) });

/** Kind and size before an object; `size` may be a lie. */
function header(type: number, size: number): number[] {
  const bytes = [(type << 4) | (size & 15)];
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1]! |= 128;
    bytes.push(rest & 127);
  }
  return bytes;
}

interface Part {
  readonly type: number;
  readonly content: Uint8Array;
  readonly size?: number;
  readonly base?: readonly number[];
}

function entry({ type, content, size = content.length, base = [] }: Part): Uint8Array {
  return new Uint8Array([...header(type, size), ...base, ...deflateSync(content)]);
}

/** A pack with a right checksum. */
function packed(entries: readonly Uint8Array[], count = entries.length): Uint8Array {
  const head = new Uint8Array([...text("PACK"), 0, 0, 0, 2, ...new Uint8Array(4)]);
  new DataView(head.buffer).setUint32(8, count);
  const body = joined([head, ...entries]);
  return joined([body, createHash("sha1").update(body).digest()]);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

function varint(value: number): number[] {
  const bytes = [value & 127];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1]! |= 128;
    bytes.push(rest & 127);
  }
  return bytes;
}

/** A difference that copies the whole base a number of times; the base is smaller than 64 KiB times 256. */
function repeated(baseSize: number, times: number): Uint8Array {
  const copy = [0b1111_0000, baseSize & 255, (baseSize >> 8) & 255, baseSize >> 16];
  return new Uint8Array([
    ...varint(baseSize),
    ...varint(baseSize * times),
    ...Array.from({ length: times }, () => copy).flat(),
  ]);
}

const BOUNDS = { objects: 1000, objectBytes: 1 << 20, unpackedBytes: 16 << 20 };

function read(pack: Uint8Array, before: readonly GitObject[] = []) {
  const known = new Map(before.map((object) => [idOf("sha1", object), object]));
  return readPack(pack, {
    hash: "sha1",
    bounds: BOUNDS,
    before: (id) => known.get(id) ?? null,
    breathe: () => Promise.resolve(),
  });
}

const [BLOB, OFFSET, REFERENCE] = [3, 6, 7];

Deno.test("whole objects and differences are read, wherever their bases stand", async () => {
  const base = blob("one two three ");
  const far = blob("four five six ");
  const id = (object: GitObject) => [...Uint8Array.fromHex(idOf("sha1", object))];
  const whole = entry({ type: BLOB, content: base.bytes });
  const pack = packed([
    // Its base stands after it.
    entry({ type: REFERENCE, content: repeated(14, 2), base: id(base) }),
    whole,
    entry({ type: OFFSET, content: repeated(14, 3), base: [whole.length] }),
    // Its base isn't in the pack at all.
    entry({ type: REFERENCE, content: repeated(14, 4), base: id(far) }),
  ]);
  const { objects, leftOut, appended } = await read(pack, [far]);
  equal(leftOut, 0);
  const complete = joined([pack, ...appended]);
  const contents = objects.map((_, index) =>
    readPacked(objects, index, { slice: (from, to) => complete.subarray(from, to), count: () => {} })
  );
  objects.forEach(({ id }, index) => equal(idOf("sha1", contents[index]!), id));
  deepEqual(
    contents.map(({ bytes }) => new TextDecoder().decode(bytes)).sort(),
    [
      "one two three ",
      ...[2, 3].map((times) => "one two three ".repeat(times)),
      "four five six ",
      "four five six ".repeat(4),
    ].sort(),
  );
  await rejects(read(pack), failure("damaged", /base of a difference isn't in it/));
});

Deno.test("an object beyond the size is left out, with what is built on it, and costs no memory", async () => {
  const huge = entry({ type: BLOB, content: new Uint8Array(64 << 20) });
  const small = entry({ type: BLOB, content: text("small") });
  const { objects, leftOut } = await readPack(
    packed([huge, small]),
    {
      hash: "sha1",
      bounds: { ...BOUNDS, unpackedBytes: 128 << 20 },
      before: () => null,
      breathe: () => Promise.resolve(),
    },
  );
  equal(leftOut, 1);
  deepEqual(objects.map(({ id }) => id), [idOf("sha1", blob("small"))]);

  // A difference that says that it results in too much isn't even tried.
  const base = entry({ type: BLOB, content: new Uint8Array(1 << 16) });
  const bomb = entry({ type: OFFSET, content: repeated(1 << 16, 1000), base: offset(base.length) });
  const onBomb = entry({ type: OFFSET, content: repeated(1000 << 16, 1), base: offset(bomb.length) });
  equal((await read(packed([base, bomb, onBomb]))).leftOut, 2);
});

/** How far back, as packs write it. */
function offset(distance: number): number[] {
  const bytes = [distance & 127];
  for (let rest = Math.floor(distance / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest--;
    bytes.unshift(128 | (rest & 127));
  }
  return bytes;
}

Deno.test("what unpacks to too much is refused: many objects, large ones, differences stacked on each other", async () => {
  const mebibyte = entry({ type: BLOB, content: new Uint8Array(1 << 20) });
  const others = Array.from({ length: 20 }, () => mebibyte);
  await rejects(read(packed(others)), failure("bound", /bytes to unpack.*\(unpackedBytes\)/));
  await rejects(read(packed([mebibyte], 2000)), failure("bound", /2000 objects.*at most 1000 \(objects\)/));
  const stacked = [mebibyte];
  for (let depth = 0; depth < 30; depth++) {
    stacked.push(
      entry({ type: OFFSET, content: repeated(1 << 20, 1), base: offset(stacked.at(-1)!.length) }),
    );
  }
  await rejects(read(packed(stacked)), failure("bound", /bytes to unpack.*\(unpackedBytes\)/));
  const deep = [entry({ type: BLOB, content: text("x") })];
  for (let depth = 0; depth < 4100; depth++) {
    deep.push(entry({ type: OFFSET, content: repeated(1, 1), base: offset(deep.at(-1)!.length) }));
  }
  const bounds = { ...BOUNDS, objects: 10_000 };
  const terms = { hash: "sha1", bounds, before: () => null, breathe: () => Promise.resolve() } as const;
  await rejects(readPack(packed(deep), terms), failure("bound", /stacked 4096 deep/));
});

const base = entry({ type: BLOB, content: text("0123456789") });
const DAMAGED: readonly [string, Uint8Array, RegExp][] = [
  ["nothing", new Uint8Array(0), /no pack/],
  ["something else", text("<html><body>It works!</body></html> and so on"), /no pack/],
  ["a wrong checksum", packed([base]).with(40, 0).with(14, 1), /checksum/],
  ["an object that is missing", packed([base], 2), /ends within an object|can't be unpacked/],
  ["an object too much", packed([base, base], 1), /left over/],
  ["a kind that isn't known", packed([entry({ type: 5, content: text("x") })]), /kind 5/],
  ["a kind that isn't known", packed([entry({ type: 0, content: text("x") })]), /kind 0/],
  [
    "more than it says",
    packed([entry({ type: BLOB, content: text("0123456789"), size: 3 })]),
    /can't be unpacked/,
  ],
  ["less than it says", packed([entry({ type: BLOB, content: text("012"), size: 30 })]), /hasn't the size/],
  ["noise", packed([new Uint8Array([...header(BLOB, 5), 1, 2, 3, 4, 5])]), /can't be unpacked/],
  [
    "a large object of less than it says",
    packed([entry({ type: BLOB, content: text("x"), size: 2 << 20 })]),
    /large object hasn't the size/,
  ],
  [
    "large noise",
    packed([new Uint8Array([...header(BLOB, 2 << 20), 1, 2, 3])]),
    /large object can't be unpacked/,
  ],
  [
    "a base before the pack",
    packed([entry({ type: OFFSET, content: repeated(10, 1), base: [100] })]),
    /base/,
  ],
  ["itself as the base", packed([entry({ type: OFFSET, content: repeated(10, 1), base: [0] })]), /base/],
  [
    "a base within an object",
    packed([base, entry({ type: OFFSET, content: repeated(10, 1), base: [3] })]),
    /isn't an object before it/,
  ],
  [
    "a difference from another base",
    packed([base, entry({ type: OFFSET, content: repeated(11, 1), base: offset(base.length) })]),
    /from another base/,
  ],
  [
    "a difference that ends at once",
    packed([base, entry({ type: OFFSET, content: new Uint8Array([10]), base: offset(base.length) })]),
    /ends within an object/,
  ],
];

Deno.test("what isn't a pack is refused", async () => {
  for (const [name, pack, message] of DAMAGED) {
    await rejects(read(pack), (error) => {
      ok(error instanceof RepositoryError, `${name}: ${error}`);
      equal(error.reason, "damaged", name);
      ok(message.test(error.message), `${name}: ${error.message}`);
      return true;
    });
  }
});

Deno.test("any bytes are a difference or are refused as one", () => {
  const from = text("0123456789");
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    const delta = new Uint8Array([10, ...varint(bytes.length), ...bytes]);
    try {
      equal(applyDelta(from, delta).length, bytes.length);
    } catch (error) {
      ok(error instanceof RepositoryError && error.reason === "damaged", String(error));
    }
  }));
});

Deno.test("any change to a pack is refused by name, or is another pack", async () => {
  const pack = packed([base, entry({ type: OFFSET, content: repeated(10, 3), base: offset(base.length) })]);
  await fc.assert(
    fc.asyncProperty(fc.nat(pack.length - 21), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const body = pack.slice(0, -20);
      body[at]! ^= change;
      const changed = joined([body, createHash("sha1").update(body).digest()]);
      try {
        const { objects } = await read(changed);
        objects.forEach(({ id }, index) => {
          const slice = (from: number, to: number) => changed.subarray(from, to);
          equal(idOf("sha1", readPacked(objects, index, { slice, count: () => {} })), id);
        });
      } catch (error) {
        ok(error instanceof RepositoryError, String(error));
      }
    }),
  );
});
