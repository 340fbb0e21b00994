/**
 * The record is a pool of a Pleiades node: its members are the addresses, its lock holds the block.
 *
 * Members are written all at once, on condition that none has changed since they were read. Those that stay are sent back as
 * they came, so they keep weight, region, geo rules and health; members by name and of the other family are left alone.
 *
 * Guards of the node that judge shares are passed, where they refuse a write, since their limits are meant for people: of
 * a pool that many names share a second server takes half of all answers when it joins, and several that fail at once are
 * more than may be deleted. What an agent may do is bounded by its own rules, and the history says what it passed. What
 * would leave a name without addresses stays refused: an address that fails is better than none.
 *
 * @module
 */
import { ApiRefusal, GuardRefusal, refusalText } from "../../cli/api_refusal.ts";
import { ApiClient, isJsonObject, type JsonObject, type WriteFlags, writeQuery } from "../../cli/client.ts";
import {
  NO_RECORDS,
  type RecordManager,
  type RecordSet,
  RecordsRefused,
  type RecordType,
  refuseEmpty,
  type WriteResult,
  type WriteTerms,
} from "../records.ts";

/** A pool of a node. */
export interface RestOptions {
  /** Where its API listens. */
  readonly api: string;
  /** Bearer token of scope `write`; `null` = none is asked for. */
  readonly token: string | null;
  /** The pool's name. */
  readonly pool: string;
  /** Of new members. */
  readonly port: number;
}

/** Longest wait for an answer, milliseconds; after it a change may have been made all the same. */
const TIMEOUT_MS = 10_000;

/** Most members that can be written at once. */
const MEMBERS_MAX = 1_000;

/** Guards whose limits are meant for people. */
const PASSED: ReadonlySet<string> = new Set(["moved-share", "deleted-share"]);

/** Fields of a member that are shown and can't be written. */
const READ_ONLY = ["id", "poolId", "health", "override"];

/** Addresses as members of a pool. */
export class RestRecords implements RecordManager {
  readonly #api: ApiClient;
  readonly #options: RestOptions;
  #poolId: string | null = null;

  /** Asks nothing yet. */
  constructor(options: RestOptions) {
    this.#options = options;
    const { api, token } = options;
    const silent = { env: () => undefined, err: () => {} };
    this.#api = new ApiClient({ api, ...(token !== null && { token }) }, silent, { timeoutMs: TIMEOUT_MS });
  }

  /** Reads members of the type's family, or the lock. A pool has no TTL of its own, so it is 0. */
  async read(_fqdn: string, type: RecordType, signal: AbortSignal): Promise<RecordSet> {
    const { body, etag } = await this.#get(type === "TXT" ? "lock" : "members", signal);
    if (type === "TXT") {
      const values = isJsonObject(body) && Array.isArray(body["values"]) ? body["values"].map(String) : [];
      return { values, ttl: 0, version: JSON.stringify({ etag }) };
    }
    const members = Array.isArray(body) ? body.filter(isJsonObject) : [];
    const addresses = members.map(addressOf).filter((address) => isOfType(address, type));
    if (addresses.length === 0 && members.length === 0) {
      return { ...NO_RECORDS, version: JSON.stringify({ etag, members }) };
    }
    return { values: [...new Set(addresses)], ttl: 0, version: JSON.stringify({ etag, members }) };
  }

  /** Writes all members, or the lock; what is written is live when the call returns. */
  async write(
    fqdn: string,
    type: RecordType,
    values: readonly string[],
    { ttl, expected }: WriteTerms,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    refuseEmpty(fqdn, values);
    const { etag, members } = versionOf(expected);
    if (type === "TXT") {
      return await this.#change("PUT", "lock", { json: { values, ttlSeconds: ttl }, ifMatch: etag }, signal);
    }
    const kept = members.filter((member) => {
      const address = addressOf(member);
      return !isOfType(address, type) || values.includes(address);
    });
    const present = kept.map(addressOf);
    const added = values.filter((address) => !present.includes(address))
      .map((ipAddress) => ({ ipAddress, port: this.#options.port }));
    const all = [...kept.map(writable), ...added];
    if (all.length > MEMBERS_MAX) throw tooMany(this.#options.pool);
    const removed = members.map(addressOf).filter((address) =>
      isOfType(address, type) && !present.includes(address)
    );
    const reason = reasonOf(added.map(({ ipAddress }) => ipAddress), removed);
    const put = (flags: WriteFlags) =>
      this.#change("PUT", `members${writeQuery(flags)}`, { json: all, ifMatch: etag }, signal);
    try {
      return await put({ reason });
    } catch (error) {
      if (!(error instanceof GuardRefusal)) throw error;
      const passed = this.#passable(error);
      return await put({ force: true, reason: `${reason}; past ${passed.join(" and ")}` });
    }
  }

  /** Gives the lock back; members are never all deleted. */
  async delete(
    fqdn: string,
    type: RecordType,
    expected: RecordSet,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    if (type !== "TXT") refuseEmpty(fqdn, []);
    if (expected.values.length === 0) return "written";
    return await this.#change("DELETE", "lock", { ifMatch: versionOf(expected).etag }, signal);
  }

  /** Makes sure that there is the pool. */
  async check(fqdn: string, type: RecordType, signal: AbortSignal): Promise<void> {
    await this.read(fqdn, type, signal);
  }

  /** The guards that refuse a write, by name. @throws {RecordsRefused} when one of them is none to pass */
  #passable({ refusals }: GuardRefusal): string[] {
    const lasting = refusals.filter(({ guard }) => !PASSED.has(guard));
    if (lasting.length === 0) return [...new Set(refusals.map(({ guard }) => guard))];
    throw new RecordsRefused(
      `the node refuses it: ${lasting.map(refusalText).join("; ")} ` +
        `(enable another member of the pool ${this.#options.pool}, or change it by hand)`,
    );
  }

  async #get(part: "members" | "lock", signal: AbortSignal) {
    const query = part === "members" ? `?limit=${MEMBERS_MAX}` : "";
    const response = await this.#request("GET", `/${part}${query}`, undefined, signal);
    const body: unknown = await response.json();
    const etag = response.headers.get("etag");
    if (etag === null) throw tooMany(this.#options.pool);
    return { body, etag };
  }

  async #change(
    method: "PUT" | "DELETE",
    part: string,
    body: { readonly json?: unknown; readonly ifMatch: string },
    signal: AbortSignal,
  ): Promise<WriteResult> {
    try {
      await (await this.#request(method, `/${part}`, body, signal)).body?.cancel();
      return "written";
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 412) return "changed";
      throw error;
    }
  }

  async #request(
    method: string,
    path: string,
    body: { readonly json?: unknown; readonly ifMatch: string } | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const over = new AbortController();
    const end = () => over.abort();
    const timer = setTimeout(end, TIMEOUT_MS);
    signal.addEventListener("abort", end);
    // A server that compresses makes the tag a weak one, which never matches.
    const terms = { headers: { "accept-encoding": "identity" }, signal: over.signal };
    try {
      signal.throwIfAborted();
      this.#poolId ??= await this.#find();
      return await this.#api.request(method, `/pools/${this.#poolId}${path}`, body, terms);
    } catch (error) {
      signal.throwIfAborted();
      throw this.#explained(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
    }
  }

  async #find(): Promise<string> {
    const { pool } = this.#options;
    const found = (await this.#api.list("/pools")).find(({ name }) => name === pool);
    if (found !== undefined) return String(found["id"]);
    throw new RecordsRefused(
      `there is no pool ${JSON.stringify(pool)} (fix agent.pleiades.pool, or create it)`,
    );
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof ApiRefusal)) return error;
    // It may have been deleted and created again.
    if (error.status === 404) this.#poolId = null;
    if (error.status !== 401 && error.status !== 403) return error;
    return new RecordsRefused(
      `${error.message.split("\n")[0]} (fix agent.pleiades.token: it needs the scope write)`,
    );
  }
}

function versionOf(
  { version }: RecordSet,
): { readonly etag: string; readonly members: readonly JsonObject[] } {
  const { etag = '"never read"', members = [] } = version === undefined ? {} : JSON.parse(version);
  return { etag, members };
}

function addressOf(member: JsonObject): string {
  return typeof member["ipAddress"] === "string" ? member["ipAddress"] : "";
}

function isOfType(address: string, type: RecordType): boolean {
  return address !== "" && address.includes(":") === (type === "AAAA");
}

function writable(member: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(member).filter(([name]) => !READ_ONLY.includes(name)));
}

/** For the history: what comes and goes, however many that are. */
function reasonOf(added: readonly string[], removed: readonly string[]): string {
  const what = [["added", added], ["removed", removed]] as const;
  const words = what.flatMap(([verb, addresses]) => {
    if (addresses.length === 0) return [];
    const more = addresses.length > NAMED_MAX ? ` and ${addresses.length - NAMED_MAX} more` : "";
    return `${verb} ${addresses.slice(0, NAMED_MAX).join(", ")}${more}`;
  });
  return `pleiades agent: ${words.join("; ") || "the members as they are"}`;
}

/** Addresses that a reason names of those that come, and of those that go. */
const NAMED_MAX = 8;

function tooMany(pool: string): RecordsRefused {
  return new RecordsRefused(`the pool ${pool} has more than ${MEMBERS_MAX} members, too many for an agent`);
}
