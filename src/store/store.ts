/**
 * The database of a node: one SQLite file that holds the model, its history and the last verdicts.
 *
 * Reads are here and in the aggregates' files; writes of the model are in `write.ts`, which only `change/` imports,
 * so that nothing gets around validation and history. WAL lets readers of other processes go on while one writes;
 * `synchronous = NORMAL` means that a killed process loses nothing and a power cut at most the last commits, never
 * a part of one.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import type { Fallback, Model, Pool } from "../model/model.ts";
import type { StreamedModel } from "../model/model_export.ts";
import type { DesiredSource, SteeredPool } from "../desired/desired.ts";
import { steeredPool } from "../desired/steered_pool.ts";
import { fileFault } from "../input/file_fault.ts";
import { Audit } from "./audit.ts";
import { Database, StoreBusy } from "./database.ts";
import { GitApplied } from "./git_applied.ts";
import { GeoRules } from "./geo_rules.ts";
import { HealthChecks } from "./health_checks.ts";
import { History } from "./history.ts";
import { LogTables } from "./log.ts";
import { KeptEvents } from "./kept_events.ts";
import { Members } from "./members.ts";
import { Overrides } from "./overrides.ts";
import { Pools } from "./pools.ts";
import {
  migrate,
  MIGRATIONS,
  requireKnownSchema,
  SCHEMA_VERSION,
  SchemaRefused,
  userVersion,
} from "./schema.ts";
import { type ReadingOrder, readingOrder, readPools, readServices } from "./bulk_read.ts";
import { Services } from "./services.ts";
import { ResolvedNames } from "./resolved_names.ts";
import { Tokens } from "./tokens.ts";
import { RecordedTraffic } from "./traffic.ts";
import { Verdicts } from "./verdicts.ts";
import { WebhookPositions } from "./webhook_positions.ts";
import { Zones } from "./zones.ts";

/** How many objects of each kind there are. */
export interface Counts {
  /** Pools. */
  readonly pools: number;
  /** Members of all pools. */
  readonly members: number;
  /** Services. */
  readonly services: number;
  /** Zones of static records. */
  readonly zones: number;
}

/** Where a model is: what another process declares makes another mark of it, and what it observes doesn't. */
export interface ModelMark {
  /** The number of the last commit. */
  readonly generation: number;
  /** Rows of the model that were ever written past the history. */
  readonly byHand: number;
  /** That commit's entry in the history, if there is one: a restored backup may have another one of the same number. */
  readonly entry: string | null;
}

/** Pages kept in memory: with SQLite's own 2 MiB even the inner pages of a large file's indexes don't fit. */
const CACHE_KIB = 8 * 1024;

/** An open database. Who opens it closes it (`using`). */
export class Store implements Disposable {
  /** The file, or `:memory:`. */
  readonly path: string;
  /** Whether changes are refused: a node with `database.path: none`. */
  readonly readOnly: boolean;
  /** For the files of `src/store/` only. */
  readonly database: Database;
  /** Reads pools. */
  readonly pools: Pools;
  /** Reads members. */
  readonly members: Members;
  /** Reads services. */
  readonly services: Services;
  /** Reads health checks. */
  readonly healthChecks: HealthChecks;
  /** Reads geo rules. */
  readonly geoRules: GeoRules;
  /** Reads overrides. */
  readonly overrides: Overrides;
  /** Reads zones. */
  readonly zones: Zones;
  /** Reads the history. */
  readonly history: History;
  /** Reads and writes verdicts. */
  readonly verdicts: Verdicts;
  /** Reads which members go by name; reads and writes what is known of the names. */
  readonly resolvedNames: ResolvedNames;
  /** Reads and writes the query sketch. */
  readonly traffic: RecordedTraffic;
  /** Reads tokens of the API. */
  readonly tokens: Tokens;
  /** Reads and writes the audit. */
  readonly audit: Audit;
  /** Reads and writes the last events. */
  readonly events: KeptEvents;
  /** Reads and writes how far webhooks have been told. */
  readonly webhookPositions: WebhookPositions;
  /** Reads and writes which commit of Git the model was made of last. */
  readonly gitApplied: GitApplied;
  /** Reads and writes what this node has of the cluster's log. */
  readonly log: LogTables;

  /**
   * Opens a file and brings its schema up to date; makes it (mode 0600) and its folder when they don't exist. Once for each
   * file and process; `again` is for its other threads.
   *
   * @param holdsMigration whether others see the file as it was until `keepMigration`
   * @throws {SchemaRefused} when a newer program, another program or none at all wrote the file, which is untouched
   * @throws {StoreBusy} when it has to be brought up to date and another process holds it
   * @throws {Error} when it can't be opened; the message names the path and the fix
   */
  static open(path: string, { holdsMigration = false }: { readonly holdsMigration?: boolean } = {}): Store {
    try {
      if (inspect(path) === null) createPrivately(path);
      return new Store(path, { readOnly: false, opened: connect(path, holdsMigration), isOwn: false });
    } catch (cause) {
      if (!(cause instanceof Error) || cause instanceof SchemaRefused || cause instanceof StoreBusy) {
        throw cause;
      }
      const reason = cause instanceof Deno.errors.NotCapable ? fileFault(cause) : cause.message;
      throw new Error(
        `Cannot open ${path}: ${reason}; choose a database.path that this user may write, or none`,
        { cause },
      );
    }
  }

  /**
   * Another connection of this process to a file that it has open, for a thread.
   *
   * Nothing but SQLite may open the file by then, not even to look at its head: the kernel takes a process's locks of a
   * file away as soon as any descriptor of it is closed (fcntl(2)), and another process that ends would take itself for
   * the last one and remove the write-ahead log under this one (https://www.sqlite.org/howtocorrupt.html §2.2).
   *
   * @throws {Error} when it can't be opened
   */
  static again(path: string): Store {
    return new Store(path, { readOnly: false, opened: connect(path), isOwn: false });
  }

  /**
   * A copy of a file as it is at this moment, to try things on: others neither see nor wait for what is written there, and
   * it is gone when it is closed. It lies beside the file, where there is room for another one, and has no name.
   */
  static async scratch(path: string): Promise<Store> {
    removeOldCopies(path);
    const origin = Store.#frozenAt(path);
    const copy = `${path}.${crypto.randomUUID()}.scratch`;
    try {
      Deno.openSync(copy, { write: true, createNew: true, mode: 0o600 }).close();
      // What its transaction sees: however often others write meanwhile, nothing is begun again.
      await origin.database.copyTo(copy);
      const database = new Database(copy);
      // Nothing beside it, and nothing that has to last.
      database.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON");
      return new Store(copy, { readOnly: false, opened: database, origin });
    } catch (cause) {
      origin.close();
      throw cause;
    } finally {
      Deno.removeSync(copy);
    }
  }

  /** A database that lives in memory and is gone when closed. */
  static memory(): Store {
    return new Store(":memory:", { readOnly: false });
  }

  /** The store of a node without database (`database.path: none`): empty, in memory, and refusing changes. */
  static none(): Store {
    return new Store(":memory:", { readOnly: true });
  }

  /** The last generations in a row that were told of. */
  #told = { after: 0, until: 0 };
  /** What a copy to try things on was made of, as it was then, until it is handed over. */
  #origin: Store | null;
  /** Whether no other connection sees what this one does. */
  readonly #isOwn: boolean;

  private constructor(
    path: string,
    {
      readOnly,
      frozen,
      opened,
      isOwn = (frozen ?? opened) !== undefined || path === ":memory:",
      origin = null,
    }: {
      readonly readOnly: boolean;
      readonly frozen?: Database;
      readonly opened?: Database;
      readonly isOwn?: boolean;
      readonly origin?: Store | null;
    },
  ) {
    this.#origin = origin;
    this.path = path;
    this.readOnly = readOnly;
    this.#isOwn = isOwn;
    this.database = frozen ?? opened ?? connect(path);
    this.members = new Members(this.database);
    this.healthChecks = new HealthChecks(this.database);
    this.geoRules = new GeoRules(this.database);
    this.pools = new Pools(this.database, this);
    this.services = new Services(this.database);
    this.overrides = new Overrides(this.database);
    this.zones = new Zones(this.database);
    this.history = new History(this.database);
    this.verdicts = new Verdicts(this.database);
    this.resolvedNames = new ResolvedNames(this.database);
    this.traffic = new RecordedTraffic(this.database);
    this.tokens = new Tokens(this.database);
    this.audit = new Audit(this.database);
    this.events = new KeptEvents(this.database);
    this.webhookPositions = new WebhookPositions(this.database);
    this.gitApplied = new GitApplied(this.database);
    this.log = new LogTables(this.database);
  }

  /** The number of the last commit; 0 = nothing was ever committed. */
  generation(): number {
    return this.database.get<{ generation: number }>("SELECT generation FROM meta")!.generation;
  }

  /** What overrides the settings' static fallback; `null` = the settings decide. */
  fallback(): Fallback | null {
    const { fallback } = this.database.get<{ fallback: string | null }>("SELECT fallback FROM meta")!;
    // Written before a fallback had a TTL of its own, it has no such key.
    return fallback === null ? null : { ttl: null, ...JSON.parse(fallback) };
  }

  /** How many objects there are. */
  counts(): Counts {
    return {
      pools: this.pools.count(),
      members: this.members.count(),
      services: this.services.count(),
      zones: this.zones.count(),
    };
  }

  /** Whether there are at most so many pools, members and services of each; costs no more than counting to there. */
  hasAtMost(count: number): boolean {
    const beyond = (table: string) =>
      this.database.get(`SELECT 1 FROM ${table} LIMIT 1 OFFSET ?`, count) !== undefined;
    return !["pools", "members", "services"].some(beyond);
  }

  /**
   * The same database as it is at this moment, for reading and however long that takes; who asks for it closes it.
   * `null` = it lives in memory, which only one connection sees.
   */
  frozen(): Store | null {
    return this.path === ":memory:" ? null : Store.#frozenAt(this.path);
  }

  /** What is committed, while a transaction of ours is open; as `frozen`. Of a copy, what it was made of. */
  committed(): Store | null {
    const origin = this.#origin;
    this.#origin = null;
    return origin ?? this.frozen();
  }

  static #frozenAt(path: string): Store {
    const database = new Database(path, { readOnly: true });
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}; BEGIN`);
    // A transaction sees what was committed before its first look.
    database.get("SELECT generation FROM meta");
    return new Store(path, { readOnly: true, frozen: database });
  }

  /** The whole model in memory; a million services are better read by `services.each()`. */
  model(): Model {
    return {
      generation: this.generation(),
      pools: [...this.pools.each()],
      services: [...this.services.each()],
      zones: this.zones.all(),
      fallback: this.fallback(),
    };
  }

  /** The whole model, object by object, while nothing is written on this connection. */
  inOrder(): StreamedModel {
    return {
      pools: this.pools.each(),
      services: this.services.each(),
      zones: this.zones.all(),
      fallback: this.fallback(),
      names: { get: (id) => this.pools.get(id)?.name },
    };
  }

  /** What `desiredOf` merges with the settings: generation, zones and fallback of now, the rest streamed. */
  source(): DesiredSource {
    const isOwn = this.#isOwn || this.database.isTransaction;
    const from = { path: isOwn ? null : this.path, own: this.database };
    let order: ReadingOrder | undefined;
    return {
      generation: this.generation(),
      prepare: function* () {
        if (!isOwn) return 0;
        order = yield* readingOrder(from.own);
        return order.pools;
      },
      pools: () =>
        readPools({
          ...from,
          order,
          checkOf: (poolId) => this.healthChecks.checkOf(poolId),
          poolOf: (poolId) => this.pools.whole(poolId),
        }),
      checkedPools: () => steered(this.pools.checked()),
      services: () => readServices(from),
      zones: this.zones.all(),
      fallback: this.fallback(),
    };
  }

  /**
   * Leaves the writing to another thread until the result is disposed of; what we would write is refused with
   * `StoreBusy` meanwhile, verdicts wait.
   */
  lend(): Disposable {
    return this.database.lend();
  }

  /** Has others see what opening made of an older file. */
  keepMigration(): void {
    this.database.keepHeld();
  }

  /** Whether the file is of this program's version still: a newer one may have come meanwhile. */
  isOurs(): boolean {
    return userVersion(this.database) === SCHEMA_VERSION;
  }

  /**
   * Writes nothing until the result is disposed of; what is asked to be written is refused with `StoreBusy`, observations
   * wait.
   *
   * @throws {StoreBusy} while another thread writes
   */
  freeze(reason: string): Disposable {
    return this.database.freeze(reason);
  }

  /**
   * Prepares for writing a million rows: room for the indexes in memory, and no checkpoint within the commit. For a
   * connection of its own that is closed afterwards.
   */
  prepareForBulk(): void {
    this.database.exec(
      "PRAGMA main.cache_size = -131072; PRAGMA temp.cache_size = -65536; PRAGMA temp.journal_mode = OFF; " +
        "PRAGMA wal_autocheckpoint = 0",
    );
  }

  /** Folds the write-ahead log into the file, as far as its readers let it, without keeping anyone waiting. */
  checkpoint(): void {
    this.database.exec("PRAGMA busy_timeout = 0");
    this.database.all("PRAGMA wal_checkpoint(PASSIVE)");
    this.database.all("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /** Writes the file, of what is in the write-ahead log, when there is nothing else to do: this thread waits for the disk. */
  fold(): void {
    if (!this.database.isTransaction) this.database.all("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /** Has each statement of this connection wait so long for another process's write, instead of three seconds. */
  waitAtMost(ms: number): void {
    this.database.exec(`PRAGMA busy_timeout = ${ms}`);
  }

  /** Where the model is now; two equal marks are of one model. Costs two look-ups, whatever the model's size. */
  mark(): ModelMark {
    const { generation, byHand } = this.database.get<Omit<ModelMark, "entry">>(
      "SELECT generation, by_hand AS byHand FROM meta",
    )!;
    return { generation, byHand, entry: this.history.textOf(generation) };
  }

  /** Says that everyone in this process has been told of the commit of this generation: `watch.ts` leaves it out. */
  noteTold(generation: number): void {
    const isNext = generation === this.#told.until + 1;
    this.#told = { after: isNext ? this.#told.after : generation - 1, until: generation };
  }

  /** Whether all commits after a generation, up to another one, have been told of in this process. */
  isTold({ after, until }: { readonly after: number; readonly until: number }): boolean {
    return this.#told.after <= after && until <= this.#told.until;
  }

  /** Ends all use; the last one to close a file folds its write-ahead log into it. */
  close(): void {
    this.database.close();
    this.#origin?.close();
  }

  /** The same, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function* steered(pools: Iterable<Pool>): Generator<SteeredPool> {
  for (const pool of pools) yield steeredPool(pool);
}

/** A file's schema version and owner, read without touching it. */
export interface Inspection {
  /** `PRAGMA user_version`. */
  readonly version: number;
  /** `PRAGMA application_id`. */
  readonly applicationId: number;
  /** Whether the file has no tables yet. */
  readonly empty: boolean;
}

/**
 * Looks at a file before it is opened for writing, in a process that hasn't it open (`Store.again` says why).
 *
 * @param fix completes the sentence on a file that is no database
 * @returns `null` when there is no such file, or an empty one
 * @throws {SchemaRefused} when a newer or another program wrote it
 */
export function inspect(
  path: string,
  fix = "move it away or choose another database.path",
): Inspection | null {
  const size = sizeOf(path);
  if (size === 0) return null;
  const inspection = sizeOf(`${path}-wal`) === 0 ? inspectHeader(path, fix) : inspectBySql(path);
  requireKnownSchema({ path, ...inspection });
  return inspection;
}

/**
 * The same by the file's header alone, which may be older than the write-ahead log: for those who must leave no trace.
 * In a process that hasn't the file open, as well.
 *
 * @throws {SchemaRefused} when a newer or another program wrote it
 */
export function inspectUnopened(path: string): void {
  if (sizeOf(path) === 0) return;
  requireKnownSchema({ path, ...inspectHeader(path, "it isn't ours") });
}

/** Offsets in the file header, https://www.sqlite.org/fileformat2.html#the_database_header. */
const HEADER = { size: 100, pageCount: 28, userVersion: 60, applicationId: 68 } as const;

/** Without a write-ahead log the header says it all; even a read-only connection would leave files beside it. */
function inspectHeader(path: string, fix: string): Inspection {
  using file = Deno.openSync(path);
  const header = new Uint8Array(HEADER.size);
  const size = file.readSync(header) ?? 0;
  if (size < HEADER.size || new TextDecoder().decode(header.subarray(0, 15)) !== "SQLite format 3") {
    throw new SchemaRefused(`Cannot open ${path}: it is not a SQLite database; ${fix}`);
  }
  const view = new DataView(header.buffer);
  return {
    version: view.getUint32(HEADER.userVersion),
    applicationId: view.getUint32(HEADER.applicationId),
    empty: view.getUint32(HEADER.pageCount) <= 1 && view.getUint32(HEADER.userVersion) === 0,
  };
}

/** The header may be older than the write-ahead log that a crash left behind. */
function inspectBySql(path: string): Inspection {
  const database = new Database(path, { readOnly: true });
  try {
    return {
      version: database.get<{ user_version: number }>("PRAGMA user_version")!.user_version,
      applicationId: database.get<{ application_id: number }>("PRAGMA application_id")!.application_id,
      empty: database.get("SELECT 1 FROM sqlite_schema") === undefined,
    };
  } finally {
    database.close();
  }
}

function connect(path: string, holdsMigration = false): Database {
  const database = new Database(path);
  try {
    database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; " +
        `PRAGMA cache_size = -${CACHE_KIB}`,
    );
    migrate(database, MIGRATIONS, holdsMigration);
    return database;
  } catch (cause) {
    database.close();
    throw cause;
  }
}

/** Takes away copies of processes that were killed while they made them; one that is being made is younger. */
function removeOldCopies(path: string): void {
  const [folder, name] = [dirname(path), basename(path)];
  for (const entry of Deno.readDirSync(folder)) {
    if (!entry.name.startsWith(`${name}.`) || !entry.name.endsWith(".scratch")) continue;
    const copy = `${folder}/${entry.name}`;
    const { mtime } = Deno.statSync(copy);
    if (mtime !== null && Date.now() - mtime.getTime() > COPY_MS_MAX) Deno.removeSync(copy);
  }
}

/** No copy takes so long to be made. */
const COPY_MS_MAX = 3_600_000;

/** SQLite gives the files beside it the mode of the database; so it must be private before SQLite sees it. */
function createPrivately(path: string): void {
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  Deno.openSync(path, { write: true, create: true, mode: 0o600 }).close();
}

/**
 * Bytes of a file; 0 when it doesn't exist.
 *
 * @throws {Error} when it is a pipe or a device, whose opening alone may wait without end
 */
function sizeOf(path: string): number {
  try {
    const { isFile, isDirectory, size } = Deno.statSync(path);
    if (!isFile && !isDirectory) throw new Error("it is no regular file");
    return size;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return 0;
    throw cause;
  }
}
