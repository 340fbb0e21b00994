/**
 * A client of the API of PowerDNS: what the services ask of it, and in which words it refuses.
 *
 * Source: doc.powerdns.com/authoritative/http-api; what it doesn't say was tried with 4.7.3: serials are unsigned and 0 is one
 * of them, a zone that was never transferred shows 0, too; refusals are plain text but for 422, which is JSON.
 *
 * @module
 */
import { z } from "zod";

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

/** A client of one server. */
export class PowerDns {
  readonly #terms: PowerDnsTerms;
  readonly #onCall: (what: string, isDone: boolean) => void;

  /** Connects to nothing before it is asked. @param onCall told of each call, for metrics */
  constructor(terms: PowerDnsTerms, onCall: (what: string, isDone: boolean) => void = () => {}) {
    this.#terms = terms;
    this.#onCall = onCall;
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
    const { url, apiToken, serverId } = this.#terms;
    let isDone = false;
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new Deno.errors.TimedOut(`nothing came within ${TIMEOUT_MS} ms`)),
      TIMEOUT_MS,
    );
    try {
      const response = await fetch(`${url.replace(/\/$/, "")}/api/v1/servers/${serverId}${path}`, {
        method,
        headers: { "X-API-Key": apiToken, "Content-Type": "application/json" },
        redirect: "error",
        signal: late.signal,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      isDone = response.ok || (absent && response.status === 404);
      if (response.ok) return text;
      if (isDone) return null;
      throw new PowerDnsError(
        `PowerDNS refuses ${method} ${path.split("?")[0]} with ${response.status}: ${reasonOf(text)}`,
        response.status,
      );
    } catch (cause) {
      if (cause instanceof PowerDnsError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PowerDnsError(`PowerDNS at ${url} doesn't answer: ${reason}`, null, { cause });
    } finally {
      clearTimeout(timer);
      this.#onCall(what, isDone);
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
