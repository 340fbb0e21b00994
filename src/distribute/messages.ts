/**
 * What the services tell each other over NATS: subjects and JSON, as the Go services have them, so that both kinds mix. What is
 * added here are optional fields, which those leave alone.
 *
 * ```text
 * zone.add | zone.modified | zone.delete        {zone, created_at|changed_at|deleted_at, serial?}   to all
 * zone.add.<id> …                               the same and {epoch?}                       to one secondary
 * zonedata.<id>    request {zone, only_soa, requested_at, parts?, messages?, changed_ms_ago?}   reply {zone, zone_data,
 *                          dnssec_enabled, presigned_records, replied_at, messages?, part?, parts?, fault?}
 * zonestate.<id>   request {zone?, zones?, requested_at, epoch?, signatures?, digests?}
 *                          reply {statemap, created_at, details?: {ZONE: {serial, foreign?, signature?, digest?,
 *                          checked_at?}}, fault?}
 * zonehello.<id>   {host, session, service?, sent_at, zone_lists?}                          a service is connected
 * ```
 *
 * An id is the SHA-256 of a host name, in lower-case hex. Zones are lower-case with a final dot; serials are unsigned 32-bit numbers.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { rfc3339 } from "../clock.ts";
import { isWildcard, lowerCaseName, nameToWire, wireToAbsoluteName } from "../wire/name.ts";

/** What happened to a zone. */
export type EventKind = "add" | "modified" | "delete";

/** Each kind of event, its field of time, and its word in metrics. */
export const EVENT_KINDS: readonly EventKind[] = ["add", "modified", "delete"];

/** The word that metrics have for a kind of event. */
export const METRIC_WORD: Readonly<Record<EventKind, string>> = {
  add: "create",
  modified: "change",
  delete: "delete",
};

const TIME_FIELD = { add: "created_at", modified: "changed_at", delete: "deleted_at" } as const;

/** The subjects of one installation. */
export interface Subjects {
  /** By kind. */
  readonly events: Readonly<Record<EventKind, string>>;
  /** Ends in a dot; an id follows. */
  readonly zoneState: string;
  /** Ends in a dot; an id follows. */
  readonly zoneData: string;
  /** What a provider subscribes to. */
  readonly zoneDataWildcard: string;
}

/** Where a service says that it has connected; an id follows. */
export const HELLO_PREFIX = "zonehello.";

/** An event, or the order of a checker to one secondary. */
export interface ZoneEvent {
  /** What happened. */
  readonly kind: EventKind;
  /** With its final dot. */
  readonly zone: string;
  /** When it happened, Unix milliseconds; by the clock of the sender. */
  readonly atMs: number;
  /** Of the zone after the event; `null` = not said. */
  readonly serial: number | null;
  /** Of the checker that orders it; `null` = it is an event. */
  readonly epoch: number | null;
}

/** A payload that can't be used, and why. */
export interface Broken {
  /** For people. */
  readonly fault: string;
}

/** The id of a service on a host. */
export function serviceId(host: string): string {
  return createHash("sha256").update(host).digest("hex");
}

/** A zone as all services write it; `null` = it is no name of a zone. */
export function canonicalZone(text: string): string | null {
  if (text === "" || text.length > 1_024) return null;
  try {
    const wire = lowerCaseName(nameToWire(text));
    return isWildcard(wire) ? null : wireToAbsoluteName(wire);
  } catch {
    return null;
  }
}

const zone = z.string().max(1_024).transform((text, context) => {
  const canonical = canonicalZone(text);
  if (canonical === null) {
    context.addIssue({
      code: "custom",
      message: `is no name of a zone: ${JSON.stringify(text.slice(0, 80))}`,
    });
  }
  return canonical ?? "";
});
const time = z.string().max(64).transform((text, context) => {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) context.addIssue({ code: "custom", message: "is no time" });
  return ms;
});
const serial = z.int().min(0).max(0xffff_ffff);
const epoch = z.int().min(0);

/** The Go services write serials as signed numbers. */
const signedSerial = z.int().min(-0x8000_0000).max(0xffff_ffff).transform((value) => value >>> 0);

const EVENT = z.object({
  zone,
  created_at: time.optional(),
  changed_at: time.optional(),
  deleted_at: time.optional(),
  serial: serial.optional(),
  epoch: epoch.optional(),
});

/** Writes an event. */
export function encodeEvent({ kind, zone, atMs, serial, epoch }: ZoneEvent): Uint8Array {
  return encode({
    zone,
    [TIME_FIELD[kind]]: rfc3339(atMs),
    ...(serial !== null && { serial }),
    ...(epoch !== null && { epoch }),
  });
}

/** Reads an event that came on the subject of that kind. */
export function readEvent(kind: EventKind, data: Uint8Array): ZoneEvent | Broken {
  const read = decode(EVENT, data);
  if ("fault" in read) return read;
  const { zone, serial = null, epoch = null, [TIME_FIELD[kind]]: atMs } = read.value;
  return atMs === undefined
    ? { fault: `${TIME_FIELD[kind]} is missing` }
    : { kind, zone, atMs, serial, epoch };
}

/** A question for the data of a zone. */
export interface ZoneDataRequest {
  /** With its final dot. */
  readonly zone: string;
  /** Whether the SOA record is all that is wanted, with its signatures. */
  readonly onlySoa: boolean;
  /** Whether the answer may come in parts. */
  readonly inParts: boolean;
  /** Whether the answer may be the messages of the transfer, rather than text. */
  readonly asMessages: boolean;
  /** For so long, milliseconds, the primary has had what is asked for: what was read from it since will do. */
  readonly changedMsAgo: number;
}

const DATA_REQUEST = z.object({
  zone,
  only_soa: z.boolean().default(false),
  parts: z.boolean().default(false),
  messages: z.boolean().default(false),
  changed_ms_ago: z.number().min(0).default(0),
});

/** Writes a question for the data of a zone. */
export function encodeDataRequest(
  { zone, onlySoa, inParts, asMessages, changedMsAgo }: ZoneDataRequest,
  nowMs: number,
): Uint8Array {
  return encode({
    ...{ zone, only_soa: onlySoa, requested_at: rfc3339(nowMs), parts: inParts },
    ...(asMessages && { messages: true }),
    ...(changedMsAgo > 0 && { changed_ms_ago: changedMsAgo }),
  });
}

/** Reads a question for the data of a zone. */
export function readDataRequest(data: Uint8Array): ZoneDataRequest | Broken {
  const read = decode(DATA_REQUEST, data);
  if ("fault" in read) return read;
  const { zone, only_soa, parts, messages, changed_ms_ago } = read.value;
  return {
    ...{ zone, onlySoa: only_soa, inParts: parts, asMessages: messages, changedMsAgo: changed_ms_ago },
  };
}

/** An answer, or a part of it. */
export interface ZoneDataReply {
  /** With its final dot. */
  readonly zone: string;
  /** Lines of a zone file, one record each; empty where there are messages. */
  readonly text: string;
  /** Of the transfer, as the primary wrote them; none where there is text. */
  readonly messages: readonly Uint8Array[];
  /** Whether the primary signs the zone. */
  readonly isSigned: boolean;
  /** Which part, from 0. */
  readonly part: number;
  /** How many there are. */
  readonly parts: number;
}

const DATA_REPLY = z.object({
  zone,
  zone_data: z.string(),
  messages: z.array(
    z.string().transform((text, context) => {
      try {
        return Uint8Array.fromBase64(text);
      } catch {
        context.addIssue({ code: "custom", message: "is no base64" });
        return new Uint8Array(0);
      }
    }),
  ).default([]),
  dnssec_enabled: z.boolean().default(false),
  part: z.int().min(0).max(65_535).default(0),
  parts: z.int().min(1).max(65_536).default(1),
});

/** Writes an answer. */
export function encodeDataReply(
  { zone, text, messages, isSigned, part, parts }: ZoneDataReply,
  nowMs: number,
): Uint8Array {
  return encode({
    zone,
    zone_data: text,
    dnssec_enabled: isSigned,
    presigned_records: isSigned,
    replied_at: rfc3339(nowMs),
    ...(messages.length > 0 && { messages: messages.map((each) => each.toBase64()) }),
    ...(parts > 1 && { part, parts }),
  });
}

/** Reads an answer. */
export function readDataReply(data: Uint8Array): ZoneDataReply | Broken {
  const read = decode(DATA_REPLY, data);
  if ("fault" in read) return read;
  const { zone, zone_data, messages, dnssec_enabled, part, parts } = read.value;
  return { zone, text: zone_data, messages, isSigned: dnssec_enabled, part, parts };
}

/** The signature of a zone's SOA record, which says when all of them were made and end. */
export interface Signature {
  /** Unix seconds. */
  readonly fromSeconds: number;
  /** Unix seconds. */
  readonly untilSeconds: number;
  /** Of the keys that made them, ascending. */
  readonly keyTags: readonly number[];
}

/** What a server holds of a zone. */
export interface ZoneState {
  /** As it is answered; `null` = the zone was never transferred. */
  readonly serial: number | null;
  /** Whether the zone is of this name, but not one that distribution keeps. */
  readonly isForeign: boolean;
  /** `null` = unsigned; absent = not looked at. */
  readonly signature?: Signature | null;
  /** Of all records but signatures; absent = not looked at. */
  readonly digest?: string;
  /** Whether the secondary works on it, or waits to: what it holds isn't what it will hold; absent = it doesn't. */
  readonly isUnderWay?: boolean;
  /** When the secondary last had it from its primary, or found it unchanged there, Unix seconds; absent = never, or not said. */
  readonly checkedSeconds?: number;
}

/** A question for what a secondary holds. */
export interface ZoneStateRequest {
  /** Only these; `null` = all. One alone is said as the Go services have it, several as only those take that say so. */
  readonly zones: readonly string[] | null;
  /** Of the checker; `null` = it has none. */
  readonly epoch: number | null;
  /** Whether to look at signatures. */
  readonly withSignatures: boolean;
  /** Whether to look at the content. */
  readonly withDigests: boolean;
}

/** Zones that are asked about at once. */
export const ZONES_MAX = 1_000;

const STATE_REQUEST = z.object({
  zone: zone.optional(),
  zones: z.array(zone).max(ZONES_MAX).optional(),
  epoch: epoch.optional(),
  signatures: z.boolean().default(false),
  digests: z.boolean().default(false),
});

/** Writes a question for what a secondary holds. */
export function encodeStateRequest(
  { zones, epoch, withSignatures, withDigests }: ZoneStateRequest,
  nowMs: number,
): Uint8Array {
  return encode({
    ...(zones !== null && (zones.length === 1 ? { zone: zones[0] } : { zones })),
    requested_at: rfc3339(nowMs),
    ...(epoch !== null && { epoch }),
    ...(withSignatures && { signatures: true }),
    ...(withDigests && { digests: true }),
  });
}

/** Reads a question for what a secondary holds. */
export function readStateRequest(data: Uint8Array): ZoneStateRequest | Broken {
  const read = decode(STATE_REQUEST, data);
  if ("fault" in read) return read;
  const { zone, zones = zone === undefined ? null : [zone], epoch, signatures, digests } = read.value;
  return { zones, epoch: epoch ?? null, withSignatures: signatures, withDigests: digests };
}

/** What a secondary holds. */
export type StateReply = ReadonlyMap<string, ZoneState>;

const SIGNATURE = z.object({
  signed_from: z.int().min(0),
  signed_until: z.int().min(0),
  key_tags: z.array(z.int().min(0).max(65_535)).max(64),
});

const STATE_REPLY = z.object({
  statemap: z.record(z.string(), signedSerial),
  details: z.record(
    z.string(),
    z.object({
      serial: serial.nullable(),
      foreign: z.boolean().default(false),
      signature: SIGNATURE.nullable().optional(),
      digest: z.string().max(128).optional(),
      checked_at: z.int().min(0).optional(),
      under_way: z.boolean().optional(),
    }),
  ).optional(),
  fault: z.string().max(4_096).optional(),
});

const WITH_EPOCH = z.object({ epoch: epoch.optional() });

/** Writes what a secondary holds. @param epoch the highest that it has heard of; `null` = none */
export function encodeStateReply(
  states: StateReply,
  nowMs: number,
  epoch: number | null = null,
): Uint8Array {
  const own = [...states].filter(([, { isForeign }]) => !isForeign);
  return encode({
    statemap: Object.fromEntries(own.map(([zone, { serial }]) => [zone, (serial ?? 0) | 0])),
    created_at: rfc3339(nowMs),
    ...(epoch !== null && { epoch }),
    details: Object.fromEntries([...states].map(([zone, state]) => [zone, detailsOf(state)])),
  });
}

function detailsOf(
  { serial, isForeign, signature, digest, checkedSeconds, isUnderWay }: ZoneState,
): object {
  return {
    serial,
    ...(isForeign && { foreign: true }),
    ...(signature !== undefined && {
      signature: signature && {
        signed_from: signature.fromSeconds,
        signed_until: signature.untilSeconds,
        key_tags: signature.keyTags,
      },
    }),
    ...(digest !== undefined && { digest }),
    ...(checkedSeconds !== undefined && { checked_at: checkedSeconds }),
    ...(isUnderWay !== undefined && { under_way: isUnderWay }),
  };
}

/** Says that a secondary can't tell what it holds: an empty map would look as if it held nothing. */
export function encodeStateFault(fault: string, nowMs: number): Uint8Array {
  return encode({ statemap: {}, created_at: rfc3339(nowMs), fault: fault.slice(0, 1_000) });
}

/** Reads what a secondary holds; a secondary that can't tell is as broken as what can't be read. */
export function readStateReply(data: Uint8Array): StateReply | Broken {
  const read = decode(STATE_REPLY, data);
  if ("fault" in read) return read;
  const { statemap, details, fault } = read.value;
  if (fault !== undefined) return { fault };
  const states = new Map<string, ZoneState>();
  for (const [name, serial] of Object.entries(statemap)) {
    const zone = canonicalZone(name);
    if (zone === null) {
      return { fault: `statemap has ${JSON.stringify(name.slice(0, 80))}, which is no zone` };
    }
    states.set(zone, { serial, isForeign: false });
  }
  for (const [name, said] of Object.entries(details ?? {})) {
    const { serial, foreign, signature, digest, checked_at, under_way } = said;
    const zone = canonicalZone(name);
    if (zone === null) {
      return { fault: `details have ${JSON.stringify(name.slice(0, 80))}, which is no zone` };
    }
    states.set(zone, {
      serial,
      isForeign: foreign,
      ...(signature !== undefined && {
        signature: signature && {
          fromSeconds: signature.signed_from,
          untilSeconds: signature.signed_until,
          keyTags: signature.key_tags,
        },
      }),
      ...(digest !== undefined && { digest }),
      ...(checked_at !== undefined && { checkedSeconds: checked_at }),
      ...(under_way !== undefined && { isUnderWay: under_way }),
    });
  }
  return states;
}

/** The highest epoch that a secondary has heard of, as its answer says; `null` = it doesn't say. */
export function epochOfReply(data: Uint8Array): number | null {
  const read = decode(WITH_EPOCH, data);
  return "fault" in read ? null : read.value.epoch ?? null;
}

/** What a service says when it has connected. */
export interface Hello {
  /** Such as `secondary-syncer`. */
  readonly service: string;
  /** Its host name. */
  readonly host: string;
  /** Drawn with each connection: what was said before it, the secondary may not have heard. */
  readonly session: string;
  /** Whether several zones may be asked about at once; the Go services would answer with all that they hold. */
  readonly takesLists: boolean;
}

const HELLO = z.object({
  service: z.string().max(64).default("secondary-syncer"),
  host: z.string().min(1).max(255),
  session: z.string().max(64),
  zone_lists: z.boolean().default(false),
});

/** Writes it. */
export function encodeHello({ service, host, session, takesLists }: Hello, nowMs: number): Uint8Array {
  return encode({ service, host, session, sent_at: rfc3339(nowMs), zone_lists: takesLists });
}

/** Reads it. */
export function readHello(data: Uint8Array): Hello | Broken {
  const read = decode(HELLO, data);
  if ("fault" in read) return read;
  const { zone_lists, ...said } = read.value;
  return { ...said, takesLists: zone_lists };
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

function encode(value: unknown): Uint8Array {
  return ENCODER.encode(JSON.stringify(value));
}

function decode<Value>(schema: z.ZodType<Value>, data: Uint8Array): { readonly value: Value } | Broken {
  let json: unknown;
  try {
    json = JSON.parse(DECODER.decode(data));
  } catch {
    return { fault: `is no JSON (${data.length} bytes)` };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { value: parsed.data };
  const [issue] = parsed.error.issues;
  return { fault: `${issue!.path.join(".") || "the payload"}: ${issue!.message}` };
}
