/**
 * Zones of static records: their text as it was written, and the zone cuts it holds.
 *
 * @module
 */
import type { Zone } from "../model/model.ts";
import type { Database } from "./database.ts";
import { type Page, pageOf, type PageRequest } from "./page.ts";
import { ZoneCuts } from "./zone_cuts.ts";

/** A zone and when it last changed. */
export interface ZoneRow extends Zone {
  /** The generation at which the row last changed. */
  readonly revision: number;
}

/** Reads zones. */
export class Zones {
  /** Where the zones hand names over to other servers. */
  readonly cuts: ZoneCuts;
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
    this.cuts = new ZoneCuts(database, { zones: "zones", cuts: "zone_cuts" });
  }

  /** The zone of exactly that domain (lower-case, no final dot), or `null`. */
  get(domain: string): ZoneRow | null {
    const row = this.#database.get<ZoneRow>(
      "SELECT domain, text, revision FROM zones WHERE domain = ?",
      domain,
    );
    return row ? { ...row } : null;
  }

  /** All zones with their text, by domain. */
  all(): Zone[] {
    return this.#database.all<Zone>("SELECT domain, text FROM zones ORDER BY domain").map((row) => ({
      ...row,
    }));
  }

  /** A page of the zones' domains, without their text. */
  page({ limit, cursor }: PageRequest): Page<Omit<ZoneRow, "text">> {
    const rows = this.#database.all<Omit<ZoneRow, "text">>(
      "SELECT domain, revision FROM zones WHERE domain > ? ORDER BY domain LIMIT ?",
      cursor ?? "",
      limit + 1,
    );
    return pageOf(rows.map((row) => ({ ...row })), { limit, keyOf: (zone) => zone.domain });
  }

  /** Where the zone hands names over to other servers (NS records below its apex), in ASCII order. */
  cutsOf(domain: string): string[] {
    return this.#database.all<{ cut: string }>(
      "SELECT cut FROM zone_cuts WHERE zone_domain = ? ORDER BY cut",
      domain,
    ).map((row) => row.cut);
  }

  /** The domains of all zones. */
  domains(): string[] {
    return this.#database.all<{ domain: string }>("SELECT domain FROM zones").map(({ domain }) => domain);
  }

  /** How many there are. */
  count(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM zones")!.n;
  }
}
