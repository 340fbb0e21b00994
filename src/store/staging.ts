/**
 * A whole model on its way into the database: its objects in temporary tables, where SQL can compare them with each
 * other and with what is stored, a million at a time.
 *
 * The tables belong to one connection and are never in the file. Objects refer to each other by name, parts to their
 * pool by its number. Everything here was checked on its own before; what needs other objects is found by the
 * queries: references, circles of fallbacks, services below a zone cut.
 *
 * @module
 */
import type { SQLInputValue } from "node:sqlite";
import type { HealthCheck } from "../model/model.ts";
import type { ModelSink, ReadZone } from "../model/model_reader.ts";
import type { ServiceFile } from "../model/model_schema.ts";
import type { Place } from "../model/places.ts";
import type { JoinedPool, JoinedRule } from "../model/pool_parts.ts";
import { GEO_RULE, HEALTH_CHECK, MEMBER, POOL, SERVICE } from "./columns.ts";
import type { Database } from "./database.ts";
import { namesBelow, reversedDomain } from "./services.ts";
import { ZoneCuts } from "./zone_cuts.ts";

// References are staged as names and numbers.
const STAGED_POOL = POOL.without("fallbackPoolId");
const STAGED_GEO_RULE = GEO_RULE.without("memberId");
const STAGED_SERVICE = SERVICE.without("poolId");

/** Members are half of the rows, and one by one a call costs more than its row. */
const MEMBERS_AT_ONCE = 32;
const MEMBER_WIDTH = 2 + MEMBER.names.length;

/** How many objects are staged. */
export interface StagedCounts {
  /** Each name once. */
  readonly pools: number;
  /** Of all pools. */
  readonly members: number;
  /** At most one for each pool. */
  readonly healthChecks: number;
  /** Of all pools. */
  readonly geoRules: number;
  /** Each domain once. */
  readonly services: number;
  /** Each domain once. */
  readonly zones: number;
}

/** An object that refers to a pool. */
export interface PoolReference {
  /** Where it stands. */
  readonly place: Place;
  /** The pool's name. */
  readonly pool: string;
}

/** The staged objects of one connection; there is one at a time, and it is gone when disposed of. */
export class Staging implements ModelSink, Disposable {
  readonly #database: Database;
  readonly #zoneCuts: ZoneCuts;
  readonly #counts = { pools: 0, members: 0, healthChecks: 0, geoRules: 0, services: 0, zones: 0 };
  /** Members that aren't written yet, value behind value. */
  #waiting: SQLInputValue[] = [];
  #cuts = 0;

  /** Makes the tables; the connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
    this.#zoneCuts = new ZoneCuts(database, { zones: "temp.staged_zones", cuts: "temp.staged_cuts" });
    database.exec(DROP_TABLES + CREATE_TABLES);
  }

  /** How many objects are staged. */
  get counts(): StagedCounts {
    return this.#counts;
  }

  /** Stages a pool. @returns the place of the pool that has its name already, else `null` */
  pool(pool: JoinedPool, place: Place): Place | null {
    const seq = this.#counts.pools + 1;
    const inserted = this.#database.run(
      INSERT_POOL,
      seq,
      place,
      pool.fallbackPool,
      ...STAGED_POOL.valuesOf(pool),
    );
    if (inserted === 0) return this.#placeOf("SELECT place FROM temp.staged_pools WHERE name = ?", pool.name);
    this.#counts.pools = seq;
    const firstMember = this.#counts.members + 1;
    for (const member of pool.members) this.#member(member, seq);
    if (pool.healthCheck) this.#healthCheck(pool.healthCheck, seq);
    for (const rule of pool.geoRules) this.#geoRule(rule, { pool: seq, member: firstMember + rule.member });
    return null;
  }

  /** Stages a service. @returns the place of the service that has its domain already, else `null` */
  service(service: ServiceFile, place: Place): Place | null {
    const { domain, pool } = service;
    const inserted = this.#database.run(
      INSERT_SERVICE,
      this.#counts.services + 1,
      place,
      pool,
      reversedDomain(domain),
      ...STAGED_SERVICE.valuesOf(service),
    );
    if (inserted === 0) {
      return this.#placeOf("SELECT place FROM temp.staged_services WHERE domain = ?", domain);
    }
    this.#counts.services++;
    return null;
  }

  /** Stages a zone. @returns the place of the zone that has its domain already, else `null` */
  zone({ domain, text, cuts }: ReadZone, place: Place): Place | null {
    const inserted = this.#database.run(
      "INSERT OR IGNORE INTO temp.staged_zones VALUES (?, ?, ?, ?)",
      this.#counts.zones + 1,
      place,
      domain,
      text,
    );
    if (inserted === 0) return this.#placeOf("SELECT place FROM temp.staged_zones WHERE domain = ?", domain);
    this.#counts.zones++;
    for (const cut of cuts) {
      this.#cuts += this.#database.run("INSERT OR IGNORE INTO temp.staged_cuts VALUES (?, ?)", domain, cut);
    }
    return null;
  }

  /** Says that all is staged; before anything is asked for. */
  seal(): void {
    for (let at = 0; at < this.#waiting.length; at += MEMBER_WIDTH) {
      this.#database.run(INSERT_MEMBER, ...this.#waiting.slice(at, at + MEMBER_WIDTH));
    }
    this.#waiting = [];
  }

  /** The services whose pool isn't there. */
  servicesWithoutPool(): Iterable<PoolReference> {
    return this.#database.iterate<PoolReference>(SERVICES_WITHOUT_POOL);
  }

  /** The pools whose fallback pool isn't there. */
  poolsWithoutFallback(): Iterable<PoolReference> {
    return this.#database.iterate<PoolReference>(POOLS_WITHOUT_FALLBACK);
  }

  /** The services whose pool has their own name as a member. */
  servicesByOwnName(): Iterable<PoolReference & { readonly domain: string }> {
    return this.#database.iterate<PoolReference & { domain: string }>(SERVICES_BY_OWN_NAME);
  }

  /** The names of the pools, when they are few enough to look for one that was meant; else nothing. */
  poolNames(countMax: number): string[] {
    if (this.#counts.pools > countMax) return [];
    return this.#database.all<{ name: string }>("SELECT name FROM temp.staged_pools ORDER BY seq").map(
      ({ name }) => name,
    );
  }

  /** Each circle of pools that fall back to each other, once: the names in their order, at the pool that is met first. */
  *fallbackCircles(): Generator<{ readonly place: Place; readonly names: readonly string[] }> {
    // Numbers of pools, four bytes each: chains of a million names would fill the memory.
    const next = new Int32Array(this.#counts.pools + 1);
    for (const { seq, to } of this.#database.iterate<{ seq: number; to: number }>(FALLBACKS)) next[seq] = to;
    const walk = new Int32Array(this.#counts.pools + 1);
    for (let first = 1; first < next.length; first++) {
      if (walk[first] !== 0) continue;
      let at = first;
      while (at !== 0 && walk[at] === 0) {
        walk[at] = first;
        at = next[at]!;
      }
      if (at !== 0 && walk[at] === first) yield this.#circle(at, next);
    }
  }

  /** The services strictly below a zone cut of the deepest staged zone around them. */
  *servicesBelowCuts(): Generator<
    { readonly place: Place; readonly domain: string; readonly cut: string }
  > {
    if (this.#cuts === 0) return;
    this.#database.exec(INDEX_REVERSED);
    for (const { cut } of this.#database.all<{ cut: string }>(OPEN_CUTS)) {
      const services = this.#database.iterate<{ place: Place; domain: string }>(
        SERVICES_BELOW,
        ...namesBelow(cut),
      );
      for (const { place, domain } of services) {
        if (this.#zoneCuts.above(domain) === cut) yield { place, domain, cut };
      }
    }
  }

  /** Takes the tables away. */
  [Symbol.dispose](): void {
    this.#database.exec(DROP_TABLES);
  }

  #member(member: JoinedPool["members"][number], pool: number): void {
    this.#waiting.push(++this.#counts.members, pool, ...MEMBER.valuesOf(member));
    if (this.#waiting.length < MEMBERS_AT_ONCE * MEMBER_WIDTH) return;
    this.#database.run(INSERT_MEMBERS, ...this.#waiting);
    this.#waiting = [];
  }

  #healthCheck(check: HealthCheck, pool: number): void {
    this.#counts.healthChecks++;
    this.#database.run(INSERT_HEALTH_CHECK, pool, ...HEALTH_CHECK.valuesOf(check));
  }

  #geoRule(
    rule: JoinedRule,
    { pool, member }: { readonly pool: number; readonly member: number },
  ): void {
    this.#database.run(
      INSERT_GEO_RULE,
      ++this.#counts.geoRules,
      pool,
      member,
      ...STAGED_GEO_RULE.valuesOf(rule),
    );
  }

  #placeOf(sql: string, name: string): Place {
    return this.#database.get<{ place: number }>(sql, name)!.place;
  }

  #circle(first: number, next: Int32Array): { place: Place; names: string[] } {
    const circle = [first];
    for (let at = next[first]!; at !== first; at = next[at]!) circle.push(at);
    const pools = circle.slice(0, CIRCLE_SHOWN_MAX).map((seq) =>
      this.#database.get<{ place: number; name: string }>(
        "SELECT place, name FROM temp.staged_pools WHERE seq = ?",
        seq,
      )!
    );
    const names = pools.map(({ name }) => name);
    if (circle.length > CIRCLE_SHOWN_MAX) names.push("…");
    return { place: pools[0]!.place, names: [...names, names[0]!] };
  }
}

/** Longer circles are shown in part: no reader wants a thousand names. */
const CIRCLE_SHOWN_MAX = 20;

const CREATE_TABLES = `
  CREATE TABLE temp.staged_pools (
    seq INTEGER PRIMARY KEY, place INTEGER, fallback TEXT, ${STAGED_POOL.definitions}, UNIQUE (name)
  );
  CREATE TABLE temp.staged_members (seq INTEGER PRIMARY KEY, pool INTEGER, ${MEMBER.definitions});
  CREATE TABLE temp.staged_health_checks (pool INTEGER PRIMARY KEY, ${HEALTH_CHECK.definitions});
  CREATE TABLE temp.staged_geo_rules (
    seq INTEGER PRIMARY KEY, pool INTEGER, member INTEGER, ${STAGED_GEO_RULE.definitions}
  );
  CREATE TABLE temp.staged_services (
    seq INTEGER PRIMARY KEY, place INTEGER, pool TEXT, reversed_domain TEXT, ${STAGED_SERVICE.definitions},
    UNIQUE (domain)
  );
  CREATE TABLE temp.staged_zones (seq INTEGER PRIMARY KEY, place INTEGER, domain TEXT UNIQUE, text TEXT);
  CREATE TABLE temp.staged_cuts (zone_domain TEXT, cut TEXT, PRIMARY KEY (zone_domain, cut)) WITHOUT ROWID;
`;

/** The values in the order of the table: its own columns first. */
const INSERT_POOL = insert("OR IGNORE INTO temp.staged_pools", 3 + STAGED_POOL.names.length);
const INSERT_MEMBER = insert("INTO temp.staged_members", MEMBER_WIDTH);
const INSERT_MEMBERS = insert("INTO temp.staged_members", MEMBER_WIDTH, MEMBERS_AT_ONCE);
const INSERT_HEALTH_CHECK = insert("INTO temp.staged_health_checks", 1 + HEALTH_CHECK.names.length);
const INSERT_GEO_RULE = insert("INTO temp.staged_geo_rules", 3 + STAGED_GEO_RULE.names.length);
const INSERT_SERVICE = insert("OR IGNORE INTO temp.staged_services", 4 + STAGED_SERVICE.names.length);

function insert(table: string, columns: number, rows = 1): string {
  const row = `(${Array(columns).fill("?").join(", ")})`;
  return `INSERT ${table} VALUES ${Array(rows).fill(row).join(", ")}`;
}

const DROP_TABLES = [
  "pools",
  "members",
  "health_checks",
  "geo_rules",
  "services",
  "zones",
  "cuts",
].map((name) => `DROP TABLE IF EXISTS temp.staged_${name};`).join("");

const INDEX_REVERSED =
  "CREATE INDEX IF NOT EXISTS temp.staged_services_reversed ON staged_services(reversed_domain)";
const SERVICES_WITHOUT_POOL = "SELECT place, pool FROM temp.staged_services AS s WHERE pool IS NOT NULL " +
  "AND NOT EXISTS (SELECT 1 FROM temp.staged_pools AS p WHERE p.name = s.pool) ORDER BY seq";
const POOLS_WITHOUT_FALLBACK =
  "SELECT place, fallback AS pool FROM temp.staged_pools AS s WHERE fallback IS NOT NULL " +
  "AND NOT EXISTS (SELECT 1 FROM temp.staged_pools AS p WHERE p.name = s.fallback) ORDER BY seq";
/** Members by name are few beside the others, so they are looked at first. */
const SERVICES_BY_OWN_NAME = "SELECT s.place, s.pool, s.domain FROM temp.staged_members AS m " +
  "CROSS JOIN temp.staged_services AS s ON s.domain = m.target " +
  "CROSS JOIN temp.staged_pools AS p ON p.seq = m.pool AND p.name = s.pool WHERE m.target IS NOT NULL";
const FALLBACKS = 'SELECT s.seq, p.seq AS "to" FROM temp.staged_pools AS s ' +
  "JOIN temp.staged_pools AS p ON p.name = s.fallback WHERE s.fallback IS NOT NULL";
/** A zone of our own at the cut: nothing below it is handed over. */
const OPEN_CUTS = "SELECT DISTINCT cut FROM temp.staged_cuts " +
  "WHERE NOT EXISTS (SELECT 1 FROM temp.staged_zones AS z WHERE z.domain = cut) ORDER BY cut";
const SERVICES_BELOW = "SELECT place, domain FROM temp.staged_services " +
  "WHERE reversed_domain > ? AND reversed_domain < ? ORDER BY place";
