/**
 * What a message of the cluster's log has in it.
 *
 * ```text
 * gslb.<cluster>.log   {v, prev, stamp, entries: [{id, node, boot, at, origin: {via, by, reason, force}, changes}]}
 *                      {v, prev, stamp, base: {id, node, recent, model: changes}}
 * key log              {v, created, sequence, position, stamp, node, recent, parts}   the model of a position, for who comes later
 * changes              [{kind, id, before, after}]   objects with the fields of REST, null = there is none
 * parts                instead of changes and model: the digest of lines (model_parts.ts) that say the same
 * ```
 *
 * JSON, gzipped where that is shorter (`Content-Encoding: gzip`). Fields that aren't known here are left alone, so that a
 * later release may add some. What has another `v` was written by one that this release can't follow.
 *
 * @module
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";
import type { LogMessage, MessageEntry } from "../change/log_message.ts";
import { NOUNS } from "../change/log_changes.ts";
import type { RecordedChange } from "../store/history_parts.ts";

/** The version of messages. */
const VERSION = 1;
/** Below it gzip gains nothing that counts. */
const PACKED_FROM = 1_024;
/** What a message may become when it is unpacked. */
const UNPACKED_MAX: number = 64 << 20;

/** A message that was written by a release that this one can't follow. */
export class NewerLog extends Error {
  /** The class, in logs. */
  override readonly name = "NewerLog";
}

/** A message as it is published. */
export interface PackedMessage {
  /** What is sent. */
  readonly bytes: Uint8Array;
  /** Whether `bytes` are gzipped. */
  readonly isGzipped: boolean;
}

const id = z.string().regex(/^[0-9a-f]{32}$/);
const object = z.record(z.string(), z.unknown()).nullable();
const changes = z.array(z.object({
  kind: z.enum([...Object.keys(NOUNS), "override"] as [RecordedChange["kind"]]),
  id: z.string().max(512),
  before: object,
  after: object,
}));
const node = z.string().min(1).max(63);
const parts = z.string().regex(/^[0-9a-f]{64}$/).nullable().default(null);
const MESSAGE = z.object({
  v: z.literal(VERSION),
  prev: z.union([id, z.literal("")]),
  stamp: z.int().min(1),
  entries: z.array(z.object({
    id,
    node,
    boot: z.string().max(64),
    at: z.int(),
    origin: z.object({
      via: z.string().max(64),
      by: z.string().max(4_096),
      reason: z.string().max(65_536),
      force: z.boolean(),
    }),
    changes: changes.default([]),
    parts,
  })).max(10_000).default([]),
  base: z.object({ id, node, recent: z.array(id), model: changes.default([]), parts }).nullable().default(
    null,
  ),
});

/** A message in bytes. */
export function encodeMessage({ prev, stamp, entries, base }: Omit<LogMessage, "sequence">): PackedMessage {
  const text = JSON.stringify({
    v: VERSION,
    ...{ prev, stamp },
    ...(entries.length > 0 && { entries: entries.map(shownEntry) }),
    ...(base && { base: shownBase(base) }),
  });
  const bytes = new TextEncoder().encode(text);
  return bytes.length < PACKED_FROM
    ? { bytes, isGzipped: false }
    : { bytes: gzipSync(bytes, { level: 1 }), isGzipped: true };
}

/**
 * Reads a message.
 *
 * @throws {NewerLog} when a later release wrote it
 * @throws {Error} when it is none
 */
export function decodeMessage({ bytes, isGzipped }: PackedMessage, sequence: number): LogMessage {
  const unpacked = isGzipped ? gunzipSync(bytes, { maxOutputLength: UNPACKED_MAX }) : bytes;
  const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(unpacked));
  const version = typeof value === "object" && value !== null && "v" in value ? value.v : undefined;
  if (typeof version === "number" && version > VERSION) {
    throw new NewerLog(
      `the cluster's log goes on with messages of version ${version}, and this release reads ${VERSION}: update it`,
    );
  }
  const { prev, stamp, entries, base } = MESSAGE.parse(value);
  if (entries.length === 0 && base === null) throw new SyntaxError("it has neither entries nor a model");
  if (stamp < entries.length) throw new SyntaxError("its stamp is below the number of its entries");
  return {
    ...{ sequence, prev, stamp },
    entries: entries.map(({ origin, ...entry }) => ({
      ...entry,
      ...origin,
      changes: entry.changes.map(recordedChange),
    })),
    base: base && { ...base, position: null, model: base.model.map(recordedChange) },
  };
}

function shownEntry({ via, by, reason, force, id, node, boot, at, changes, parts }: MessageEntry) {
  const what = parts === null ? { changes: changes.map(shownChange) } : { parts };
  return { id, node, boot, at, origin: { via, by, reason, force }, ...what };
}

function shownBase({ id, node, recent, model, parts }: NonNullable<LogMessage["base"]>) {
  return { id, node, recent, ...(parts === null ? { model: model.map(shownChange) } : { parts }) };
}

function shownChange({ kind, id, before, after }: RecordedChange) {
  const parsed = (json: string | null) => json === null ? null : JSON.parse(json);
  return { kind, id, before: parsed(before), after: parsed(after) };
}

function recordedChange(
  { kind, id, before, after }: {
    readonly kind: RecordedChange["kind"];
    readonly id: string;
    readonly before: unknown;
    readonly after: unknown;
  },
): RecordedChange {
  const text = (object: unknown) => object === null ? null : JSON.stringify(object);
  return { kind, id, before: text(before), after: text(after) };
}

/** The model of a position of the log, beside it, for nodes that come when the log doesn't reach back to its begin. */
export interface LogSnapshot {
  /** When the stream was made, as the broker says it. */
  readonly created: string;
  /** Of the message that the position is behind. */
  readonly sequence: number;
  /** Of the log. */
  readonly position: string;
  /** Of the last entry that the model has. */
  readonly stamp: number;
  /** The node that wrote it. */
  readonly node: string;
  /** The last positions that it has taken, the last one first. */
  readonly recent: readonly string[];
  /** Digest of the lines that are the model. */
  readonly parts: string;
}

const SNAPSHOT = z.object({
  v: z.literal(VERSION),
  created: z.string().max(64),
  sequence: z.int().min(0),
  position: id,
  stamp: z.int().min(1),
  node,
  recent: z.array(id),
  parts: z.string().regex(/^[0-9a-f]{64}$/),
});

/** A snapshot in bytes. */
export function encodeSnapshot(snapshot: LogSnapshot): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: VERSION, ...snapshot }));
}

/** Reads a snapshot. @throws {Error} when it is none */
export function decodeSnapshot(bytes: Uint8Array): LogSnapshot {
  const { v: _, ...snapshot } = SNAPSHOT.parse(
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
  );
  return snapshot;
}
