/**
 * The cluster's model as one document, which programs publish and nodes take over: the configuration sync of the original
 * (`publishCluster`, `watchCluster`, `snapshotCluster`).
 *
 * ```text
 * KV gslb_<cluster>_config, key model        the document: YAML, with the headers below
 * stream GSLB_<CLUSTER>_CONFIG               the same, written after it: what was published, the last 64
 *   subject gslb.<cluster>.config
 *
 * Pleiades-Version, Pleiades-Commit          what the publisher calls it; may be absent
 * Pleiades-Published                         Unix milliseconds, later than those of the document before; may be absent
 * Content-Type                               application/yaml unless it says application/x-ndjson
 * Content-Encoding                           gzip, where it is too large without
 * Pleiades-Model                             where it is too large for a value at all: the value is empty, and this is the
 *                                            digest of a model in parts (model_parts.ts)
 * Pleiades-Signature                         in a cluster that signs
 * ```
 *
 * So `nats kv put gslb_production_config model < model.yaml` publishes as well as a program does, where nothing is signed.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type BucketEntry, type Headers, headersOf, isThere, REQUEST_TIMEOUT_MS } from "./config_bucket.ts";
import {
  DOCUMENT_KEY,
  getModel,
  manifestOf,
  MODEL_HEADER,
  type ModelStore,
  putModel,
} from "./model_parts.ts";
import { SIGNATURE_HEADER, signatureOf, SIGNING_FAULTS, type SigningFault } from "./signing.ts";

/** How a document's text is to be read. */
export type DocumentType = "application/yaml" | "application/x-ndjson";

/** Where documents are published. */
export interface DocumentPlace extends ModelStore {
  /** Tells those that follow the stream; gives when the server has it. */
  announce(value: Uint8Array, headers: Headers): Promise<void>;
  /** Unix milliseconds, for people and as the first try of `Pleiades-Published`. */
  unixMs(): number;
}

/** What a publisher says of a document. */
export interface DocumentName {
  /** As the publisher counts; may be empty. */
  readonly version: string;
  /** Of Git; may be empty. */
  readonly commit: string;
}

/** A document that was published. */
export interface ClusterDocument extends DocumentName {
  /** Tells it from others: of its bytes and of what they are said to be. */
  readonly id: string;
  /** How its text is to be read. */
  readonly type: DocumentType;
  /** When, by its publisher or else by the server, Unix milliseconds. */
  readonly publishedMs: number;
  /** Of the server's key. */
  readonly revision: number;
  /**
   * The text, from its begin at each call.
   *
   * @throws {ModelPartsFault} while it is read, when it isn't all there
   */
  body(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A document that isn't believed, or can't be read; the message says why, for people. */
export class DocumentFault extends Error {
  /** The class, in logs. */
  override readonly name = "DocumentFault";

  /** `refused` = what is wrong with its signature; `null` = something else. */
  constructor(message: string, readonly refused: SigningFault | null = null) {
    super(message);
  }
}

/** Documents that the stream keeps. */
const KEPT = 64;
/** Text that is gathered to be compressed as one value; a larger one goes in parts. */
const GATHERED_SIZE_MAX = 8 * 1024 * 1024;
/** Characters of a version and a commit: a commit has 64. */
const NAME_LENGTH_MAX = 128;
/** Headers by which the meaning of a document changes, and that are signed with it. */
const SIGNED_HEADERS = [
  "Content-Encoding",
  "Content-Type",
  "Pleiades-Commit",
  MODEL_HEADER,
  "Pleiades-Published",
  "Pleiades-Version",
] as const;

/** Makes the stream when it is missing. */
export async function ensureConfigStream(
  connection: NatsConnection,
  { stream, subject, domain, replicas = 1 }: {
    readonly stream: string;
    readonly subject: string;
    readonly domain: string | null;
    readonly replicas?: number;
  },
): Promise<(value: Uint8Array, headers: Headers) => Promise<void>> {
  const options = { timeout: REQUEST_TIMEOUT_MS, ...(domain !== null && { domain }) };
  const manager = await jetstreamManager(connection, options);
  if (!await isThere(manager, stream)) {
    await manager.streams.add({
      name: stream,
      subjects: [subject],
      num_replicas: replicas,
      max_msgs: KEPT,
      description: "Pleiades: the cluster's model, as it was published",
    });
  }
  const client = jetstream(connection, options);
  return async (value, headers) => {
    await client.publish(subject, value, { timeout: REQUEST_TIMEOUT_MS, headers: headersOf(headers) });
  };
}

/**
 * Publishes a document: first as the bucket's value, then on the stream.
 *
 * @throws {RangeError} when the version or the commit isn't a short text of one line
 * @throws {ModelPartsFault} when it is too large
 * @throws the server's refusal, and the signal's reason
 */
export async function publishCluster(
  place: DocumentPlace,
  { body, type, version, commit, signal, prepared = () => Promise.resolve() }: DocumentName & {
    readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
    readonly type: DocumentType;
    readonly signal: AbortSignal;
    /** Awaited when the document is known and before others see it; of its revision nothing is known yet. */
    readonly prepared?: (document: Omit<ClusterDocument, "revision">) => Promise<void>;
  },
): Promise<ClusterDocument> {
  for (const [name, text] of Object.entries({ version, commit })) {
    if (/^[\x21-\x7e]*$/.test(text) && text.length <= NAME_LENGTH_MAX) continue;
    throw new RangeError(
      `The ${name} must be at most ${NAME_LENGTH_MAX} printable ASCII characters without spaces`,
    );
  }
  const before = await place.bucket.get(DOCUMENT_KEY);
  const { value, headers: sized } = await valueOf(place, { body, type, signal });
  const headers: Headers = {
    "Content-Type": type,
    "Pleiades-Version": version,
    "Pleiades-Commit": commit,
    // A publisher whose clock is behind publishes something newer all the same.
    "Pleiades-Published": String(Math.max(place.unixMs(), before === null ? 0 : publishedMs(before) + 1)),
    ...sized,
  };
  const all = {
    ...headers,
    ...await signatureOf(place.signing, { subject: DOCUMENT_KEY, bytes: value, headers: signedOf(headers) }),
  };
  const document = documentOf(place, { value, headers: all, revision: 0, atMs: place.unixMs() });
  await prepared(document);
  const revision = await place.bucket.put(DOCUMENT_KEY, value, all);
  await place.announce(value, all);
  return { ...document, revision };
}

/**
 * The document that was published last; `null` = there is none.
 *
 * @throws {DocumentFault} when it isn't believed, or can't be read
 */
export async function snapshotCluster(place: DocumentPlace): Promise<ClusterDocument | null> {
  const entry = await place.bucket.get(DOCUMENT_KEY);
  if (entry === null) return null;
  const { value: bytes, headers } = entry;
  const message = { subject: DOCUMENT_KEY, bytes, headers: signedOf(headers) };
  const fault = await place.signing?.faultOf(message, headers[SIGNATURE_HEADER]) ?? null;
  if (fault !== null) throw new DocumentFault(`The document isn't believed: ${SIGNING_FAULTS[fault]}`, fault);
  return documentOf(place, entry);
}

function documentOf(place: DocumentPlace, entry: BucketEntry): ClusterDocument {
  const { value, headers } = entry;
  const said = headers["Content-Type"] ?? "application/yaml";
  const type = /ndjson/.test(said) ? "application/x-ndjson" : "application/yaml";
  const encoding = headers["Content-Encoding"] ?? "";
  if (encoding !== "" && encoding !== "gzip") {
    throw new DocumentFault(
      `The document is encoded as ${JSON.stringify(encoding.slice(0, 32))}, and gzip can be read`,
    );
  }
  const digest = headers[MODEL_HEADER];
  const id = createHash("sha256").update(JSON.stringify(signedOf(headers))).update(value).digest("hex");
  return {
    id,
    type,
    version: nameOf(headers["Pleiades-Version"]),
    commit: nameOf(headers["Pleiades-Commit"]),
    publishedMs: publishedMs(entry),
    revision: entry.revision,
    body: (signal) => {
      if (digest !== undefined) return partsOf(place, digest, signal);
      return encoding === "gzip" ? unpacked(value) : ReadableStream.from([value]);
    },
  };
}

async function* partsOf(
  place: DocumentPlace,
  digest: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const manifest = /^[0-9a-f]{64}$/.test(digest) ? await manifestOf(place, digest) : null;
  if (manifest === null) throw new DocumentFault("The document's model in parts is missing");
  yield* getModel(place, { manifest, signal });
}

/** Some text is all in one value, and more than this is not what a value holds. */
async function* unpacked(value: Uint8Array): AsyncGenerator<Uint8Array, void> {
  const stream = new Blob([value as Uint8Array<ArrayBuffer>]).stream().pipeThrough(
    new DecompressionStream("gzip"),
  );
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > GATHERED_SIZE_MAX * 8) {
      throw new DocumentFault("The document is too large when it is decompressed");
    }
    yield chunk;
  }
}

/** The value of a document as small as need be, and the headers that say how. */
async function valueOf(
  place: DocumentPlace,
  { body, type, signal }: {
    readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
    readonly type: DocumentType;
    readonly signal: AbortSignal;
  },
): Promise<{ readonly value: Uint8Array; readonly headers: Headers }> {
  const { valueSizeMax } = place.bucket;
  const chunks: Uint8Array[] = [];
  let size = 0;
  const rest = (async function* () {
    yield* body;
  })();
  while (size <= GATHERED_SIZE_MAX) {
    const { done, value } = await rest.next();
    if (done) {
      const blob = new Blob(chunks as Uint8Array<ArrayBuffer>[]);
      if (size <= valueSizeMax) return { value: await blob.bytes(), headers: {} };
      const packed = await new Response(blob.stream().pipeThrough(new CompressionStream("gzip"))).bytes();
      if (packed.length <= valueSizeMax) return { value: packed, headers: { "Content-Encoding": "gzip" } };
      break;
    }
    chunks.push(value);
    size += value.length;
  }
  const { digest } = await putModel(place, {
    body: (async function* () {
      yield* chunks;
      yield* rest;
    })(),
    // A document has no place in the log: of all models it is the oldest.
    about: { stamp: 0, type, counts: {} },
    signal,
  });
  return { value: new Uint8Array(0), headers: { [MODEL_HEADER]: digest } };
}

function publishedMs({ headers, atMs }: BucketEntry): number {
  const said = headers["Pleiades-Published"] ?? "";
  return /^\d{1,15}$/.test(said) ? Number(said) : atMs;
}

function signedOf(headers: Headers): Headers {
  return Object.fromEntries(
    SIGNED_HEADERS.flatMap((name) => headers[name] === undefined ? [] : [[name, headers[name]]]),
  );
}

function nameOf(text = ""): string {
  return text.replaceAll(/[^\x21-\x7e]/g, "").slice(0, NAME_LENGTH_MAX);
}
