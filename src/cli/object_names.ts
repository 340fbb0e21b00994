/**
 * Finds pools and members by what they are called, wherever a command takes a name in place of an id.
 *
 * A pool goes by its name. A member goes by `POOL/ADDRESS:PORT`, and by as much less of it as no other member has:
 * `POOL/ADDRESS`, `ADDRESS:PORT`, `ADDRESS`; members by name by their host names.
 *
 * @module
 */
import { isId } from "../model/id.ts";
import { nearest } from "../input/nearest.ts";
import { canonicalIp } from "../ip.ts";
import type { ApiClient, JsonObject } from "./client.ts";
import { CommandFailed } from "./failure.ts";

/** Looks names up, each list once. */
export class ObjectNames {
  readonly #api: ApiClient;
  #pools: readonly JsonObject[] | null = null;
  readonly #members = new Map<string, readonly JsonObject[]>();

  /** Asks nothing yet. */
  constructor(api: ApiClient) {
    this.#api = api;
  }

  /** All pools. */
  async pools(): Promise<readonly JsonObject[]> {
    return this.#pools ??= await this.#api.list("/pools");
  }

  /** The members of a pool. */
  async membersOf(poolId: string): Promise<readonly JsonObject[]> {
    const known = this.#members.get(poolId) ?? await this.#api.list(`/pools/${poolId}/members`);
    this.#members.set(poolId, known);
    return known;
  }

  /** The pool of that name or id. @throws {CommandFailed} with the name that was probably meant */
  async pool(reference: string): Promise<JsonObject> {
    const pools = await this.pools();
    const pool = pools.find((each) => idOf(each) === reference || each["name"] === reference);
    if (pool === undefined) {
      throw noSuch({ one: "pool", list: "pools list" }, reference, pools.map(({ name }) => name));
    }
    return pool;
  }

  /** What a pool is called. */
  async poolName(id: unknown): Promise<string> {
    if (typeof id !== "string") return "";
    const pool = (await this.pools()).find((each) => idOf(each) === id);
    return String(pool?.["name"] ?? id);
  }

  /**
   * The id of the member that a reference means.
   *
   * @param poolId where it must be; `null` = in any pool
   * @throws {CommandFailed} when it means none, or several
   */
  async memberId(reference: string, poolId: string | null): Promise<string> {
    const text = reference.replace(/^member:/, "");
    if (isId(text)) return text;
    const slash = text.indexOf("/");
    const within = slash < 0 ? poolId : idOf(await this.pool(text.slice(0, slash)));
    const poolIds = within === null ? (await this.pools()).map(idOf) : [within];
    const rows: JsonObject[] = [];
    for (const id of poolIds) rows.push(...await this.membersOf(id));
    const found = rows.filter((row) => isCalled(row, text.slice(slash + 1)));
    const [first, ...others] = found;
    if (first === undefined) {
      const list = within === null ? "members list" : `members list --pool ${await this.poolName(within)}`;
      throw noSuch({ one: "member", list }, reference, rows.map(addressOf));
    }
    if (others.length === 0) return idOf(first);
    const names = await Promise.all(found.slice(0, NAMED_MAX).map((row) => this.nameOf(row)));
    const more = found.length - names.length;
    throw new CommandFailed(
      `"${reference}" is the name of ${found.length} members: ${names.join(", ")}` +
        `${more > 0 ? ` and ${more} more` : ""} (give one of these)`,
    );
  }

  /** What a member is called beyond doubt: `web/192.0.2.1:443`. */
  async nameOf(member: JsonObject): Promise<string> {
    return `${await this.poolName(member["poolId"])}/${placeOf(member)}`;
  }
}

/** Names that are listed in a message at most. */
const NAMED_MAX = 10;

/** The failure of a name that nothing has, with the one that was probably meant. */
export function noSuch(
  { one, list }: { readonly one: string; readonly list: string },
  reference: string,
  names: readonly unknown[],
): CommandFailed {
  const near = nearest(reference, names.filter((name) => typeof name === "string"));
  const fix = near === null ? `"pleiades ${list}" shows them` : `did you mean "${near}"?`;
  return new CommandFailed(`No ${one} is called "${reference}" (${fix})`);
}

/** Whether a member is meant by an address or host name, with or without its port. */
function isCalled(row: JsonObject, reference: string): boolean {
  const wanted = canonicalName(reference);
  return wanted === canonicalName(addressOf(row)) || wanted === canonicalName(placeOf(row)) ||
    canonicalPlace(wanted) === placeOf(row);
}

/** An address in brackets in its canonical form: `[2001:DB8:0::1]:443` is `[2001:db8::1]:443`. */
function canonicalPlace(text: string): string {
  const [, address, port] = /^\[([^\]]+)\](:\d+)$/.exec(text) ?? [];
  return address === undefined ? text : `[${canonicalIp(address) ?? address}]${port}`;
}

/** What a member is called within its pool, without its port. */
export function addressOf(row: JsonObject): string {
  return String(row["ipAddress"] ?? row["target"] ?? "");
}

/** What a member is called within its pool: `192.0.2.1:443`, `[2001:db8::1]:443`. */
export function placeOf(row: JsonObject): string {
  const address = addressOf(row);
  return `${address.includes(":") ? `[${address}]` : address}:${row["port"]}`;
}

/** Names are compared as the API stores them: lower-case, no final dot, addresses in canonical form. */
export function canonicalName(name: string): string {
  return canonicalIp(name) ?? name.toLowerCase().replace(/(?<=.)\.$/, "");
}

/** An object's id. */
export function idOf(row: JsonObject): string {
  return String(row["id"]);
}
