/**
 * What answers are compiled from, read as fast as it can be: a million pools in two seconds.
 *
 * Pools and services come in the order of the file. Three things make it quick. A row that comes alone out of SQLite
 * costs several times what it costs to read it, so a thousand come as one text. Members aren't looked up pool by
 * pool: nearly all were written along with their pool, so both tables are read side by side, each in its own order,
 * and only the members of pools of which some lie elsewhere are looked up; those pools are found beforehand, by
 * reading the ids alone in the same way. And what most rows have in common is parsed once for a run of them.
 *
 * A file is read by a connection of its own and within one transaction, so that all of a reading is of one state.
 *
 * @module
 */
import type { SteeredMember, SteeredPool, SteeredService } from "../desired/desired.ts";
import { steeredPool } from "../desired/steered_pool.ts";
import type { Algorithm, HealthCheck, OnAllDown, Pool } from "../model/model.ts";
import { toEnd } from "../slices.ts";
import { Database } from "./database.ts";

/** Rows in a text: with more it is no quicker, and so many are still small. */
const TEXT_ROWS = 1000;
/** Rows of ids that are compared before another turn may be due. */
const BREATH = 256;
/**
 * When so many pools have members elsewhere, and this share of those that were read, the members of all are looked up,
 * at 5 µs a pool.
 */
const SCATTERED_MIN = 1000;
const SCATTERED_SHARE = 1 / 5;
/** For looking up: three times as quick as asking the kernel for every page. SQLite maps what there is. */
const MAPPED_BYTES_MAX = 16 * 2 ** 30;

/** What is read of a table, and in which order: that of creation. */
interface Source {
  readonly table: "pools" | "members" | "services";
  readonly key: "rowid" | "seq";
  /** What makes a line of a row; never null. Columns are separated by tabs, of which no column has any. */
  readonly line: string;
}

/** Pools of which answers depend on who is who among the members, and those that discover some: they are few, and read whole. */
const IS_WHOLE = "failback <> 'auto' OR failback_delay_ms <> 0 OR discover IS NOT NULL";
/** What a pool of a line without these columns has. */
const PLAIN_POOL = { minHealthy: 0, geofence: false, flatten: true };
/**
 * The first column of a line is the row's own, the others are its tail, of which there are few different ones. Other
 * tables are only looked into for each pool when there is something in them.
 */
function poolsOf(database: Database): Source {
  const isIn = (table: string, condition = "") =>
    database.get(`SELECT 1 FROM ${table} LIMIT 1`) === undefined
      ? "0"
      : `EXISTS (SELECT 1 FROM ${table} WHERE pool_id = pools.id${condition})`;
  return {
    table: "pools",
    key: "rowid",
    line: "concat_ws(char(9), id, algorithm, max_answers, on_all_down, coalesce(fallback_pool_id, ''), " +
      `${isIn("health_checks")}, ` +
      `${IS_WHOLE} OR ${isIn("geo_rules")} OR ${isIn("overrides", " AND member_id IS NOT NULL")}, ` +
      "CASE WHEN min_healthy = 0 AND geofence = 0 AND flatten = 1 THEN NULL " +
      "ELSE concat_ws(char(9), min_healthy, geofence, flatten) END)",
  };
}
/** What a member of a line without these columns has: most do, and to write a number costs more than to compare it. */
const PLAIN_MEMBER = { weight: 1, priority: 0, enabled: true };
const IS_SOMEWHERE = "coalesce(target, latitude, longitude) IS NOT NULL OR region <> ''";
/** What a member of a line without these columns has. */
const NOWHERE = { isNamed: false, latitude: null, longitude: null, region: "" };
const MEMBER_TAIL =
  `port, CASE WHEN weight = 1 AND priority = 0 AND enabled = 1 AND NOT (${IS_SOMEWHERE}) THEN NULL ` +
  "ELSE concat_ws(char(9), weight, priority, enabled) END, " +
  `CASE WHEN ${IS_SOMEWHERE} THEN concat_ws(char(9), target IS NOT NULL, ` +
  "iif(latitude IS NULL, '', format('%!.17g', latitude)), " +
  "iif(longitude IS NULL, '', format('%!.17g', longitude)), region) END";
const MEMBERS: Source = {
  table: "members",
  key: "seq",
  line: `concat_ws(char(9), pool_id, coalesce(ip_address, target), ${MEMBER_TAIL})`,
};
const SERVICES: Source = {
  table: "services",
  key: "rowid",
  line: "concat_ws(char(9), domain, coalesce(pool_id, ''), ttl, " +
    "CASE WHEN min_ttl <> 0 OR ecs = 0 THEN concat_ws(char(9), min_ttl, ecs) END)",
};
const POOL_IDS: Source = { table: "pools", key: "rowid", line: "id" };
const MEMBER_POOL_IDS: Source = { table: "members", key: "seq", line: "pool_id" };

const MEMBERS_OF = `SELECT ${MEMBERS.line} AS line FROM members WHERE pool_id = ? ORDER BY seq`;
const IS_LATER = "SELECT 1 FROM pools WHERE id = ? AND rowid > (SELECT rowid FROM pools WHERE id = ?)";

/** Every pool. The path is the file's, or `null` to read by the store's own connection. */
export function* readPools(
  { path, own, order, checkOf, poolOf }: {
    readonly path: string | null;
    readonly own: Database;
    /** As it was worked out beforehand for the same state; absent = it wasn't. */
    readonly order?: ReadingOrder | undefined;
    readonly checkOf: (poolId: string) => HealthCheck | null;
    readonly poolOf: (poolId: string) => Pool | null;
  },
): Generator<SteeredPool> {
  using reader = openReader(path, own);
  const { database } = reader;
  const { scattered } = order ?? toEnd(readingOrder(database));
  if (scattered === null) database.exec(`PRAGMA mmap_size = ${MAPPED_BYTES_MAX}`);
  const members = new MemberReader(database, scattered);
  const readTail = forRuns(readPoolTail);
  const pools = new Lines(database, poolsOf(database));
  for (let line = pools.current; line !== null; line = pools.advance()) {
    const tab = line.indexOf("\t");
    const id = line.slice(0, tab);
    const tail = readTail(line.slice(tab + 1));
    const taken = members.take(id);
    const whole = tail.isWhole ? poolOf(id) : null;
    yield whole ? steeredPool(whole) : {
      id,
      algorithm: tail.algorithm,
      maxAnswers: tail.maxAnswers,
      onAllDown: tail.onAllDown,
      fallbackPoolId: tail.fallbackPoolId,
      minHealthy: tail.minHealthy,
      failback: "auto",
      failbackDelayMs: 0,
      geofence: tail.geofence,
      flatten: tail.flatten,
      discover: null,
      members: taken,
      healthCheck: tail.isChecked ? checkOf(id) : null,
      geoRules: [],
      changesAt: 0,
    };
  }
}

/** Every service. */
export function* readServices(
  { path, own }: { readonly path: string | null; readonly own: Database },
): Generator<SteeredService> {
  using reader = openReader(path, own);
  const readTail = forRuns(readServiceTail);
  const services = new Lines(reader.database, SERVICES);
  for (let line = services.current; line !== null; line = services.advance()) {
    const poolAt = line.indexOf("\t") + 1;
    const ttlAt = line.indexOf("\t", poolAt) + 1;
    yield {
      domain: line.slice(0, poolAt - 1),
      poolId: ttlAt - 1 === poolAt ? null : line.slice(poolAt, ttlAt - 1),
      ...readTail(line.slice(ttlAt)),
    };
  }
}

/** How pools and members are best read. */
export interface ReadingOrder {
  /**
   * The pools that have members which don't come at their pool's turn when both tables are read side by side; `null` =
   * too many to be worth it.
   */
  readonly scattered: ReadonlySet<string> | null;
  /** How many pools were read to find that out: all, unless there are too many of those. */
  readonly pools: number;
}

/** Works the order out; yields where another turn may be due. */
export function* readingOrder(database: Database): Generator<void, ReadingOrder> {
  const scattered = new Set<string>();
  const members = new Lines(database, MEMBER_POOL_IDS);
  const pools = new Lines(database, POOL_IDS);
  /** A pool whose turn is still to come, and which has a member before any other such pool. */
  let next: string | null = null;
  let poolsRead = 0;
  const tooMany = () => scattered.size > SCATTERED_MIN + poolsRead * SCATTERED_SHARE;
  for (let id = pools.current; id !== null; id = pools.advance()) {
    while (members.current !== id && members.current !== next && members.current !== null) {
      if (database.get(IS_LATER, members.current, id)) next = members.current;
      else {
        scattered.add(members.current);
        members.advance();
      }
    }
    while (members.current === id) members.advance();
    if (++poolsRead % BREATH === 0) yield;
    if (tooMany()) return { scattered: null, pools: poolsRead };
  }
  for (let id = members.current; id !== null; id = members.advance()) {
    scattered.add(id);
    if (scattered.size % BREATH === 0) yield;
    if (tooMany()) return { scattered: null, pools: poolsRead };
  }
  return { scattered, pools: poolsRead };
}

/** Reads members at their pool's turn. */
class MemberReader {
  readonly #database: Database;
  readonly #lines: Lines | null;
  readonly #scattered: ReadonlySet<string>;
  readonly #readTail = forRuns(readMemberTail);

  /** Without the set all members are looked up. */
  constructor(database: Database, scattered: ReadonlySet<string> | null) {
    this.#database = database;
    this.#lines = scattered && new Lines(database, MEMBERS);
    this.#scattered = scattered ?? new Set();
  }

  /** Those of the pool whose turn it is. */
  take(poolId: string): SteeredMember[] {
    const beside = this.#lines && this.#takeBeside(poolId, this.#lines);
    if (beside && !this.#scattered.has(poolId)) return beside;
    return this.#database.all<{ line: string }>(MEMBERS_OF, poolId)
      .map(({ line }) => this.#read(line, poolId.length + 1));
  }

  #takeBeside(poolId: string, lines: Lines): SteeredMember[] {
    const members: SteeredMember[] = [];
    for (let line = lines.current; line !== null; line = lines.advance()) {
      if (line.startsWith(poolId) && line.charCodeAt(poolId.length) === TAB) {
        members.push(this.#read(line, poolId.length + 1));
      } else if (!this.#isScattered(line)) break;
    }
    return members;
  }

  #isScattered(line: string): boolean {
    return this.#scattered.size > 0 && this.#scattered.has(line.slice(0, line.indexOf("\t")));
  }

  #read(line: string, from: number): SteeredMember {
    const tab = line.indexOf("\t", from);
    const { isNamed, port, weight, priority, enabled, latitude, longitude, region } = this.#readTail(
      line.slice(tab + 1),
    );
    const address = line.slice(from, tab);
    return {
      id: null,
      ipAddress: isNamed ? null : address,
      target: isNamed ? address : null,
      port,
      weight,
      priority,
      enabled,
      latitude,
      longitude,
      region,
      share: 1,
      forcedUp: false,
    };
  }
}

const TAB = 0x09;

function readMemberTail(tail: string) {
  const [port, weight, priority, enabled, isNamed, latitude, longitude, region] = tail.split("\t");
  return {
    port: Number(port),
    ...weight === undefined
      ? PLAIN_MEMBER
      : { weight: Number(weight), priority: Number(priority), enabled: enabled === "1" },
    ...isNamed === undefined ? NOWHERE : {
      isNamed: isNamed === "1",
      latitude: latitude ? Number(latitude) : null,
      longitude: longitude ? Number(longitude) : null,
      region: region ?? "",
    },
  };
}

function readServiceTail(tail: string): Pick<SteeredService, "ttl" | "minTtl" | "ecs"> {
  const [ttl, minTtl, ecs] = tail.split("\t");
  return { ttl: Number(ttl), minTtl: Number(minTtl ?? 0), ecs: ecs !== "0" };
}

/** The columns of `poolsOf` behind the id. */
type PoolTail = [
  algorithm: Algorithm,
  maxAnswers: string,
  onAllDown: OnAllDown,
  fallbackPoolId: string,
  isChecked: string,
  isWhole: string,
  minHealthy?: string,
  geofence?: string,
  flatten?: string,
];

function readPoolTail(tail: string) {
  const [
    algorithm,
    maxAnswers,
    onAllDown,
    fallbackPoolId,
    isChecked,
    isWhole,
    minHealthy,
    geofence,
    flatten,
  ] = tail.split("\t") as PoolTail;
  return {
    algorithm,
    maxAnswers: Number(maxAnswers),
    onAllDown,
    fallbackPoolId: fallbackPoolId === "" ? null : fallbackPoolId,
    isChecked: isChecked === "1",
    isWhole: isWhole === "1",
    ...minHealthy === undefined ? PLAIN_POOL : {
      minHealthy: minHealthy.endsWith("%") ? minHealthy : Number(minHealthy),
      geofence: geofence === "1",
      flatten: flatten === "1",
    },
  };
}

/** A reader that keeps what it read last: with runs of equal texts it reads each run once. */
function forRuns<Read>(read: (text: string) => Read): (text: string) => Read {
  let last: { readonly text: string; readonly read: Read } | null = null;
  return (text) => {
    if (last === null || last.text !== text) last = { text, read: read(text) };
    return last.read;
  };
}

/** A table's lines; `current` is the first one that wasn't passed yet, `null` when there are no more. */
class Lines {
  readonly #database: Database;
  readonly #text: string;
  readonly #nextKey: string;
  #lines: readonly string[] = [];
  #at = 0;
  /** Rows up to this key have been read. */
  #upTo = Number.MIN_SAFE_INTEGER;
  current: string | null = null;

  constructor(database: Database, { table, key, line }: Source) {
    this.#database = database;
    // Without an index SQLite comes by the rows, and so joins them, in the order of their keys.
    this.#text = `SELECT group_concat(${line}, char(10)) AS text FROM ${table} NOT INDEXED ` +
      `WHERE ${key} > ? AND ${key} <= ?`;
    this.#nextKey = `SELECT min(${key}) AS key FROM ${table} WHERE ${key} > ?`;
    this.#read();
  }

  advance(): string | null {
    if (++this.#at < this.#lines.length) this.current = this.#lines[this.#at]!;
    else this.#read();
    return this.current;
  }

  #read(): void {
    this.#lines = (this.#nextText() ?? this.#textBehindGap())?.split("\n") ?? [];
    this.#at = 0;
    this.current = this.#lines[0] ?? null;
  }

  #nextText(): string | null {
    const after = this.#upTo;
    this.#upTo += TEXT_ROWS;
    return this.#database.get<{ text: string | null }>(this.#text, after, this.#upTo)!.text;
  }

  #textBehindGap(): string | null {
    const { key } = this.#database.get<{ key: number | null }>(this.#nextKey, this.#upTo)!;
    if (key === null) return null;
    this.#upTo = key - 1;
    return this.#nextText();
  }
}

function openReader(path: string | null, own: Database): Disposable & { readonly database: Database } {
  if (path === null) return { database: own, [Symbol.dispose]: () => {} };
  const database = new Database(path, { readOnly: true });
  database.exec("BEGIN");
  return { database, [Symbol.dispose]: () => database.close() };
}
