/**
 * The database as the terminal UI uses it: reads windows of lists, makes changes by the one path of every change, notices
 * what others do to the file, and says in words what is wrong with it.
 *
 * It never blocks anyone but its own thread. A lock of another process is waited for in short steps, between which
 * questions are answered.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { neededOf, plainChecks } from "../desired/eligibility.ts";
import { checkTargetOf } from "../desired/check_target.ts";
import { fileFault } from "../input/file_fault.ts";
import { addressOf, type HealthCheck, type Member } from "../model/model.ts";
import type { PortableGuard } from "../plan/answer_guard.ts";
import { sqliteCode, StoreBusy } from "../store/database.ts";
import { listChoices, listHistory, listPools, listServices } from "../store/listing.ts";
import { SCHEMA_VERSION, SchemaRefused } from "../store/schema.ts";
import { inspect, type ModelMark, Store } from "../store/store.ts";
import { countWords } from "./change_words.ts";
import type {
  Answer,
  HistoryItem,
  MemberHealth,
  Opening,
  PoolDetail,
  PoolItem,
  Question,
  ServiceItem,
} from "./messages.ts";
import { Rates } from "./rates.ts";

/** A change is tried again for so long while another process holds the database: an apply of a million takes less. */
const BUSY_PATIENCE_MS = 120_000;
/** Between two tries, milliseconds; the last one again and again. */
const BUSY_STEPS_MS: readonly number[] = [20, 50, 100, 200, 400];
/** A statement waits for so long at most, and all questions with it. */
const LOCK_WAIT_MS = 20;
/** Services of a pool that a screen names. */
const SERVICES_SHOWN = 20;

/** What is wrong with the file, so that nothing can be read from it. */
export class FileUnusable extends Error {
  /** The class's name, whatever a bundler makes of it. */
  override readonly name = "FileUnusable";

  /** `isFinal` = it won't do even if it is looked at again. */
  constructor(message: string, readonly isFinal: boolean, options?: ErrorOptions) {
    super(message, options);
  }
}

/** An open database. Who makes it disposes of it. */
export class StoreDesk implements Disposable {
  readonly #opening: Pick<Opening, "path" | "author">;
  readonly #clock: Clock;
  #store: Store;
  #file: FileIdentity;
  #mark: ModelMark;
  #rates: Rates;
  #guard: Promise<PortableGuard | null> = Promise.resolve(null);
  readonly #over = new AbortController();
  /** Whether the file was empty, or not there. */
  readonly isNew: boolean;

  /**
   * Opens the file, or makes it.
   *
   * @throws {FileUnusable} with what to do
   */
  constructor(opening: Pick<Opening, "path" | "author">, clock: Clock) {
    this.#opening = opening;
    this.#clock = clock;
    const opened = open(opening.path);
    this.isNew = opened.isNew;
    this.#store = opened.store;
    this.#file = opened.file;
    this.#mark = this.#store.mark();
    this.#rates = new Rates(this.#store.traffic, clock);
  }

  /** Has changes looked at as a node with these settings would; a change waits until they are read. `null` = they aren't. */
  guardBy(guard: PortableGuard | null | Promise<PortableGuard | null>): void {
    this.#guard = Promise.resolve(guard);
  }

  /** The number of the last commit. */
  get generation(): number {
    return this.#mark.generation;
  }

  /**
   * Looks whether something else is in the file now, or another file in its place, which is opened then.
   *
   * @throws {FileUnusable} when it is gone, or can't be used any more
   */
  look(): { readonly isReplaced: boolean } | null {
    const file = identityOf(this.#opening.path);
    const isReplaced = file.inode !== this.#file.inode;
    if (isReplaced) {
      const { store } = open(this.#opening.path);
      this.#store.close();
      this.#store = store;
      this.#file = file;
      this.#mark = store.mark();
      this.#rates = new Rates(store.traffic, this.#clock);
      return { isReplaced };
    }
    try {
      this.#expectOurs();
      const mark = this.#store.mark();
      const isSame = mark.generation === this.#mark.generation && mark.byHand === this.#mark.byHand &&
        mark.entry === this.#mark.entry;
      this.#mark = mark;
      const isCounted = this.#rates.look();
      return isSame && !isCounted ? null : { isReplaced };
    } catch (error) {
      if (error instanceof FileUnusable) throw error;
      throw new FileUnusable(faultWords(error, this.#opening.path), false, { cause: error });
    }
  }

  /** A newer program may have brought the file to where this one can't follow. */
  #expectOurs(): void {
    if (this.#store.isOurs()) return;
    throw new FileUnusable(
      `${this.#opening.path} was brought up to date by a newer program; nothing is saved any more: leave with q and start that one`,
      false,
    );
  }

  /** Never rejects: what goes wrong is an answer. `onWait` is called when another process keeps a change waiting. */
  async answer(question: Question, onWait: () => void = () => {}): Promise<Answer> {
    try {
      switch (question.kind) {
        case "change":
          return await this.#change(question, onWait);
        case "generation": {
          const { generation } = question;
          const { linesOfCommit } = await import("./change_desk.ts");
          return { kind: "generation", generation, lines: linesOfCommit(this.#store, generation) };
        }
        default:
          return this.#read(question);
      }
    } catch (error) {
      return { kind: "failed", message: faultWords(error, this.#opening.path) };
    }
  }

  /** Closes the database. */
  [Symbol.dispose](): void {
    this.#over.abort();
    this.#store.close();
  }

  #read(question: Exclude<Question, { kind: "change" | "generation" }>): Answer {
    switch (question.kind) {
      case "pools": {
        const listing = listPools(this.#store, question.request);
        const rows = listing.rows.map((row): PoolItem => ({ ...row, ...this.#upOf(row.id) }));
        return { kind: "pools", filter: question.request.filter, listing: { ...listing, rows } };
      }
      case "services": {
        const listing = listServices(this.#store, question.request);
        const rates = this.#rates.of(listing.rows.map(({ domain }) => domain));
        const rows = listing.rows.map((row): ServiceItem => ({
          ...row,
          rate: rates.get(row.domain) ?? null,
        }));
        return { kind: "services", filter: question.request.filter, listing: { ...listing, rows } };
      }
      case "history": {
        const listing = listHistory(this.#store, question.request);
        const rows = listing.rows.map((row): HistoryItem => ({
          ...row,
          what: countWords(this.#store.history.counts(row.generation)),
        }));
        return { kind: "history", filter: question.request.filter, listing: { ...listing, rows } };
      }
      case "choices":
        return {
          kind: "choices",
          filter: question.request.filter,
          listing: listChoices(this.#store, question.request),
        };
      case "pool":
        return { kind: "pool", id: question.id, pool: this.#pool(question.id) };
      case "service": {
        const service = this.#store.services.get(question.id);
        const poolId = service?.poolId ?? null;
        const pool = poolId === null ? null : this.#store.pools.get(poolId)?.name ?? null;
        return { kind: "service", id: question.id, service: service === null ? null : { service, pool } };
      }
    }
  }

  #pool(id: string): PoolDetail | null {
    const { pools, members, healthChecks, geoRules, services, overrides } = this.#store;
    const pool = pools.get(id);
    if (pool === null) return null;
    const row = healthChecks.get(id);
    const rows = members.rowsOf(id);
    const steering = overrides.index();
    const nowMs = this.#clock.unixMs();
    const named = new Map(rows.map((member) => [member.id, memberName(member)]));
    return {
      pool,
      fallbackPool: pool.fallbackPoolId === null ? null : pools.get(pool.fallbackPoolId)?.name ?? null,
      members: rows.map((member) => ({
        ...member,
        health: this.#healthOf(member, row),
        override:
          steering.overrides.filter(({ target, startsAt, expiresAt }) =>
            startsAt <= nowMs && nowMs < expiresAt &&
            [`member:${member.id}`, `pool:${id}`, `region:${member.region}`].includes(target)
          ).map(({ state }) => state)[0] ?? "",
      })),
      check: row,
      rules: geoRules.rowsOf(id).map((rule) => ({ ...rule, member: named.get(rule.memberId) ?? "" })),
      services: {
        count: services.countOf(id),
        some: services.someOf(id, SERVICES_SHOWN).map(({ domain }) => domain),
      },
    };
  }

  #upOf(poolId: string): Pick<PoolItem, "up" | "enabled"> {
    const check = this.#store.healthChecks.checkOf(poolId);
    const enabled = this.#store.members.of(poolId).filter((member) => member.enabled);
    const up = enabled.filter((member) => this.#healthOf(member, check).state !== "unhealthy").length;
    return { up: check === null ? null : up, enabled: enabled.length };
  }

  /** By the verdicts that a node keeps in the database. What goes by name is known to the node alone. */
  #healthOf(
    { ipAddress, target, port }: Pick<Member, "ipAddress" | "target" | "port">,
    check: HealthCheck | null,
  ): MemberHealth {
    if (check === null) return { state: "unchecked", error: null, latencyMs: null };
    if (ipAddress === null) return { state: "unknown", error: null, latencyMs: null };
    const verdicts = plainChecks(check).map((each) =>
      this.#store.verdicts.get(checkTargetOf({ ipAddress, target, port }, each).key)
    );
    const known = verdicts.filter((verdict) => verdict !== null);
    const passing = verdicts.length - known.filter(({ state }) => state === "unhealthy").length;
    const error = known.find(({ state }) => state === "unhealthy")?.lastError ?? null;
    const latencyMs = known[0]?.latencyMs ?? null;
    if (passing < neededOf(check)) return { state: "unhealthy", error, latencyMs };
    return { state: known.length < verdicts.length ? "unknown" : "healthy", error: null, latencyMs };
  }

  /** A lock of another process is waited for, and the change made then. */
  async #change(question: Extract<Question, { kind: "change" }>, onWait: () => void): Promise<Answer> {
    // What was shown is of the file that was there then.
    const file = this.#file;
    const until = this.#clock.unixMs() + BUSY_PATIENCE_MS;
    const { changeAt } = await import("./change_desk.ts");
    const guard = await this.#guard;
    for (let tries = 0;; tries++) {
      try {
        if (identityOf(this.#opening.path).inode !== file.inode) throw replaced();
        this.#expectOurs();
        const { author } = this.#opening;
        return changeAt({ store: this.#store, clock: this.#clock, author, guard }, question);
      } catch (error) {
        if (!(error instanceof StoreBusy) || this.#clock.unixMs() > until) throw error;
      }
      onWait();
      await this.#clock.sleep(BUSY_STEPS_MS[Math.min(tries, BUSY_STEPS_MS.length - 1)]!, this.#over.signal);
    }
  }
}

/** Address and port, as people write them. */
function memberName(member: Pick<Member, "ipAddress" | "target" | "port">): string {
  const host = addressOf(member);
  return host.includes(":") ? `[${host}]:${member.port}` : `${host}:${member.port}`;
}

function replaced(): FileUnusable {
  const message = "The database was replaced meanwhile; nothing was written: look at it and save again";
  return new FileUnusable(message, false);
}

/** What tells a file from another one in its place. */
interface FileIdentity {
  readonly inode: number | null;
}

function identityOf(path: string): FileIdentity {
  try {
    return { inode: Deno.statSync(path).ino };
  } catch (cause) {
    throw new FileUnusable(
      `${path} is gone: bring it back (pleiades restore), or leave with q; nothing is saved meanwhile`,
      false,
      { cause },
    );
  }
}

function open(path: string): { readonly store: Store; readonly file: FileIdentity; readonly isNew: boolean } {
  try {
    const inspection = inspect(path, "name the database with --db FILE");
    if (inspection !== null && inspection.version < SCHEMA_VERSION) {
      throw new FileUnusable(
        `${path} is a database of an older version: start the node of this version once, which brings it up to date`,
        true,
      );
    }
    const store = Store.open(path);
    store.waitAtMost(LOCK_WAIT_MS);
    return { store, file: identityOf(path), isNew: inspection === null };
  } catch (cause) {
    if (cause instanceof FileUnusable) throw cause;
    if (cause instanceof SchemaRefused) throw new FileUnusable(cause.message, true, { cause });
    // What opens it names the settings of a node; what SQLite said of the file is behind that.
    const said = cause instanceof Error && sqliteCode(cause.cause) !== null ? cause.cause : cause;
    throw new FileUnusable(faultWords(said, path), true, { cause });
  }
}

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html) that a person can do something about. */
const SQLITE = { readOnly: 8, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 } as const;

/** What went wrong, and what to do. */
function faultWords(error: unknown, path: string): string {
  if (error instanceof StoreBusy) {
    return "Another process has held the database for two minutes; nothing was written: save again when it is done";
  }
  switch (sqliteCode(error)) {
    case SQLITE.full:
      return `The disk of ${path} is full; nothing was written: make room and save again`;
    case SQLITE.readOnly:
      return `${path} can't be written by this user; nothing was changed: start this as the user of the node`;
    case SQLITE.ioError:
      return `${path} can't be read or written (${text(error)}): look at the disk, then try again`;
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return `${path} is damaged (${text(error)}): restore a backup (pleiades restore)`;
    case SQLITE.cantOpen:
      return `${path} can't be opened: look whether its folder is there, belongs to this user, and isn't mounted for reading only`;
  }
  return error instanceof Deno.errors.NotCapable ? fileFault(error) : text(error);
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
