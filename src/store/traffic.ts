/**
 * The query sketch as it is kept: how often which declared name was asked for by which network, hour by hour (UTC).
 * Written apart from commits: these are observations, no changes of the model, and have no generation.
 *
 * A query counts in its hour, in the hour's row of its name, and in that name's row of the client's network. What finds
 * no room counts in the rows above alone, so sums are always whole. How much room an hour has follows from the bytes
 * that all hours may have: a day always fits. Where it gets scarce, what is seen rarely is kept no more: a new row needs
 * as many samples as make up for the share that is left (`isAdmitted`).
 *
 * Networks are /24 of IPv4 in 3 bytes and /48 of IPv6 in 6; there is no column that could hold an address.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** Queries for addresses. */
export interface QueryCount {
  /** Queries of type A. */
  readonly a: number;
  /** Queries of type AAAA. */
  readonly aaaa: number;
  /** Queries that were looked at: each stands for (a + aaaa) / samples of them. */
  readonly samples: number;
}

/** Queries, and how sure their number is. */
export interface QueryTotal extends QueryCount {
  /**
   * Over all samples, each of which stands for w queries, the sum of w (w − 1): the variance of a sum of them. 0 = every query
   * was looked at.
   */
  readonly variance: number;
}

/** What was counted of a name in an hour and isn't kept yet. */
export interface NameCount extends QueryTotal {
  /** Hours since 1970-01-01T00:00:00Z. */
  readonly hour: number;
  /** As it is declared, in lower case; `""` = all that found no room before. */
  readonly name: string;
  /** Those of its queries whose network is known; asked for once, when they are written. */
  readonly networks: readonly NetworkCount[];
}

/** What was counted of a network. */
export interface NetworkCount extends QueryCount {
  /** 3 or 6 bytes. */
  readonly network: Uint8Array;
}

/** What is kept of an hour, a name and a network. */
export interface Recorded extends QueryCount {
  /** Hours since 1970-01-01T00:00:00Z. */
  readonly hour: number;
  /** The declared name that answered: `*.example.com` for a wildcard, `*` for the static fallback. */
  readonly name: string;
  /** The client's network, 3 bytes (/24 of IPv4) or 6 (/48 of IPv6); `null` = it wasn't kept. */
  readonly network: Uint8Array | null;
}

/** What is kept of all hours. */
export interface KeptTraffic {
  /** Rows of names and of networks. */
  readonly rows: number;
  /** Bytes that they take. */
  readonly bytes: number;
}

/** Rows that an hour has at most, whatever it may take. */
export const ROWS_AN_HOUR_MAX = 200_000;
/** Hours among which the bytes are shared: a whole day, and the hour that runs. */
const HOURS_SHARED = 25;
/**
 * Bytes of a network's row: 19–25 of its own, in pages that are two thirds full as they come in any order; `traffic_test.ts`
 * compares it with a file.
 */
const NETWORK_ROW_BYTES = 40;
/** Bytes of a name's row besides the name. */
const NAME_ROW_BYTES = 48;
/** Rows that are written or deleted in one transaction: 1–3 ms. */
const ROWS_A_STEP = 250;

/** Work in steps, each of them one short transaction; a step that throws can be tried again. */
export interface Steps {
  /** Takes the next one. @returns whether there is more to do */
  step(): boolean;
}

/** Reads and writes what was counted. */
export class RecordedTraffic {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** How much is kept. */
  kept(): KeptTraffic {
    return this.#database.get<KeptTraffic>(
      "SELECT coalesce(sum(name_rows + network_rows), 0) AS rows, coalesce(sum(bytes), 0) AS bytes FROM traffic_hours",
    )!;
  }

  /** The sum over some hours, the last one included, of every name. */
  total(fromHour: number, toHour: number): QueryTotal {
    return this.#database.get<QueryTotal>(TOTAL, fromHour, toHour)!;
  }

  /** How many queries for a name were counted since the beginning of an hour. */
  since(hour: number, name: string): number {
    return this.#database.get<{ n: number }>(SINCE, hour, name)!.n;
  }

  /** What was counted of each name in some hours, the last one included; without names that found no room. */
  *names(fromHour: number, toHour: number): Generator<QueryCount & { readonly name: string }> {
    yield* this.#database.iterate<QueryCount & { readonly name: string }>(NAMES, fromHour, toHour);
  }

  /**
   * What is kept of some hours, the last one included, an hour after the other and each name's networks together. Sums of
   * it are whole but for names that found no room. Read to the end, or leave by `break`, before the next write.
   */
  *between(fromHour: number, toHour: number): Generator<Recorded> {
    const hours = this.#database.all<{ hour: number }>(HOURS, fromHour, toHour);
    for (const { hour } of hours) yield* this.#ofHour(hour);
  }

  *#ofHour(hour: number): Generator<Recorded> {
    const names = new Map<number, NameRow>();
    for (const row of this.#database.iterate<NameRow>(NAMES_OF_HOUR, hour)) names.set(row.id, row);
    for (const row of this.#database.iterate<NetworkRow>(NETWORKS_OF_HOUR, hour)) {
      const name = names.get(row.nameId);
      if (name === undefined) continue;
      const { network, a, aaaa, samples } = row;
      name.a -= a;
      name.aaaa -= aaaa;
      name.samples -= samples;
      yield { hour, name: name.name, network, a, aaaa, samples };
    }
    for (const { name, a, aaaa, samples } of names.values()) {
      if (a + aaaa > 0) yield { hour, name, network: null, a, aaaa, samples };
    }
  }

  /**
   * Begins to keep what was counted.
   *
   * @param maxBytes of all hours
   * @param onDropped gets queries whose name or network found no room
   */
  writing(
    counts: readonly NameCount[],
    { maxBytes, onDropped }: { readonly maxBytes: number; readonly onDropped: (queries: number) => void },
  ): Steps {
    return new Writing(this.#database, counts, { maxBytes, onDropped });
  }

  /** Begins to delete the oldest hours that are one too many; never the last one. */
  trimming({ maxBytes, beforeHour }: {
    /** Of all hours. */
    readonly maxBytes: number;
    /** Hours before this one go whatever their size. */
    readonly beforeHour: number;
  }): Steps {
    return { step: () => this.#database.transactNow(() => this.#trim(maxBytes, beforeHour)) };
  }

  /** Deletes some rows of the oldest hour, the one that says that there is this hour first of all. */
  #trim(maxBytes: number, beforeHour: number): boolean {
    const ending = this.#database.get<{ hour: number }>("SELECT hour FROM traffic_hours WHERE ending = 1");
    if (ending === undefined) return this.#database.run(END_OLDEST, beforeHour, maxBytes) > 0;
    for (const { keys, remove } of ROWS_OF_HOUR) {
      const rows = this.#database.all<Record<string, string | number | Uint8Array>>(
        keys,
        ending.hour,
        ROWS_A_STEP,
      );
      for (const row of rows) this.#database.run(remove, ...Object.values(row));
      if (rows.length > 0) return true;
    }
    this.#database.run("DELETE FROM traffic_hours WHERE hour = ?", ending.hour);
    return true;
  }
}

interface NameRow {
  readonly id: number;
  readonly name: string;
  a: number;
  aaaa: number;
  samples: number;
}

interface NetworkRow extends QueryCount {
  readonly nameId: number;
  readonly network: Uint8Array;
}

interface HourRow {
  readonly hour: number;
  a: number;
  aaaa: number;
  samples: number;
  variance: number;
  nameRows: number;
  networkRows: number;
  bytes: number;
}

/** A name that has a row now, and what is to be written for its networks. */
interface Named {
  readonly id: number;
  readonly count: NameCount;
}

interface Position {
  readonly name: number;
  /** `null` = not asked for yet. */
  readonly networks: readonly NetworkCount[] | null;
  readonly network: number;
}

/** First all names, which gives them numbers; then their networks, in the order in which they lie in the table. */
class Writing implements Steps {
  readonly #database: Database;
  readonly #counts: readonly NameCount[];
  readonly #onDropped: (queries: number) => void;
  readonly #hourBytes: number;
  readonly #named: Named[] = [];
  #nextName = 0;
  #isSorted = false;
  /** The name whose networks are written, these, and which of them is next. */
  #next: Position = { name: 0, networks: null, network: 0 };

  constructor(
    database: Database,
    counts: readonly NameCount[],
    { maxBytes, onDropped }: { readonly maxBytes: number; readonly onDropped: (queries: number) => void },
  ) {
    this.#database = database;
    this.#counts = counts;
    this.#onDropped = onDropped;
    this.#hourBytes = maxBytes / HOURS_SHARED;
  }

  step(): boolean {
    if (this.#nextName < this.#counts.length) this.#writeNames();
    else if (!this.#isSorted) {
      this.#named.sort((a, b) => a.count.hour - b.count.hour || a.id - b.id);
      this.#isSorted = true;
    } else this.#writeNetworks();
    return this.#nextName < this.#counts.length || !this.#isSorted || this.#next.name < this.#named.length;
  }

  #writeNames(): void {
    const end = Math.min(this.#nextName + ROWS_A_STEP, this.#counts.length);
    const named: Named[] = [];
    let dropped = 0;
    this.#database.transactNow(() => {
      const hours = new Hours(this.#database);
      for (let i = this.#nextName; i < end; i++) {
        const count = this.#counts[i]!;
        const id = this.#writeName(count, hours.of(count.hour));
        if (id === null) dropped += count.a + count.aaaa;
        else named.push({ id, count });
      }
      hours.save();
    });
    this.#nextName = end;
    this.#named.push(...named);
    if (dropped > 0) this.#onDropped(dropped);
  }

  /** @returns the number of the name's row; `null` = there is no room for one */
  #writeName({ name, a, aaaa, samples, variance }: NameCount, hour: HourRow): number | null {
    hour.a += a;
    hour.aaaa += aaaa;
    hour.samples += samples;
    hour.variance += variance;
    if (name === "") return null;
    const row = this.#database.get<{ id: number }>(ADD_TO_NAME, a, aaaa, samples, hour.hour, name);
    if (row) return row.id;
    if (!this.#isAdmitted(samples, hour)) return null;
    hour.bytes += NAME_ROW_BYTES + name.length;
    const id = ++hour.nameRows;
    this.#database.run(INSERT_NAME, hour.hour, name, id, a, aaaa, samples);
    return id;
  }

  #writeNetworks(): void {
    let { name, networks, network } = this.#next;
    let dropped = 0;
    this.#database.transactNow(() => {
      const hours = new Hours(this.#database);
      for (let left = ROWS_A_STEP; left > 0 && name < this.#named.length;) {
        const { id, count } = this.#named[name]!;
        const hour = hours.of(count.hour);
        networks ??= count.networks;
        for (; left > 0 && network < networks.length; network++, left--) {
          const counted = networks[network]!;
          if (!this.#writeNetwork(counted, id, hour)) dropped += counted.a + counted.aaaa;
        }
        if (network < networks.length) break;
        name++;
        networks = null;
        network = 0;
      }
      hours.save();
    });
    this.#next = { name, networks, network };
    if (dropped > 0) this.#onDropped(dropped);
  }

  #writeNetwork({ network, a, aaaa, samples }: NetworkCount, id: number, hour: HourRow): boolean {
    if (this.#database.run(ADD_TO_NETWORK, a, aaaa, samples, hour.hour, id, network) > 0) return true;
    if (!this.#isAdmitted(samples, hour)) return false;
    hour.bytes += NETWORK_ROW_BYTES;
    hour.networkRows++;
    this.#database.run(INSERT_NETWORK, hour.hour, id, network, a, aaaa, samples);
    return true;
  }

  /**
   * Whether there is room for a row that has been seen so often. While half of the hour's room is left once is enough, in
   * the quarter behind it takes two, in the eighth behind that four: so what is frequent always finds some.
   */
  #isAdmitted(samples: number, { bytes, nameRows, networkRows }: HourRow): boolean {
    const used = Math.max(bytes / this.#hourBytes, (nameRows + networkRows) / ROWS_AN_HOUR_MAX);
    return used < 1 && samples * 2 * (1 - used) >= 1;
  }
}

/** The hours that one transaction is about. */
class Hours {
  readonly #database: Database;
  readonly #rows = new Map<number, HourRow>();

  constructor(database: Database) {
    this.#database = database;
  }

  of(hour: number): HourRow {
    let row = this.#rows.get(hour);
    if (row === undefined) {
      row = this.#database.get<HourRow>(HOUR, hour) ??
        { hour, a: 0, aaaa: 0, samples: 0, variance: 0, nameRows: 0, networkRows: 0, bytes: 0 };
      this.#rows.set(hour, row);
    }
    return row;
  }

  save(): void {
    for (const { hour, a, aaaa, samples, variance, nameRows, networkRows, bytes } of this.#rows.values()) {
      this.#database.run(SAVE_HOUR, hour, a, aaaa, samples, variance, nameRows, networkRows, bytes);
    }
  }
}

const SUMS = "coalesce(sum(a), 0) AS a, coalesce(sum(aaaa), 0) AS aaaa, coalesce(sum(samples), 0) AS samples";
const IS_KEPT = "hour IN (SELECT hour FROM traffic_hours WHERE hour BETWEEN ? AND ? AND ending = 0)";
const TOTAL = `SELECT ${SUMS}, coalesce(sum(variance), 0) AS variance FROM traffic_hours WHERE ${IS_KEPT}`;
const NAMES = `SELECT name, ${SUMS} FROM traffic_names WHERE ${IS_KEPT} GROUP BY name`;
const SINCE = "SELECT coalesce(sum(a + aaaa), 0) AS n FROM traffic_names WHERE hour IN " +
  "(SELECT hour FROM traffic_hours WHERE hour >= ? AND ending = 0) AND name = ?";
const HOURS = `SELECT hour FROM traffic_hours WHERE ${IS_KEPT} ORDER BY hour`;
const NAMES_OF_HOUR = "SELECT id, name, a, aaaa, samples FROM traffic_names WHERE hour = ?";
const NETWORKS_OF_HOUR =
  "SELECT name_id AS nameId, network, a, aaaa, samples FROM traffic_networks WHERE hour = ?";
const HOUR =
  "SELECT hour, a, aaaa, samples, variance, name_rows AS nameRows, network_rows AS networkRows, bytes " +
  "FROM traffic_hours WHERE hour = ?";
const SAVE_HOUR =
  "INSERT INTO traffic_hours (hour, a, aaaa, samples, variance, name_rows, network_rows, bytes) " +
  "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hour) DO UPDATE SET a = excluded.a, aaaa = excluded.aaaa, " +
  "samples = excluded.samples, variance = excluded.variance, name_rows = excluded.name_rows, network_rows = excluded.network_rows, " +
  "bytes = excluded.bytes";
const ADD_TO_NAME = "UPDATE traffic_names SET a = a + ?, aaaa = aaaa + ?, samples = samples + ? " +
  "WHERE hour = ? AND name = ? RETURNING id";
const INSERT_NAME = "INSERT INTO traffic_names (hour, name, id, a, aaaa, samples) VALUES (?, ?, ?, ?, ?, ?)";
const ADD_TO_NETWORK = "UPDATE traffic_networks SET a = a + ?, aaaa = aaaa + ?, samples = samples + ? " +
  "WHERE hour = ? AND name_id = ? AND network = ?";
const INSERT_NETWORK =
  "INSERT INTO traffic_networks (hour, name_id, network, a, aaaa, samples) VALUES (?, ?, ?, ?, ?, ?)";
const END_OLDEST =
  "UPDATE traffic_hours SET ending = 1 WHERE hour = (SELECT min(hour) FROM traffic_hours) AND " +
  "(hour < ? OR ((SELECT count(*) FROM traffic_hours) > 1 AND " +
  "(SELECT sum(bytes) FROM traffic_hours) > ?))";
const ROWS_OF_HOUR = [
  {
    keys: "SELECT hour, name_id, network FROM traffic_networks WHERE hour = ? LIMIT ?",
    remove: "DELETE FROM traffic_networks WHERE hour = ? AND name_id = ? AND network = ?",
  },
  {
    keys: "SELECT hour, name FROM traffic_names WHERE hour = ? LIMIT ?",
    remove: "DELETE FROM traffic_names WHERE hour = ? AND name = ?",
  },
] as const;
