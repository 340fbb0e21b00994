/**
 * What nodes write to each other. All of it is JSON with the version `v`; fields that aren't known here are left alone, so that
 * a later version may add some, and what has another `v` is refused.
 *
 * ```text
 * gslb.<cluster>.membership.heartbeat.<node>    {v, boot, seq, region, intervalMs, kind, model}   what counts
 * gslb.<cluster>.membership.heartbeat           the same and {node}                        for others that listen
 * gslb.<cluster>.health.<node>.<v4|v6>          {v, boot, addresses: [{address, seq, targets}]}
 * KV gslb_<cluster>_membership, <node>          as the heartbeat with {node}
 * KV gslb_<cluster>_health, <node>.<hex>        {v, boot, seq, targets: [{target, state, since}]}
 * KV gslb_<cluster>_discovery, <node>.<part>    what is registered with the node (`discovery/shared_registrations.ts`)
 * ```
 *
 * - The node is always taken from the subject or the key, never from the payload: the server lets each user write its own
 *   alone.
 * - `boot` is drawn at each start of the process. A report counts as long as its node's heartbeats have its boot.
 * - `seq` counts up within a boot; of two reports on an address, or of two heartbeats, the higher counts, however often and
 *   in whatever order they come. Revisions of the server mean nothing: they begin again when its store was lost.
 * - Times are for people to look at: ages are measured by the clock of the node that receives.
 *
 * @module
 */
import { z } from "zod";
import { canonicalIp, formatIp, parseIp } from "../ip.ts";
import type { NodeModel } from "./node_model.ts";

/** The version of all payloads. */
const VERSION = 1;

/** A heartbeat is 200 bytes. */
const HEARTBEAT_SIZE_MAX = 4 * 1024;
/** An address has a handful of targets; `TARGETS_MAX` of them take 6 KiB. */
export const VALUE_SIZE_MAX: number = 16 * 1024;
/** In how long every value is written once more, milliseconds. */
export const SWEEP_MS = 300_000;
/**
 * How long a value outlives the last time it was written: three sweeps. What a node leaves behind that never comes back is
 * gone then.
 */
export const HEALTH_AGE_MS: number = 3 * SWEEP_MS;
/** How often the watch of a bucket is held against it, milliseconds. */
export const LOOK_MS = 5_000;
/** Far below the 1 MiB that servers take unless told otherwise. */
const EVENT_SIZE_MAX = 256 * 1024;
/** Targets of one address: pools that check it in different ways. */
export const TARGETS_MAX = 64;
/** Addresses in one event: with one target each it has 13 KiB. */
export const EVENT_ADDRESSES_MAX = 100;
/** An event with so many targets has no room for another address. */
export const EVENT_TARGETS_MAX = 1_000;

/** A sign of life. */
export interface Heartbeat {
  /** Of the process. */
  readonly boot: string;
  /** Of the heartbeat, within the boot. */
  readonly seq: number;
  /** Where the node stands; may be empty. */
  readonly region: string;
  /** When the next one comes. */
  readonly intervalMs: number;
  /** `hello`: the node has just connected and wants to hear of the others at once; `bye`: it stops. */
  readonly kind: "alive" | "hello" | "bye";
  /** How far the node's model has come; absent from releases that don't say, and from nodes that have none. */
  readonly model?: NodeModel | undefined;
  /** All that the node's probes find at this moment; absent from releases that don't say. */
  readonly found?: Found | undefined;
  /** With `hello`: the nodes of which it lacks something, whatever its bucket has; absent from releases that want to be told by all. */
  readonly asks?: readonly string[] | undefined;
}

/** What a node reports, in short: whoever has the same of it has all of it, the newest of each address. */
export interface Found {
  /** At which something is found. */
  readonly addresses: number;
  /** The sum of `seqDigest` over the reports on them: each report has a number that no other one of its boot has. */
  readonly digest: number;
}

/** What a report adds to the digest of all: 32 bits in which its number is spread, so that no few of them add up to others. */
export function seqDigest(seq: number): number {
  const mixed = Math.imul(seq ^ seq / 2 ** 32, 0x9e3779b1);
  const spread = Math.imul(mixed ^ mixed >>> 15, 0x85ebca77);
  return (spread ^ spread >>> 13) >>> 0;
}

/** What a node's probes found at an address, as text. */
export interface WireTarget {
  /** `wireTargetOf` (`desired/check_target.ts`). */
  readonly target: string;
  /** What they found. */
  readonly state: "healthy" | "unhealthy";
  /** RFC 3339, by the clock of the node that says so. */
  readonly since: string;
}

/** All that a node's probes found at one address. */
export interface AddressReport {
  /** Of the process. */
  readonly boot: string;
  /** Of the report, within the boot. */
  readonly seq: number;
  /** None = the address isn't probed any more. */
  readonly targets: readonly WireTarget[];
}

/** Of a time, which is only shown. */
const SINCE_MAX = 40;
/** Of an address as text. */
const ADDRESS_MAX = 45;

/** Of a node's id. */
const NODE_MAX = 63;
/** Nodes that are asked at a time: of more the next ones are when these have told. */
export const ASKS_MAX = 16;

const boot = z.string().regex(/^[0-9a-f]{8,32}$/);
const seq = z.int().min(1);
const TARGET = /^[a-z]{1,16}:\d{1,5}:[0-9a-f]{8}$/;

const targets = z.array(z.object({
  target: z.string().regex(TARGET),
  state: z.enum(["healthy", "unhealthy"]),
  since: z.string().max(SINCE_MAX),
})).max(TARGETS_MAX);

const count = z.int().min(0);

const HEARTBEAT = z.object({
  v: z.literal(VERSION),
  boot,
  seq,
  region: z.string().max(256),
  intervalMs: z.number().min(1).max(86_400_000),
  kind: z.enum(["alive", "hello", "bye"]),
  model: z.object({
    generation: count,
    digest: count.nullable(),
    log: z.object({ entries: count, behind: count, pending: count }).nullable(),
  }).optional(),
  found: z.object({ addresses: count, digest: count }).optional(),
  asks: z.array(z.string().max(NODE_MAX)).max(ASKS_MAX).optional(),
});

const VALUE = z.object({ v: z.literal(VERSION), boot, seq, targets });

const EVENT = z.object({
  v: z.literal(VERSION),
  boot,
  addresses: z.array(z.unknown()).max(EVENT_ADDRESSES_MAX * 10),
});

const ADDRESSED = z.object({ address: z.string().max(ADDRESS_MAX), seq, targets });

/** The subjects, buckets and the inbox of a cluster and of one of its nodes. */
export interface WireNames {
  /** Where this node's heartbeats go. */
  readonly heartbeat: string;
  /** Where they go for others that listen. */
  readonly publicHeartbeat: string;
  /** Where the heartbeats that count come from, of all nodes. */
  readonly heartbeats: string;
  /** Where this node's events go. */
  readonly health: Readonly<Record<"v4" | "v6", string>>;
  /** Where events of all nodes come from. */
  readonly healthEvents: string;
  /** Bucket of what each node's probes found. */
  readonly healthBucket: string;
  /** Bucket of the nodes. */
  readonly membershipBucket: string;
  /** Bucket of whole models. */
  readonly configBucket: string;
  /** Bucket of what is registered with each node. */
  readonly discoveryBucket: string;
  /** Where the log of the configuration is kept. */
  readonly logStream: string;
  /** Where its messages go. */
  readonly logSubject: string;
  /** Where answers to this node's requests come in. */
  readonly inboxPrefix: string;
}

/** The names of a cluster; ids are single tokens of subjects and fit for names of buckets. */
export function wireNames(cluster: string, node: string): WireNames {
  const root = `gslb.${cluster}`;
  return {
    heartbeat: `${root}.membership.heartbeat.${node}`,
    publicHeartbeat: `${root}.membership.heartbeat`,
    heartbeats: `${root}.membership.heartbeat.*`,
    health: { v4: `${root}.health.${node}.v4`, v6: `${root}.health.${node}.v6` },
    healthEvents: `${root}.health.*.*`,
    healthBucket: `gslb_${cluster}_health`,
    membershipBucket: `gslb_${cluster}_membership`,
    configBucket: `gslb_${cluster}_config`,
    discoveryBucket: `gslb_${cluster}_discovery`,
    logStream: `GSLB_${cluster.toUpperCase()}_LOG`,
    logSubject: `${root}.log`,
    inboxPrefix: `_INBOX.${cluster}.${node}`,
  };
}

/** The node that a subject of heartbeats or events names. */
export function nodeOfSubject(subject: string): string {
  const [, , kind, third = "", fourth = ""] = subject.split(".");
  return kind === "health" ? third : fourth;
}

/** The key of an address in the bucket of what a node found. */
export function healthKey(node: string, address: string): string {
  return `${node}.${parseIp(address)!.toHex()}`;
}

/** The node and the canonical address that a key names; `null` = it is no such key. */
export function parseHealthKey(key: string): { readonly node: string; readonly address: string } | null {
  if (!HEALTH_KEY.test(key)) return null;
  const dot = key.indexOf(".");
  return { node: key.slice(0, dot), address: formatIp(Uint8Array.fromHex(key.slice(dot + 1))) };
}

const HEALTH_KEY = /^[A-Za-z0-9_-]{1,63}\.(?:[0-9a-f]{8}|[0-9a-f]{32})$/;

/** Bytes of a heartbeat. */
export function encodeHeartbeat(heartbeat: Heartbeat, node?: string): Uint8Array {
  return encode({ v: VERSION, ...(node !== undefined && { node }), ...heartbeat });
}

/** Bytes of a value in the bucket of what a node found. */
export function encodeValue(report: AddressReport): Uint8Array {
  return encode({ v: VERSION, ...report });
}

/** Bytes of an event on up to `EVENT_ADDRESSES_MAX` addresses. */
export function encodeEvent(
  boot: string,
  addresses: readonly {
    readonly address: string;
    readonly seq: number;
    readonly targets: readonly WireTarget[];
  }[],
): Uint8Array {
  return encode({ v: VERSION, boot, addresses });
}

/** Reads a heartbeat. @throws {Error} when it is none */
export function decodeHeartbeat(bytes: Uint8Array): Heartbeat {
  return HEARTBEAT.parse(decode(bytes, HEARTBEAT_SIZE_MAX));
}

/**
 * Whether a value of the bucket is this report or an earlier one of the same boot, by its first bytes alone, as `encodeValue`
 * writes them. That is so of nearly all values, so nothing is made of them, not even text. `false` = it must be read.
 */
export function isNoLaterValue(
  bytes: Uint8Array,
  { boot, seq }: Pick<AddressReport, "boot" | "seq">,
): boolean {
  let at = endOf(VALUE_HEAD, bytes, 0);
  if (at >= 0) at = endOf(boot, bytes, at);
  if (at >= 0) at = endOf(BEFORE_SEQ, bytes, at);
  if (at < 0) return false;
  const from = at;
  let said = 0;
  for (; bytes[at]! >= DIGIT_0 && bytes[at]! <= DIGIT_9; at++) said = said * 10 + bytes[at]! - DIGIT_0;
  return at > from && at - from <= SEQ_DIGITS_MAX && bytes[at] === COMMA && said >= 1 && said <= seq;
}

/** Where an ASCII text ends that begins there; -1 = another one does. */
function endOf(text: string, bytes: Uint8Array, from: number): number {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return -1;
  return from + text.length;
}

const VALUE_HEAD = `{"v":${VERSION},"boot":"`;
const BEFORE_SEQ = '","seq":';
const [DIGIT_0, DIGIT_9, COMMA] = [0x30, 0x39, 0x2c];
/** So many are a number that counts exactly. */
const SEQ_DIGITS_MAX = 15;

/** Reads a value of the bucket. @throws {Error} when it is none */
export function decodeValue(bytes: Uint8Array): AddressReport {
  return VALUE.parse(decode(bytes, VALUE_SIZE_MAX));
}

/**
 * Reads an event; addresses come canonical.
 *
 * @param isKnown whether nothing would come of a report: it is left out, and the rest of it not looked at. Where nodes greet each
 * other, most have been told before
 * @throws {Error} when it is none
 */
export function decodeEvent(
  bytes: Uint8Array,
  isKnown: (address: string, report: Pick<AddressReport, "boot" | "seq">) => boolean = () => false,
): (AddressReport & { readonly address: string })[] {
  const { boot, addresses } = EVENT.parse(decode(bytes, EVENT_SIZE_MAX));
  const reports: (AddressReport & { readonly address: string })[] = [];
  for (const each of addresses) {
    if (isReport(each) && isKnown(each.address, { boot, seq: each.seq })) continue;
    const { address, seq, targets } = isAddressed(each) ? each : ADDRESSED.parse(each);
    const canonical = canonicalIp(address);
    if (canonical === null) throw new SyntaxError(`"${address}" is no address`);
    reports.push({ address: canonical, boot, seq, targets });
  }
  return reports;
}

/**
 * Whether `ADDRESSED` takes it, in a fifth of the time: of very many reports nearly all are as they should be, and only
 * what is wrong with the others is for the schema to say.
 */
function isAddressed(value: unknown): value is z.infer<typeof ADDRESSED> {
  const { address, seq, targets } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof address === "string" && address.length <= ADDRESS_MAX &&
    Number.isSafeInteger(seq) && Number(seq) >= 1 &&
    Array.isArray(targets) && targets.length <= TARGETS_MAX && targets.every(isTarget);
}

function isTarget(value: unknown): boolean {
  const { target, state, since } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof target === "string" && TARGET.test(target) &&
    (state === "healthy" || state === "unhealthy") &&
    typeof since === "string" && since.length <= SINCE_MAX;
}

function isReport(value: unknown): value is { readonly address: string; readonly seq: number } {
  const { address, seq } = (value ?? {}) as { readonly address?: unknown; readonly seq?: unknown };
  return typeof address === "string" && typeof seq === "number";
}

function encode(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decode(bytes: Uint8Array, sizeMax: number): unknown {
  if (bytes.length > sizeMax) throw new RangeError(`it has ${bytes.length} bytes, and may have ${sizeMax}`);
  return JSON.parse(UTF8.decode(bytes));
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });
