/**
 * A whole model in a bucket whose values are small: compressed, cut into parts, and named by a manifest that is written last.
 *
 * ```text
 * body ─▶ SHA-256, gzip ─▶ part.<set>.0, part.<set>.1, …     256 KiB each
 *                          model.<digest>                    the manifest: what the parts are, and of which stamp
 * ```
 *
 * Each writing has a set of its own, drawn at random: two nodes that write the same model at once, with compressors that
 * differ in a release, can't mix their parts. A part that no manifest names is left over from a writing that never ended, and
 * swept when it is old. Whoever reads goes by the manifest alone and checks every part before it is decompressed, and the whole
 * at its end: a body that ends without an error is the one that was written.
 *
 * Nothing here holds a model: a body runs through in slices, and other work has its turn in between.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { pacer } from "../slices.ts";
import type { ConfigBucket } from "./config_bucket.ts";
import { SIGNATURE_HEADER, signatureOf, type Signing, SIGNING_FAULTS, type SigningFault } from "./signing.ts";

/** The version of manifests. */
const VERSION = 1;
/** A quarter of what servers take unless told otherwise; a model of a million services has some 80 parts. */
const PART_SIZE = 256 * 1024;
/** Parts of the largest model, which are 256 MiB: a manifest of so many has 70 KiB. */
export const PARTS_MAX = 1_024;
/** Bytes of the largest model before it is compressed; what claims more isn't decompressed. */
export const MODEL_SIZE_MAX: number = 4 * 1024 ** 3;
/** What is compressed or hashed between two looks at the time: a millisecond or less. */
const SLICE_SIZE = 64 * 1024;
/** What is decompressed at once: of ordinary text that becomes a hundred KiB, of what was made for it 8 MiB. */
const UNPACK_SIZE = 8 * 1024;
/** Parts that no manifest names and that are older than the newest manifest by this much were given up by their writer. */
const GIVEN_UP_MS = 3_600_000;

/** Where the document is that was published last (`documents.ts`). */
export const DOCUMENT_KEY = "model";
/** Header of a document that is too large for a value: the digest of the model that it is. */
export const MODEL_HEADER = "Pleiades-Model";

/** The type of what belongs to the cluster's log, and is removed with it. */
export const LOG_TYPE = "application/vnd.pleiades.log";

/** What is said of a model beside its bytes. */
export interface ModelAbout {
  /** Of which state of the cluster's model, by the nodes' own count; 0 = of none. */
  readonly stamp: number;
  /** How the body is to be read, a media type. */
  readonly type: string;
  /** How many objects of each kind, for people. */
  readonly counts: Readonly<Record<string, number>>;
}

/** What a bucket has of a model. */
export interface Manifest extends ModelAbout {
  /** SHA-256 of the body, lower-case hexadecimal. */
  readonly digest: string;
  /** Of the parts' keys. */
  readonly set: string;
  /** Bytes of the body. */
  readonly size: number;
  /** SHA-256 of each part. */
  readonly parts: readonly string[];
}

const HASH = z.string().regex(/^[0-9a-f]{64}$/);
const MANIFEST = z.object({
  v: z.literal(VERSION),
  digest: HASH,
  set: z.string().regex(/^[0-9a-f]{16}$/),
  encoding: z.literal("gzip"),
  type: z.string().max(64),
  size: z.int().min(0).max(MODEL_SIZE_MAX),
  parts: z.array(HASH).max(PARTS_MAX),
  stamp: z.int().min(0),
  counts: z.record(z.string().max(64), z.int().min(0)),
});

/** A model that can't be kept or read as it should be; the message says why, for people. */
export class ModelPartsFault extends Error {
  /** The class, in logs. */
  override readonly name = "ModelPartsFault";
  /** What is wrong with its signature; `null` = that isn't the reason. */
  readonly refused: SigningFault | null;

  /** With a message for people. */
  constructor(
    message: string,
    { refused = null, ...options }: ErrorOptions & { readonly refused?: SigningFault | null } = {},
  ) {
    super(message, options);
    this.refused = refused;
  }
}

/** Where models are kept. */
export interface ModelStore {
  /** The bucket. */
  readonly bucket: ConfigBucket;
  /** Signs manifests, and with them all parts; `null` = they aren't signed. */
  readonly signing: Signing | null;
  /** Says when others have their turn. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
}

/**
 * Writes a model, and its manifest last.
 *
 * @throws {ModelPartsFault} when it is too large
 * @throws the body's error, the bucket's, and the signal's reason; what was written of it is removed as far as possible
 */
export async function putModel(
  store: ModelStore,
  { body, about, signal }: {
    readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
    readonly about: ModelAbout;
    readonly signal: AbortSignal;
  },
): Promise<Manifest> {
  const { bucket, signing } = store;
  const set = crypto.getRandomValues(new Uint8Array(8)).toHex();
  const whole = createHash("sha256");
  const turn = pacer({ ...store, signal });
  const parts: string[] = [];
  let size = 0;
  async function* hashed() {
    for await (const chunk of body) {
      for (const slice of slicesOf(chunk, SLICE_SIZE)) {
        size += slice.length;
        if (size > MODEL_SIZE_MAX) throw tooLarge(`${MODEL_SIZE_MAX} bytes`);
        whole.update(slice);
        await turn();
        yield slice;
      }
    }
  }
  try {
    const packed = ReadableStream.from(hashed()).pipeThrough(new CompressionStream("gzip"));
    for await (const part of inParts(packed, Math.min(PART_SIZE, bucket.valueSizeMax))) {
      if (parts.length === PARTS_MAX) throw tooLarge(`${PARTS_MAX} compressed parts of ${part.length} bytes`);
      await bucket.put(partKey(set, parts.length), part);
      parts.push(hashOf(part));
      await turn();
    }
    const digest = whole.digest("hex");
    const manifest: Manifest = { digest, set, size, parts, ...about };
    const bytes = new TextEncoder().encode(JSON.stringify({ v: VERSION, encoding: "gzip", ...manifest }));
    const key = manifestKey(digest);
    if (bytes.length > bucket.valueSizeMax) {
      throw tooLarge(
        `${bucket.valueSizeMax} bytes of the manifest, as far as the server takes them (max_payload)`,
      );
    }
    await bucket.put(key, bytes, await signatureOf(signing, { subject: key, bytes }));
    return manifest;
  } catch (error) {
    // Best effort: the bucket may be the reason, and then the sweep finds them.
    await bucket.remove(`part.${set}.*`).catch(() => {});
    throw error;
  }
}

/**
 * What a bucket has of a model; `null` = it has none of this digest.
 *
 * @throws {ModelPartsFault} when the manifest can't be read, or isn't signed as it should be
 */
export async function manifestOf({ bucket, signing }: ModelStore, digest: string): Promise<Manifest | null> {
  const key = manifestKey(digest);
  const entry = await bucket.get(key);
  if (entry === null) return null;
  const { value: bytes, headers } = entry;
  const fault = await signing?.faultOf({ subject: key, bytes }, headers[SIGNATURE_HEADER]) ?? null;
  if (fault !== null) {
    throw new ModelPartsFault(`${key} isn't believed: ${SIGNING_FAULTS[fault]}`, { refused: fault });
  }
  const manifest = readManifest(key, bytes);
  if (manifest.digest !== digest) throw new ModelPartsFault(`${key} is the manifest of another model`);
  return manifest;
}

/**
 * The bytes of a model, in order. What is read before an error is thrown must not be used.
 *
 * @throws {ModelPartsFault} when a part is missing, is another one, or the whole isn't what the manifest says
 * @throws the bucket's error, and the signal's reason
 */
export async function* getModel(
  store: ModelStore,
  { manifest, signal }: { readonly manifest: Manifest; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const { digest, size } = manifest;
  const whole = createHash("sha256");
  const turn = pacer({ ...store, signal });
  let read = 0;
  const unpacked = ReadableStream.from(packedSlices(store, manifest)).pipeThrough(
    new DecompressionStream("gzip"),
  );
  try {
    for await (const chunk of unpacked) {
      read += chunk.length;
      if (read > size) break;
      whole.update(chunk);
      await turn();
      yield chunk as Uint8Array<ArrayBuffer>;
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ModelPartsFault(`The parts of the model ${shown(digest)} aren't compressed as gzip does it`, {
      cause: error,
    });
  }
  if (read !== size || whole.digest("hex") !== digest) {
    throw new ModelPartsFault(
      `The parts of the model ${shown(digest)} are not the ${size} bytes that its manifest names`,
    );
  }
}

/** What is in a bucket. */
export interface ModelList {
  /** The newest first. */
  readonly manifests: readonly Manifest[];
  /** Why others can't be read. */
  readonly faults: readonly ModelPartsFault[];
}

/** All models of a bucket that can be read, the newest first by their stamps. */
export async function listModels(store: ModelStore): Promise<ModelList> {
  const manifests: Manifest[] = [];
  const faults: ModelPartsFault[] = [];
  for (const key of await store.bucket.keys("model.*")) {
    try {
      const manifest = await manifestOf(store, key.slice("model.".length));
      if (manifest !== null) manifests.push(manifest);
    } catch (error) {
      if (!(error instanceof ModelPartsFault)) throw error;
      faults.push(error);
    }
  }
  manifests.sort((a, b) => b.stamp - a.stamp || (a.digest < b.digest ? -1 : 1));
  return { manifests, faults };
}

/**
 * Removes what isn't needed any more: models but the `keep` newest, that of the published document, and those that are
 * `named`; and parts that no manifest names. While there is a manifest that can't be read, which a later version may have written, nothing is removed.
 *
 * @param named digests that something refers to
 * @returns keys or patterns that were removed
 */
export async function sweepModels(
  store: ModelStore,
  { keep, named }: { readonly keep: number; readonly named: ReadonlySet<string> },
): Promise<readonly string[]> {
  const { bucket } = store;
  const { manifests, faults } = await listModels(store);
  const [newest] = manifests;
  if (faults.length > 0 || newest === undefined) return [];
  const published = (await bucket.get(DOCUMENT_KEY))?.headers[MODEL_HEADER];
  const removed: string[] = [];
  const remove = async (pattern: string) => {
    await bucket.remove(pattern);
    removed.push(pattern);
  };
  for (const { digest, set } of manifests.filter(({ type }) => type !== LOG_TYPE).slice(keep)) {
    if (named.has(digest) || digest === published) continue;
    // In this order no reader finds a manifest whose parts are gone.
    await remove(manifestKey(digest));
    await remove(`part.${set}.*`);
  }
  const sets = new Set(manifests.map(({ set }) => set));
  const nowMs = (await bucket.get(manifestKey(newest.digest)))?.atMs ?? 0;
  for (const key of await bucket.keys("part.*.0")) {
    const set = key.split(".")[1]!;
    if (sets.has(set)) continue;
    const first = await bucket.get(key);
    if (first !== null && nowMs - first.atMs > GIVEN_UP_MS) await remove(`part.${set}.*`);
  }
  return removed;
}

/**
 * Removes what was kept for messages of the cluster's log before a stamp. What was written within the hour stays: its message
 * may be on its way.
 */
export async function sweepLogParts(store: ModelStore, stamp: number, nowMs: number): Promise<void> {
  const { bucket } = store;
  for (const { digest, set, ...manifest } of (await listModels(store)).manifests) {
    if (manifest.type !== LOG_TYPE || manifest.stamp >= stamp) continue;
    const entry = await bucket.get(manifestKey(digest));
    if (entry === null || nowMs - entry.atMs < GIVEN_UP_MS) continue;
    await bucket.remove(manifestKey(digest));
    await bucket.remove(`part.${set}.*`);
  }
}

function readManifest(key: string, bytes: Uint8Array): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ModelPartsFault(`${key} is no manifest: it isn't JSON`, { cause });
  }
  const version = typeof value === "object" && value !== null && "v" in value ? value.v : undefined;
  if (version !== VERSION) {
    throw new ModelPartsFault(
      `${key} is a manifest of version ${
        JSON.stringify(version)?.slice(0, 20)
      }, and this node reads ${VERSION}`,
    );
  }
  const read = MANIFEST.safeParse(value);
  if (!read.success) {
    const [{ path, message } = { path: [], message: "" }] = read.error.issues;
    throw new ModelPartsFault(`${key} is no manifest: ${path.join(".")}: ${message}`);
  }
  const { v: _, encoding: __, ...manifest } = read.data;
  return manifest;
}

/** The parts, each checked, in slices that are decompressed at once. */
async function* packedSlices(
  { bucket }: ModelStore,
  { digest, set, parts }: Manifest,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (const [n, hash] of parts.entries()) {
    const which = `Part ${n + 1} of ${parts.length} of the model ${shown(digest)}`;
    const entry = await bucket.get(partKey(set, n));
    if (entry === null) throw new ModelPartsFault(`${which} is missing`);
    if (hashOf(entry.value) !== hash) {
      throw new ModelPartsFault(`${which} isn't the one that its manifest names`);
    }
    yield* slicesOf(entry.value, UNPACK_SIZE);
  }
}

/** Chunks of whatever size as parts of one size, but for the last. */
async function* inParts(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void> {
  const part = new Uint8Array(size);
  let used = 0;
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length;) {
      const slice = chunk.subarray(from, from + size - used);
      part.set(slice, used);
      used += slice.length;
      from += slice.length;
      if (used < size) continue;
      yield part.slice();
      used = 0;
    }
  }
  if (used > 0) yield part.slice(0, used);
}

function* slicesOf(bytes: Uint8Array, size: number): Generator<Uint8Array<ArrayBuffer>, void> {
  for (let from = 0; from < bytes.length; from += size) {
    yield bytes.subarray(from, from + size) as Uint8Array<ArrayBuffer>;
  }
}

function manifestKey(digest: string): string {
  return `model.${digest}`;
}

function partKey(set: string, n: number): string {
  return `part.${set}.${n}`;
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** As much of a digest as tells models apart for people. */
function shown(digest: string): string {
  return digest.slice(0, 12);
}

function tooLarge(limit: string): ModelPartsFault {
  return new ModelPartsFault(`The model is too large for the cluster: more than ${limit}`);
}
