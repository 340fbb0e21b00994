/**
 * What the history and differences have of objects, fields before and after, as changes that people can read: with names,
 * with what happens, and with what they go along with.
 *
 * @module
 */
import { type ApiClient, isJsonObject, type JsonObject } from "./client.ts";
import { CommandFailed } from "./failure.ts";
import { placeOf } from "./object_names.ts";
import type { ObjectChange } from "./plan_document.ts";

/** Pools that are asked for by id, for their names; what is in one of the others goes by the id of its pool. */
const POOLS_ASKED_MAX = 20;

/** Kinds of objects that a pool has. */
const IN_POOLS: readonly string[] = ["member", "healthCheck", "geoRule"];

/** The changes of `/history/{generation}` or `/diff`; a name that the API gives is kept. */
export async function namedChanges(
  changes: readonly JsonObject[],
  api: ApiClient,
): Promise<ObjectChange[]> {
  const pools = new PoolNames(changes, api);
  const named: ObjectChange[] = [];
  for (const change of changes) {
    const { before = null, after = null } = change;
    const kind = String(change["kind"]);
    const id = String(change["id"]);
    const action = before === null ? "created" : after === null ? "deleted" : "changed";
    const fields = isJsonObject(after) ? after : isJsonObject(before) ? before : {};
    const poolId = String(fields["poolId"]);
    const pool = IN_POOLS.includes(kind) ? await pools.nameOf(poolId) : "";
    const name = change["name"] ?? nameOf({ kind, id, fields, pool });
    const goesAlong = IN_POOLS.includes(kind) && action === "deleted" && pools.isDeleted(poolId);
    named.push({
      kind,
      id,
      name: String(name),
      action,
      with: goesAlong ? `pool ${pool}` : null,
      before,
      after,
    });
  }
  return named;
}

/** What pools are called: by the changes themselves where they have them, else by the API. */
class PoolNames {
  readonly #api: ApiClient;
  readonly #names = new Map<string, string>();
  readonly #deleted = new Set<string>();
  #asked = 0;

  constructor(changes: readonly JsonObject[], api: ApiClient) {
    this.#api = api;
    for (const { kind, id, before, after } of changes) {
      const fields = isJsonObject(after) ? after : before;
      if (kind !== "pool" || !isJsonObject(fields)) continue;
      this.#names.set(String(id), String(fields["name"]));
      if (!isJsonObject(after)) this.#deleted.add(String(id));
    }
  }

  isDeleted(id: string): boolean {
    return this.#deleted.has(id);
  }

  async nameOf(id: string): Promise<string> {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = this.#asked++ < POOLS_ASKED_MAX ? await this.#ask(id) : id;
    this.#names.set(id, name);
    return name;
  }

  /** A pool that is gone by now has no name any more. */
  async #ask(id: string): Promise<string> {
    try {
      return String((await this.#api.get(`/pools/${id}`))["name"]);
    } catch (error) {
      if (error instanceof CommandFailed) return id;
      throw error;
    }
  }
}

interface Unnamed {
  readonly kind: string;
  readonly id: string;
  readonly fields: JsonObject;
  /** Of the pool that it is in. */
  readonly pool: string;
}

function nameOf({ kind, id, fields, pool }: Unnamed): string {
  switch (kind) {
    case "pool":
      return String(fields["name"]);
    case "member":
      return `${pool}/${placeOf(fields)}`;
    case "healthCheck":
      return pool;
    case "geoRule":
      return `${pool}: ${clientsOf(fields)}`;
    case "service":
      return String(fields["domain"]);
    case "fallback":
      return "static fallback";
    case "override":
      return `${fields["state"]} ${fields["target"]}`;
    default:
      return id;
  }
}

/** The clients of a geo rule. */
export function clientsOf({ cidr, country, continent, asn }: JsonObject): string {
  if (typeof cidr === "string") return cidr;
  if (typeof country === "string") return `country ${country}`;
  return typeof continent === "string" ? `continent ${continent}` : `AS${asn ?? ""}`;
}
