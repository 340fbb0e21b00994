/**
 * A client of the API of PowerDNS: what the services ask of it, and in which words it refuses.
 *
 * Source: doc.powerdns.com/authoritative/http-api; what it doesn't say was tried with 4.7.3: serials are unsigned and 0 is one
 * of them, a zone that was never transferred shows 0, too; refusals are plain text but for 422, which is JSON.
 *
 * @module
 */
import { z } from "zod";
import { answerHead, type Header, HttpReader, writeMessage } from "./http_message.ts";
import { connectUpstream, type Upstream, upstreamOf } from "./upstream.ts";

/** How a server is reached. */
export interface PowerDnsTerms {
  /** Without a path, such as `http://127.0.0.1:8081`. */
  readonly url: string;
  /** Goes into `X-API-Key`. */
  readonly apiToken: string;
  /** `localhost` unless a proxy holds several. */
  readonly serverId: string;
}

/** A zone as the API lists it. */
export interface ApiZone {
  /** Lower-case, with its final dot. */
  readonly name: string;
  /** `Native`, `Master`, `Slave` … */
  readonly kind: string;
  /** As it is answered, where the API says that; else as it is stored. */
  readonly serial: number;
  /** Whether the server signs it, or it was transferred signed. */
  readonly dnssec: boolean;
  /** Where a secondary transfers it from. */
  readonly masters: readonly string[];
  /** When a secondary last had it from its primary, or found it unchanged there; Unix seconds, 0 = never. */
  readonly lastCheck: number;
}

/** The API refused, or couldn't be reached. */
export class PowerDnsError extends Error {
  /** The class's name, whatever a bundler makes of it. */
  override readonly name: string = "PowerDnsError";

  /**
   * Creates the error.
   *
   * @param status of HTTP; `null` = there was no answer
   */
  constructor(message: string, readonly status: number | null, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A zone file of a million records takes tens of seconds to be read back; lists take one. */
const TIMEOUT_MS = 15_000;
/** Characters of a refusal that are told. */
const REASON_MAX = 300;

const ZONE = z.object({
  name: z.string(),
  kind: z.string(),
  serial: z.int().min(0).max(0xffff_ffff),
  edited_serial: z.int().min(0).max(0xffff_ffff).optional(),
  dnssec: z.boolean().default(false),
  masters: z.array(z.string()).default([]),
  last_check: z.number().catch(0),
}).transform(({ name, kind, serial, edited_serial, dnssec, masters, last_check }): ApiZone => ({
  ...{ name: name.toLowerCase(), kind, dnssec, masters, lastCheck: last_check },
  serial: edited_serial ?? serial,
}));
const METADATA = z.object({ nsec3param: z.string().default("") });

/** Bytes of an answer: the list of a million zones. */
const ANSWER_MAX = 512 * 1024 * 1024;
const NONE = new Uint8Array(0);
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** A client of one server. */
export class PowerDns {
  readonly #terms: PowerDnsTerms;
  readonly #upstream: Upstream;
  /** What stands before each path. */
  readonly #base: string;
  readonly #headers: readonly Header[];
  readonly #onCall: (what: string, isDone: boolean) => void;

  /** Connects to nothing before it is asked. @param onCall told of each call, for metrics */
  constructor(terms: PowerDnsTerms, onCall: (what: string, isDone: boolean) => void = () => {}) {
    this.#terms = terms;
    this.#onCall = onCall;
    this.#upstream = upstreamOf(terms.url);
    const { host, pathname } = new URL(terms.url);
    this.#base = `${pathname.replace(/\/$/, "")}/api/v1/servers/${terms.serverId}`;
    this.#headers = [
      ...[["Host", host], ["X-API-Key", terms.apiToken], ["Accept", "application/json"]] as const,
      ...[["Content-Type", "application/json"], ["Connection", "close"]] as const,
    ];
  }

  /** All zones; every fault is an error, never a shorter list. @throws {PowerDnsError} */
  zones(): Promise<ApiZone[]> {
    return this.#list("/zones");
  }

  /**
   * All zones of a secondary, which signs none and edits no serials: not to look for that takes PowerDNS far less time. All count
   * as unsigned.
   *
   * @throws {PowerDnsError}
   */
  secondaryZones(): Promise<ApiZone[]> {
    return this.#list("/zones?dnssec=false");
  }

  /** One of them; `null` = there is none. @throws {PowerDnsError} */
  async secondaryZone(zone: string): Promise<ApiZone | null> {
    // The list takes no others for names.
    if (!/^[\w.-]+$/.test(zone)) return await this.zone(zone);
    const found = await this.#list(`/zones?zone=${zone}&dnssec=false`, "get_zone");
    return found.find(({ name }) => name === zone) ?? null;
  }

  /** A zone without its records; `null` = there is none. @throws {PowerDnsError} */
  async zone(zone: string): Promise<ApiZone | null> {
    const json = await this.#json("get_zone", `/zones/${zoneId(zone)}?rrsets=false`, { absent: true });
    if (json === null) return null;
    const parsed = ZONE.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new PowerDnsError(`The zone ${zone} can't be read: ${parsed.error.issues[0]!.message}`, 200);
  }

  /** Makes a zone that is transferred from `master`. @throws {PowerDnsError} */
  async createSecondary(zone: string, master: string): Promise<void> {
    await this.#call("create_zone", "/zones", {
      method: "POST",
      body: {
        name: zone,
        kind: "Slave",
        masters: [master],
        nameservers: [],
        presigned: true,
        soa_edit: "NONE",
        soa_edit_api: "OFF",
      },
    });
  }

  /** Asks for a transfer, which goes on behind the answer. @throws {PowerDnsError} */
  async retrieve(zone: string): Promise<void> {
    await this.#call("axfr_retrieve", `/zones/${zoneId(zone)}/axfr-retrieve`, { method: "PUT" });
  }

  /** Deletes a zone; none is none. @throws {PowerDnsError} */
  async deleteZone(zone: string): Promise<void> {
    await this.#call("delete_zone", `/zones/${zoneId(zone)}`, { method: "DELETE", absent: true });
  }

  /** Forgets answers that were kept for the zone. @throws {PowerDnsError} */
  async flush(zone: string): Promise<void> {
    await this.#call("flush_cache", `/cache/flush?domain=${encodeURIComponent(zone)}`, { method: "PUT" });
  }

  /** How a zone's names are hashed, such as `1 0 0 -`; empty = NSEC. @throws {PowerDnsError} */
  async nsec3Param(zone: string): Promise<string> {
    const json = await this.#json("get_zone", `/zones/${zoneId(zone)}?rrsets=false`);
    return METADATA.parse(json).nsec3param;
  }

  /** Has a zone's names hashed so from now on, and its records put in order. @throws {PowerDnsError} */
  async setNsec3Param(zone: string, nsec3param: string): Promise<void> {
    await this.#call("set_nsec3", `/zones/${zoneId(zone)}`, { method: "PUT", body: { nsec3param } });
    await this.#call("rectify", `/zones/${zoneId(zone)}/rectify`, { method: "PUT" });
  }

  async #list(path: string, what = "list_zones"): Promise<ApiZone[]> {
    const json = await this.#json(what, path);
    const parsed = z.array(ZONE).safeParse(json);
    if (parsed.success) return parsed.data;
    throw new PowerDnsError(`The list of zones can't be read: ${parsed.error.issues[0]!.message}`, 200);
  }

  async #json(what: string, path: string, { absent = false } = {}): Promise<unknown> {
    const text = await this.#call(what, path, { absent });
    if (text === null) return null;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new PowerDnsError(`PowerDNS answers ${path} with what is no JSON`, 200, { cause });
    }
  }

  /** The body of the answer; `null` = 404 or, to a delete, 422 of a zone that isn't there, where that is no fault. */
  async #call(
    what: string,
    path: string,
    { method = "GET", body, absent = false }: {
      readonly method?: string;
      readonly body?: object;
      readonly absent?: boolean;
    } = {},
  ): Promise<string | null> {
    let isDone = false;
    try {
      const { status, text } = await this.#exchange(`${method} ${this.#base}${path} HTTP/1.1`, body);
      const isGood = status >= 200 && status < 300;
      isDone = isGood || (absent && status === 404);
      if (isGood) return text;
      if (isDone) return null;
      throw new PowerDnsError(
        `PowerDNS refuses ${method} ${path.split("?")[0]} with ${status}: ${reasonOf(text)}`,
        status,
      );
    } catch (cause) {
      if (cause instanceof PowerDnsError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PowerDnsError(`PowerDNS at ${this.#terms.url} doesn't answer: ${reason}`, null, { cause });
    } finally {
      this.#onCall(what, isDone);
    }
  }

  /** @throws {Error} when no whole answer comes in time */
  async #exchange(
    startLine: string,
    body: object | undefined,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const late = new AbortController();
    let conn: Deno.Conn | null = null;
    const close = () => {
      conn?.close();
      conn = null;
    };
    const timer = setTimeout(() => {
      late.abort("late"); // without a reason an exception is made
      close();
    }, TIMEOUT_MS);
    try {
      const opened = conn = await connectUpstream(this.#upstream, late.signal);
      const bytes = body === undefined ? null : ENCODER.encode(JSON.stringify(body));
      const isBodiless = startLine.startsWith("GET ");
      await writeMessage(opened, { startLine, headers: this.#headers }, bytes ?? (isBodiless ? null : NONE));
      const reader = new HttpReader(opened);
      const { head, status } = await answerHead(reader);
      if (status === 204 || status === 304) return { status, text: "" };
      const { body: answer, isCut } = await reader.body(head, { sizeMax: ANSWER_MAX, toEnd: true });
      if (isCut) throw new Error("the connection ended within the answer");
      return { status, text: DECODER.decode(answer) };
    } catch (error) {
      if (late.signal.aborted) throw new Deno.errors.TimedOut(`nothing came within ${TIMEOUT_MS} ms`);
      throw error;
    } finally {
      clearTimeout(timer);
      close();
    }
  }
}

/** Refusals are JSON with `error`, or plain text. */
function reasonOf(text: string): string {
  try {
    const { error } = z.object({ error: z.string() }).parse(JSON.parse(text));
    return error.slice(0, REASON_MAX);
  } catch {
    return text.trim().slice(0, REASON_MAX) || "no reason given";
  }
}

/** What is neither a letter, a digit, a dot nor a hyphen stands as `=XX` in the API's paths. */
export function zoneId(zone: string): string {
  return [...new TextEncoder().encode(zone)].map((byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9.-]/.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}
