/**
 * What lies between the stored model and the staged one, found and made by SQL over whole tables.
 *
 * Objects are the same when their natural keys are: a pool's name, a member's address or host name and port, a service's or zone's
 * domain, a geo rule's content. What differs is kept as pairs of row numbers, staged and stored: without a stored one
 * it is to be created, without a staged one deleted, with both changed. So the cost of a model that is there already
 * is that of reading both once, and a row that doesn't differ is never written.
 *
 * New objects get ids that rise with their place in the model: that of the n-th object begins with a chance within the
 * n-th part of all beginnings, and goes on with 96 bits of chance. So the indexes grow at their ends, which makes a first
 * million several times faster.
 *
 * @module
 */
import { GEO_RULE, HEALTH_CHECK, MEMBER, POOL, SERVICE } from "./columns.ts";
import type { Database } from "./database.ts";
import type { ObjectKind } from "./history.ts";
import type { Staging } from "./staging.ts";

/** How many objects of a kind a change creates, changes and deletes. */
export interface ChangeCount {
  /** There is none by its key yet. */
  readonly created: number;
  /** Some field differs. */
  readonly changed: number;
  /** There is none by its key any more. */
  readonly deleted: number;
}

/** How many objects of each kind a change touches; kinds without any are left out. */
export type ChangeCounts = Readonly<Partial<Record<ObjectKind, ChangeCount>>>;

/** An object that is to be created, changed or deleted. */
export interface ChangedKey {
  /** What it is. */
  readonly kind: Exclude<ObjectKind, "fallback" | "override">;
  /** The object's id; the pool's id for a check, the domain for a zone. */
  readonly id: string;
  /** The pool it is, or belongs to; `null` for services and zones. */
  readonly poolId: string | null;
}

/** The difference to a staged model, within one transaction; it is gone when disposed of. */
export class Replacement implements Disposable {
  readonly #database: Database;
  /** How much there is to do; the fallback isn't part of it. */
  readonly counts: ChangeCounts;

  /** Compares; nothing is written but temporary tables. */
  constructor(database: Database, staging: Staging) {
    this.#database = database;
    database.exec(DROP_TABLES + CREATE_TABLES);
    const staged = staging.counts;
    this.#comparePools(staged.pools);
    this.#compareMembers(staged.members);
    this.#compareHealthChecks(staged.healthChecks);
    this.#compareGeoRules(staged.geoRules);
    this.#compareServices(staged.services);
    this.#compareZones(staged.zones);
    this.counts = Object.fromEntries(
      KINDS.map(({ kind, table }) => [kind, this.#count(table)] as const)
        .filter(([, { created, changed, deleted }]) => created + changed + deleted > 0),
    );
  }

  /** How many objects differ. */
  get size(): number {
    return Object.values(this.counts).reduce(
      (sum, { created, changed, deleted }) => sum + created + changed + deleted,
      0,
    );
  }

  /** Every object that differs; only for differences whose size is bounded. */
  changed(): ChangedKey[] {
    return KINDS.flatMap(({ keys }) => this.#database.all<ChangedKey>(keys));
  }

  /**
   * Lines of `history_parts.ts` for what is going to be changed or deleted; before it is made.
   *
   * @yields whole lines in UTF-8
   */
  *linesBefore(): Generator<Uint8Array> {
    for (const kind of LINES) yield* this.#lines(kind, kind.before, "d.stored IS NOT NULL");
  }

  /** The same for what was created; after it was made. */
  *linesAfter(): Generator<Uint8Array> {
    for (const kind of LINES) yield* this.#lines(kind, kind.created, "d.stored IS NULL");
  }

  /** Makes the stored model the staged one; `generation` becomes the revision of what is written. */
  apply(generation: number): void {
    const steps = SQL_APPLY.map((sql) => ({ sql, stamped: sql.includes("?") }));
    for (const { sql, stamped } of steps) this.#database.run(sql, ...(stamped ? [generation] : []));
  }

  /** Takes the temporary tables away. */
  [Symbol.dispose](): void {
    this.#database.exec(DROP_TABLES);
  }

  /** A row that comes alone out of SQLite costs several times what it costs to make it. */
  *#lines({ table, atOnce }: LinesOfKind, { line, from }: LineSql, which: string): Generator<Uint8Array> {
    const { last } = this.#database.get<{ last: number }>(
      `SELECT coalesce(max(n), 0) AS last FROM temp.diff_${table}`,
    )!;
    const sql =
      `SELECT CAST(group_concat(${line}, '') AS BLOB) AS lines FROM temp.diff_${table} AS d ${from} ` +
      `WHERE d.n > ? AND d.n <= ? AND ${which}`;
    for (let n = 0; n < last; n += atOnce) {
      const { lines } = this.#database.get<{ lines: Uint8Array | null }>(sql, n, n + atOnce)!;
      if (lines) yield lines;
    }
  }

  #comparePools(staged: number): void {
    this.#database.run(POOLS.created);
    if (this.#stored("pools") > staged - this.#created("pools")) this.#database.run(POOLS.deleted);
    this.#database.run(POOL_IDS, staged);
    this.#database.run(POOLS.changed);
  }

  #compareMembers(staged: number): void {
    this.#database.run(MEMBERS.written, staged);
    if (this.#stored("members") > staged - this.#created("members")) {
      this.#database.exec(MEMBERS.index);
      this.#database.run(MEMBERS.deletedFromKeptPools);
      this.#database.run(MEMBERS.deletedWithPools);
    }
  }

  #compareHealthChecks(staged: number): void {
    this.#database.run(HEALTH_CHECKS.written);
    if (this.#stored("health_checks") > staged - this.#created("health_checks")) {
      this.#database.run(HEALTH_CHECKS.deleted);
    }
  }

  #compareGeoRules(staged: number): void {
    this.#database.run(GEO_RULES.stagedKeys);
    this.#database.run(GEO_RULES.storedKeys);
    this.#database.run(GEO_RULES.created, staged);
    this.#database.run(GEO_RULES.deleted);
  }

  #compareServices(staged: number): void {
    this.#database.run(SERVICES.written, staged);
    if (this.#stored("services") > staged - this.#created("services")) this.#database.run(SERVICES.deleted);
  }

  #compareZones(staged: number): void {
    this.#database.run(ZONES.written);
    if (this.#stored("zones") > staged - this.#created("zones")) this.#database.run(ZONES.deleted);
  }

  #created(table: string): number {
    return this.#database.get<{ n: number }>(
      `SELECT count(*) AS n FROM temp.diff_${table} WHERE stored IS NULL`,
    )!
      .n;
  }

  #stored(table: string): number {
    return this.#database.get<{ n: number }>(`SELECT count(*) AS n FROM main.${table}`)!.n;
  }

  #count(table: string): ChangeCount {
    const { created, deleted, all } = this.#database.get<{ created: number; deleted: number; all: number }>(
      `SELECT count(*) FILTER (WHERE stored IS NULL) AS created, ` +
        `count(*) FILTER (WHERE staged IS NULL) AS deleted, count(*) AS "all" FROM temp.diff_${table}`,
    )!;
    return { created, changed: all - created - deleted, deleted };
  }
}

const TABLES = ["pools", "members", "health_checks", "geo_rules", "services", "zones"] as const;

/** What is to be created has an id of its own here, but for pools: theirs are all together in `pool_ids`. */
const CREATE_TABLES =
  TABLES.map((name) =>
    `CREATE TABLE temp.diff_${name} (n INTEGER PRIMARY KEY, staged INTEGER, stored INTEGER, id TEXT);`
  ).join("") + `
  CREATE TABLE temp.pool_ids (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, stored INTEGER);
  CREATE TABLE temp.staged_rule_keys (key TEXT, nth INTEGER, seq INTEGER, PRIMARY KEY (key, nth)) WITHOUT ROWID;
  CREATE TABLE temp.stored_rule_keys (key TEXT, nth INTEGER, seq INTEGER, PRIMARY KEY (key, nth)) WITHOUT ROWID;
`;

const DROP_TABLES = [
  ...TABLES.map((name) => `diff_${name}`),
  "pool_ids",
  "staged_rule_keys",
  "stored_rule_keys",
].map((name) => `DROP TABLE IF EXISTS temp.${name};`).join("");

/** Columns of a pool that are staged as they are stored, but for the name by which it is the same one. */
const POOL_COLUMNS = POOL.without("name", "fallbackPoolId").names;

const POOLS = {
  created: "INSERT INTO temp.diff_pools (staged, stored) SELECT s.seq, NULL FROM temp.staged_pools AS s " +
    "WHERE NOT EXISTS (SELECT 1 FROM main.pools AS p WHERE p.name = s.name) ORDER BY s.seq",
  deleted: "INSERT INTO temp.diff_pools (staged, stored) SELECT NULL, p.rowid FROM main.pools AS p " +
    "WHERE NOT EXISTS (SELECT 1 FROM temp.staged_pools AS s WHERE s.name = p.name)",
  changed: "INSERT INTO temp.diff_pools (staged, stored) SELECT s.seq, p.rowid FROM temp.pool_ids AS i " +
    "CROSS JOIN temp.staged_pools AS s ON s.seq = i.seq CROSS JOIN main.pools AS p ON p.rowid = i.stored " +
    "LEFT JOIN temp.staged_pools AS f ON f.name = s.fallback LEFT JOIN temp.pool_ids AS fi ON fi.seq = f.seq " +
    `WHERE (${of("p", POOL_COLUMNS)}, p.fallback_pool_id) IS NOT (${of("s", POOL_COLUMNS)}, fi.id)`,
  keys: "SELECT 'pool' AS kind, coalesce(p.id, i.id) AS id, coalesce(p.id, i.id) AS poolId " +
    "FROM temp.diff_pools AS d LEFT JOIN main.pools AS p ON p.rowid = d.stored " +
    "LEFT JOIN temp.pool_ids AS i ON i.seq = d.staged",
};

/** A new id for the staged object of that number; the parameter is how many there are. */
function newId(seq: string): string {
  return `format('%08x', ((${seq} - 1) * 4294967296 + (random() & 4294967295)) / ?) || lower(hex(randomblob(12)))`;
}

/** The same, where nothing is stored. */
function newIdUnless(stored: string, seq: string): string {
  return `CASE WHEN ${stored} IS NULL THEN ${newId(seq)} END`;
}

/** The id of every staged pool: the one it has, or a new one. */
const POOL_IDS = "INSERT INTO temp.pool_ids (seq, id, stored) " +
  `SELECT s.seq, coalesce(p.id, ${newId("s.seq")}), p.rowid FROM temp.staged_pools AS s ` +
  "LEFT JOIN main.pools AS p ON p.name = s.name ORDER BY s.seq";

/** Columns of a member by which it is the same one. */
const MEMBER_KEY = ["ip_address", "target", "port"];
/** Columns that may differ then. */
const MEMBER_COLUMNS = MEMBER.without("ipAddress", "target", "port").names;

/** Whether a stored member t is the staged member m; both are of one pool. */
const SAME_MEMBER = "t.ip_address IS m.ip_address AND t.target IS m.target AND t.port = m.port";

const MEMBERS = {
  written:
    `INSERT INTO temp.diff_members (staged, stored, id) SELECT m.seq, t.seq, ${
      newIdUnless("t.seq", "m.seq")
    } ` +
    "FROM temp.staged_members AS m CROSS JOIN temp.pool_ids AS i ON i.seq = m.pool LEFT JOIN main.members AS t ON i.stored IS NOT NULL " +
    `AND t.pool_id = i.id AND ${SAME_MEMBER} ` +
    `WHERE t.seq IS NULL OR (${of("t", MEMBER_COLUMNS)}) IS NOT (${of("m", MEMBER_COLUMNS)}) ` +
    "ORDER BY m.seq",
  index: `CREATE INDEX IF NOT EXISTS temp.staged_members_key ON staged_members (pool, ${MEMBER_KEY})`,
  deletedFromKeptPools: "INSERT INTO temp.diff_members (staged, stored) SELECT NULL, t.seq " +
    "FROM temp.pool_ids AS i CROSS JOIN main.members AS t ON t.pool_id = i.id WHERE i.stored IS NOT NULL " +
    "AND NOT EXISTS (SELECT 1 FROM temp.staged_members AS m WHERE m.pool = i.seq " +
    `AND ${SAME_MEMBER})`,
  deletedWithPools: "INSERT INTO temp.diff_members (staged, stored) SELECT NULL, t.seq " +
    "FROM temp.diff_pools AS d CROSS JOIN main.pools AS p ON p.rowid = d.stored " +
    "CROSS JOIN main.members AS t ON t.pool_id = p.id WHERE d.staged IS NULL",
  keys: "SELECT 'member' AS kind, coalesce(t.id, d.id) AS id, coalesce(t.pool_id, i.id) AS poolId " +
    "FROM temp.diff_members AS d LEFT JOIN main.members AS t ON t.seq = d.stored " +
    "LEFT JOIN temp.staged_members AS m ON m.seq = d.staged LEFT JOIN temp.pool_ids AS i ON i.seq = m.pool",
};

const HEALTH_CHECKS = {
  written: "INSERT INTO temp.diff_health_checks (staged, stored) SELECT c.pool, t.rowid " +
    "FROM temp.staged_health_checks AS c CROSS JOIN temp.pool_ids AS i ON i.seq = c.pool " +
    "LEFT JOIN main.health_checks AS t ON i.stored IS NOT NULL AND t.pool_id = i.id WHERE t.rowid IS NULL OR " +
    `(${of("t", HEALTH_CHECK.names)}) IS NOT (${of("c", HEALTH_CHECK.names)})`,
  deleted: "INSERT INTO temp.diff_health_checks (staged, stored) SELECT NULL, t.rowid " +
    "FROM main.health_checks AS t JOIN main.pools AS p ON p.id = t.pool_id " +
    "LEFT JOIN temp.staged_pools AS s ON s.name = p.name " +
    "LEFT JOIN temp.staged_health_checks AS c ON c.pool = s.seq WHERE c.pool IS NULL",
  keys:
    "SELECT 'healthCheck' AS kind, coalesce(t.pool_id, i.id) AS id, coalesce(t.pool_id, i.id) AS poolId " +
    "FROM temp.diff_health_checks AS d LEFT JOIN main.health_checks AS t ON t.rowid = d.stored " +
    "LEFT JOIN temp.pool_ids AS i ON i.seq = d.staged",
};

/** Columns of what a geo rule matches. */
const MATCH_COLUMNS = GEO_RULE.without("memberId").names;

/** A rule has no name: equal content is the same rule, and as many are kept as there are staged. */
function ruleKeys(pool: string): string {
  const match = `coalesce(${MATCH_COLUMNS.map((name) => `'${name} ' || g.${name}`).join(", ")})`;
  const key = `${pool} || ' ' || ${match} || ' ' || coalesce(m.ip_address, m.target) || ' ' || m.port`;
  return `${key} AS key, row_number() OVER (PARTITION BY ${key} ORDER BY g.seq) AS nth, g.seq`;
}

const GEO_RULES = {
  stagedKeys:
    `INSERT INTO temp.staged_rule_keys SELECT ${ruleKeys("s.name")} FROM temp.staged_geo_rules AS g ` +
    "JOIN temp.staged_pools AS s ON s.seq = g.pool JOIN temp.staged_members AS m ON m.seq = g.member",
  storedKeys: `INSERT INTO temp.stored_rule_keys SELECT ${ruleKeys("p.name")} FROM main.geo_rules AS g ` +
    "JOIN main.pools AS p ON p.id = g.pool_id JOIN main.members AS m ON m.id = g.member_id",
  created: `INSERT INTO temp.diff_geo_rules (staged, stored, id) SELECT s.seq, NULL, ${newId("s.seq")} ` +
    "FROM temp.staged_rule_keys AS s " +
    "LEFT JOIN temp.stored_rule_keys AS t ON t.key = s.key AND t.nth = s.nth WHERE t.seq IS NULL ORDER BY s.seq",
  deleted:
    "INSERT INTO temp.diff_geo_rules (staged, stored) SELECT NULL, t.seq FROM temp.stored_rule_keys AS t " +
    "LEFT JOIN temp.staged_rule_keys AS s ON s.key = t.key AND s.nth = t.nth WHERE s.seq IS NULL",
  keys: "SELECT 'geoRule' AS kind, coalesce(t.id, d.id) AS id, coalesce(t.pool_id, i.id) AS poolId " +
    "FROM temp.diff_geo_rules AS d LEFT JOIN main.geo_rules AS t ON t.seq = d.stored " +
    "LEFT JOIN temp.staged_geo_rules AS g ON g.seq = d.staged LEFT JOIN temp.pool_ids AS i ON i.seq = g.pool",
};

/** Columns of a service that are staged as they are stored, but for the domain by which it is the same one. */
const SERVICE_COLUMNS = SERVICE.without("domain", "poolId").names;

const SERVICES = {
  written:
    `INSERT INTO temp.diff_services (staged, stored, id) SELECT s.seq, v.rowid, ${
      newIdUnless("v.rowid", "s.seq")
    } ` +
    "FROM temp.staged_services AS s LEFT JOIN main.services AS v ON v.domain = s.domain " +
    "LEFT JOIN temp.staged_pools AS p ON p.name = s.pool LEFT JOIN temp.pool_ids AS i ON i.seq = p.seq " +
    `WHERE v.rowid IS NULL OR (v.pool_id, ${of("v", SERVICE_COLUMNS)}) IS NOT (i.id, ${
      of("s", SERVICE_COLUMNS)
    }) ` +
    "ORDER BY s.seq",
  deleted: "INSERT INTO temp.diff_services (staged, stored) SELECT NULL, v.rowid FROM main.services AS v " +
    "WHERE NOT EXISTS (SELECT 1 FROM temp.staged_services AS s WHERE s.domain = v.domain)",
  keys: "SELECT 'service' AS kind, coalesce(v.id, d.id) AS id, NULL AS poolId " +
    "FROM temp.diff_services AS d LEFT JOIN main.services AS v ON v.rowid = d.stored",
};

const ZONES = {
  written: "INSERT INTO temp.diff_zones (staged, stored) SELECT s.seq, z.rowid FROM temp.staged_zones AS s " +
    "LEFT JOIN main.zones AS z ON z.domain = s.domain WHERE z.rowid IS NULL OR z.text IS NOT s.text",
  deleted: "INSERT INTO temp.diff_zones (staged, stored) SELECT NULL, z.rowid FROM main.zones AS z " +
    "WHERE NOT EXISTS (SELECT 1 FROM temp.staged_zones AS s WHERE s.domain = z.domain)",
  keys:
    "SELECT 'zone' AS kind, coalesce(s.domain, z.domain) AS id, NULL AS poolId FROM temp.diff_zones AS d " +
    "LEFT JOIN temp.staged_zones AS s ON s.seq = d.staged LEFT JOIN main.zones AS z ON z.rowid = d.stored",
};

const KINDS = [
  { kind: "pool", table: "pools", keys: POOLS.keys },
  { kind: "member", table: "members", keys: MEMBERS.keys },
  { kind: "healthCheck", table: "health_checks", keys: HEALTH_CHECKS.keys },
  { kind: "geoRule", table: "geo_rules", keys: GEO_RULES.keys },
  { kind: "service", table: "services", keys: SERVICES.keys },
  { kind: "zone", table: "zones", keys: ZONES.keys },
] as const;

/** How to make the lines of some objects. */
interface LineSql {
  readonly line: string;
  /** Joins of what the line needs, to `d`. */
  readonly from: string;
}

/** How to make the lines of a kind. */
interface LinesOfKind {
  readonly table: typeof TABLES[number];
  /** Rows that are made at once: a zone may be megabytes. */
  readonly atOnce: number;
  /** Of those that are changed or deleted. */
  readonly before: LineSql;
  readonly created: LineSql;
}

/** A line; the objects have the keys of `change/history_json.ts`. */
function line(kind: ObjectKind, id: string, before: string, after: string): string {
  return `concat('${kind}', char(9), json_quote(${id}), char(9), ${before}, char(9), ${after}, char(10))`;
}

/** What stands for an object that may have been deleted. */
function unlessDeleted(json: string): string {
  return `iif(d.staged IS NULL, '', ${json})`;
}

const NONE = "''";
const poolJson = (fields: string) => `concat('{"id":', json_quote(p.id), ',', ${fields}, '}')`;
const memberJson = (fields: string) =>
  `concat('{"id":', json_quote(t.id), ',"poolId":', json_quote(t.pool_id), ',', ${fields}, ',"seq":', t.seq, '}')`;
const checkJson = (fields: string) => `concat('{"poolId":', json_quote(t.pool_id), ',', ${fields}, '}')`;
const serviceJson = (fields: string) => `concat('{"id":', json_quote(v.id), ',', ${fields}, '}')`;
const zoneJson = (domain: string, text: string) =>
  `concat('{"domain":', json_quote(${domain}), ',"text":', json_quote(${text}), '}')`;
const MEMBER_STORED = memberJson(MEMBER.json("t"));
const RULE_STORED = memberJson(GEO_RULE.json("t"));

const LINES: readonly LinesOfKind[] = [
  {
    table: "pools",
    atOnce: 1_000,
    before: {
      line: line(
        "pool",
        "p.id",
        poolJson(POOL.json("p")),
        unlessDeleted(poolJson(POOL.json("s", { fallbackPoolId: "fi.id" }))),
      ),
      from:
        "CROSS JOIN main.pools AS p ON p.rowid = d.stored LEFT JOIN temp.staged_pools AS s ON s.seq = d.staged " +
        "LEFT JOIN temp.staged_pools AS f ON f.name = s.fallback LEFT JOIN temp.pool_ids AS fi ON fi.seq = f.seq",
    },
    created: {
      line: line("pool", "p.id", NONE, poolJson(POOL.json("p"))),
      from: "CROSS JOIN temp.pool_ids AS i ON i.seq = d.staged CROSS JOIN main.pools AS p ON p.id = i.id",
    },
  },
  {
    table: "members",
    atOnce: 1_000,
    before: {
      line: line("member", "t.id", MEMBER_STORED, unlessDeleted(memberJson(MEMBER.json("m")))),
      from:
        "CROSS JOIN main.members AS t ON t.seq = d.stored LEFT JOIN temp.staged_members AS m ON m.seq = d.staged",
    },
    created: {
      line: line("member", "t.id", NONE, MEMBER_STORED),
      from: "CROSS JOIN main.members AS t ON t.id = d.id",
    },
  },
  {
    table: "health_checks",
    atOnce: 100,
    before: {
      line: line(
        "healthCheck",
        "t.pool_id",
        checkJson(HEALTH_CHECK.json("t")),
        unlessDeleted(checkJson(HEALTH_CHECK.json("c"))),
      ),
      from: "CROSS JOIN main.health_checks AS t ON t.rowid = d.stored " +
        "LEFT JOIN temp.staged_health_checks AS c ON c.pool = d.staged",
    },
    created: {
      line: line("healthCheck", "t.pool_id", NONE, checkJson(HEALTH_CHECK.json("t"))),
      from: "CROSS JOIN temp.pool_ids AS i ON i.seq = d.staged " +
        "CROSS JOIN main.health_checks AS t ON t.pool_id = i.id",
    },
  },
  {
    table: "geo_rules",
    atOnce: 1_000,
    before: {
      line: line("geoRule", "t.id", RULE_STORED, NONE),
      from: "CROSS JOIN main.geo_rules AS t ON t.seq = d.stored",
    },
    created: {
      line: line("geoRule", "t.id", NONE, RULE_STORED),
      from: "CROSS JOIN main.geo_rules AS t ON t.id = d.id",
    },
  },
  {
    table: "services",
    atOnce: 1_000,
    before: {
      line: line(
        "service",
        "v.id",
        serviceJson(SERVICE.json("v")),
        unlessDeleted(serviceJson(SERVICE.json("s", { poolId: "i.id" }))),
      ),
      from: "CROSS JOIN main.services AS v ON v.rowid = d.stored " +
        "LEFT JOIN temp.staged_services AS s ON s.seq = d.staged " +
        "LEFT JOIN temp.staged_pools AS p ON p.name = s.pool LEFT JOIN temp.pool_ids AS i ON i.seq = p.seq",
    },
    created: {
      line: line("service", "v.id", NONE, serviceJson(SERVICE.json("v"))),
      from: "CROSS JOIN main.services AS v ON v.id = d.id",
    },
  },
  {
    table: "zones",
    atOnce: 1,
    before: {
      line: line(
        "zone",
        "z.domain",
        zoneJson("z.domain", "z.text"),
        unlessDeleted(zoneJson("s.domain", "s.text")),
      ),
      from:
        "CROSS JOIN main.zones AS z ON z.rowid = d.stored LEFT JOIN temp.staged_zones AS s ON s.seq = d.staged",
    },
    created: {
      line: line("zone", "s.domain", NONE, zoneJson("s.domain", "s.text")),
      from: "CROSS JOIN temp.staged_zones AS s ON s.seq = d.staged",
    },
  },
];

/** Deletions first, from the leaves, so that keys are free; the parameter is the generation. */
const SQL_APPLY: readonly string[] = [
  deleteRows("geo_rules", "seq"),
  deleteRows("members", "seq"),
  deleteRows("health_checks", "rowid"),
  deleteRows("services", "rowid"),
  deleteRows("pools", "rowid"),
  deleteRows("zones", "rowid"),
  `INSERT INTO main.pools (id, name, ${POOL_COLUMNS}, fallback_pool_id, revision) ` +
  `SELECT i.id, s.name, ${of("s", POOL_COLUMNS)}, fi.id, ? FROM temp.diff_pools AS d ` +
  "CROSS JOIN temp.staged_pools AS s ON s.seq = d.staged CROSS JOIN temp.pool_ids AS i ON i.seq = s.seq " +
  "LEFT JOIN temp.staged_pools AS f ON f.name = s.fallback LEFT JOIN temp.pool_ids AS fi ON fi.seq = f.seq " +
  "WHERE d.stored IS NULL ORDER BY d.n",
  `UPDATE main.pools SET ${assigned("s", POOL_COLUMNS)}, ` +
  "fallback_pool_id = fi.id, revision = ? FROM temp.diff_pools AS d " +
  "CROSS JOIN temp.staged_pools AS s ON s.seq = d.staged " +
  "LEFT JOIN temp.staged_pools AS f ON f.name = s.fallback LEFT JOIN temp.pool_ids AS fi ON fi.seq = f.seq " +
  "WHERE main.pools.rowid = d.stored",
  `INSERT INTO main.members (id, pool_id, ${MEMBER_KEY}, ${MEMBER_COLUMNS}, revision) ` +
  `SELECT d.id, i.id, ${of("m", MEMBER_KEY)}, ${of("m", MEMBER_COLUMNS)}, ? ` +
  "FROM temp.diff_members AS d CROSS JOIN temp.staged_members AS m ON m.seq = d.staged " +
  "CROSS JOIN temp.pool_ids AS i ON i.seq = m.pool WHERE d.stored IS NULL ORDER BY d.n",
  `UPDATE main.members SET ${assigned("m", MEMBER_COLUMNS)}, revision = ? FROM temp.diff_members AS d ` +
  "CROSS JOIN temp.staged_members AS m ON m.seq = d.staged WHERE main.members.seq = d.stored",
  `INSERT INTO main.health_checks (pool_id, ${HEALTH_CHECK.names}, revision) ` +
  `SELECT i.id, ${of("c", HEALTH_CHECK.names)}, ? FROM temp.diff_health_checks AS d ` +
  "CROSS JOIN temp.staged_health_checks AS c ON c.pool = d.staged CROSS JOIN temp.pool_ids AS i " +
  "ON i.seq = c.pool WHERE true ORDER BY d.n ON CONFLICT (pool_id) DO UPDATE SET " +
  assigned("excluded", [...HEALTH_CHECK.names, "revision"]),
  `INSERT INTO main.geo_rules (id, pool_id, ${MATCH_COLUMNS}, member_id, revision) ` +
  `SELECT d.id, i.id, ${of("g", MATCH_COLUMNS)}, t.id, ? ` +
  "FROM temp.diff_geo_rules AS d CROSS JOIN temp.staged_geo_rules AS g ON g.seq = d.staged " +
  "CROSS JOIN temp.pool_ids AS i ON i.seq = g.pool CROSS JOIN temp.staged_members AS m ON m.seq = g.member " +
  `CROSS JOIN main.members AS t ON t.pool_id = i.id AND ${SAME_MEMBER} ` +
  "WHERE d.stored IS NULL ORDER BY d.n",
  `INSERT INTO main.services (id, domain, pool_id, ${SERVICE_COLUMNS}, revision, reversed_domain) ` +
  `SELECT d.id, s.domain, i.id, ${of("s", SERVICE_COLUMNS)}, ?, s.reversed_domain ` +
  "FROM temp.diff_services AS d CROSS JOIN temp.staged_services AS s ON s.seq = d.staged " +
  "LEFT JOIN temp.staged_pools AS p ON p.name = s.pool " +
  "LEFT JOIN temp.pool_ids AS i ON i.seq = p.seq WHERE d.stored IS NULL ORDER BY d.n",
  `UPDATE main.services SET pool_id = i.id, ${assigned("s", SERVICE_COLUMNS)}, revision = ? ` +
  "FROM temp.diff_services AS d CROSS JOIN temp.staged_services AS s ON s.seq = d.staged " +
  "LEFT JOIN temp.staged_pools AS p ON p.name = s.pool LEFT JOIN temp.pool_ids AS i ON i.seq = p.seq " +
  "WHERE main.services.rowid = d.stored",
  "INSERT INTO main.zones (domain, text, revision) SELECT s.domain, s.text, ? FROM temp.diff_zones AS d " +
  "CROSS JOIN temp.staged_zones AS s ON s.seq = d.staged WHERE true ORDER BY d.n " +
  "ON CONFLICT (domain) DO UPDATE SET text = excluded.text, revision = excluded.revision",
  "DELETE FROM main.zone_cuts WHERE zone_domain IN (SELECT s.domain FROM temp.diff_zones AS d " +
  "JOIN temp.staged_zones AS s ON s.seq = d.staged)",
  "INSERT INTO main.zone_cuts (zone_domain, cut) SELECT c.zone_domain, c.cut FROM temp.diff_zones AS d " +
  "JOIN temp.staged_zones AS s ON s.seq = d.staged JOIN temp.staged_cuts AS c ON c.zone_domain = s.domain",
];

/** The columns as those of a table. */
function of(table: string, columns: readonly string[]): string {
  return columns.map((name) => `${table}.${name}`).join(", ");
}

/** Takes the columns over from a table. */
function assigned(table: string, columns: readonly string[]): string {
  return columns.map((name) => `${name} = ${table}.${name}`).join(", ");
}

function deleteRows(table: string, key: "rowid" | "seq"): string {
  return `DELETE FROM main.${table} WHERE ${key} IN ` +
    `(SELECT stored FROM temp.diff_${table} WHERE staged IS NULL)`;
}
