/**
 * A database with pools and services in it, and a desk at it.
 *
 * @module
 */
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { systemClock } from "../../src/clock.ts";
import { MEMBER_DEFAULTS, POOL_DEFAULTS, SERVICE_DEFAULTS } from "../../src/model/model.ts";
import { newId } from "../../src/model/id.ts";
import { Store } from "../../src/store/store.ts";
import { StoreDesk } from "../../src/tui/store_desk.ts";

/** Pools by name, with their members' addresses; services by domain, with their pools. */
export interface Filling {
  readonly pools?: Readonly<Record<string, readonly string[]>>;
  readonly services?: Readonly<Record<string, string | null>>;
}

/** Puts it into a database, as the API would. Gives the ids of pools, and of members by address. */
export function fill(path: string, { pools = {}, services = {} }: Filling): Record<string, string> {
  using store = Store.open(path);
  const ids: Record<string, string> = {};
  const idOf = (name: string) => ids[name] ??= newId();
  const edits: Edit[] = [];
  for (const [name, addresses] of Object.entries(pools)) {
    edits.push({ kind: "createPool", id: idOf(name), fields: { ...POOL_DEFAULTS, name } });
    for (const ipAddress of addresses) {
      const fields = { ...MEMBER_DEFAULTS, ipAddress, port: 443 };
      edits.push({ kind: "createMember", id: idOf(ipAddress), poolId: idOf(name), fields });
    }
  }
  for (const [domain, pool] of Object.entries(services)) {
    const poolId = pool === null ? null : idOf(pool);
    edits.push({ kind: "createService", id: idOf(domain), fields: { ...SERVICE_DEFAULTS, domain, poolId } });
  }
  new Changes({ store, clock: systemClock }).commit(edits, { via: "api", by: "grace", reason: "" });
  return ids;
}

/** A database in a folder of its own, and a desk at it; both are gone at the end. */
export class DeskFixture implements AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  readonly desk: StoreDesk;
  readonly ids: Readonly<Record<string, string>>;

  constructor(filling: Filling = {}) {
    this.folder = Deno.makeTempDirSync();
    this.path = `${this.folder}/pleiades.db`;
    this.ids = fill(this.path, filling);
    this.desk = new StoreDesk({ path: this.path, author: "ada" }, systemClock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.desk[Symbol.dispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}
