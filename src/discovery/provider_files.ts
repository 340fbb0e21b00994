/**
 * A catalog of files: a directory in which every provider keeps its complete state, each in a file of its own.
 *
 * A file that can't be read keeps what it said last, and the log says where it is wrong. A file that is gone takes its
 * instances with it; a directory that is gone takes nothing, since then it isn't the providers who spoke. An id belongs to the
 * file that had it first.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { fileFault } from "../input/file_fault.ts";
import { readShortFile } from "../input/regular_file.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { atPace, pacer, toEnd } from "../slices.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Change, type Instance, isSameInstance, withPartsOf } from "./catalog.ts";
import type { DirectoryNames } from "./directory_names.ts";
import type { DirectoryWatch } from "./directory_watch.ts";
import { JsonList, ListRoom } from "./json_list.ts";
import { LENGTH_MAX, readPlainList } from "./plain_document.ts";
import {
  PROVIDER_BYTES_MAX,
  type ProviderReading,
  type ProviderTerms,
  readProviderInSteps,
} from "./provider_file.ts";

/** What the files are read with. */
export interface ProviderFilesOptions {
  /** The directory. */
  readonly directory: string;
  /** Lists it, while other work goes on; disposed of in the end. */
  readonly names: Pick<DirectoryNames, "list" | typeof Symbol.dispose>;
  /** Tells what happens in it, while nothing does; disposed of in the end. */
  readonly watch: Pick<DirectoryWatch, "next" | typeof Symbol.asyncDispose>;
  /** How they are read. */
  readonly terms: Omit<ProviderTerms, "provider">;
  /** Gets what changes. */
  readonly write: (changes: readonly Change[]) => void;
  /** Paces the looks. */
  readonly clock: Pick<Clock, "sleep" | "monotonicMs">;
  /** Hears of files that can't be read. */
  readonly log: Logger;
  /** Hears of each look that read something: what was wrong, and how long it took. */
  readonly observe: (error: StoreError, seconds: number) => void;
}

/** What can be wrong with a registry, for metrics. */
export type StoreError =
  | "none"
  | "unreadable"
  | "invalidfile"
  | "invalidip"
  | "invalidvalue"
  | "untracked"
  | "denied"
  | "noanswer"
  | "consulapi";

/** What is asked of a registry, for metrics. */
export type StoreOperation = "getInstances" | "getServers";

/** How often the directory is looked at while it changes: one call says whether a file came, went or was renamed. */
const LOOK_MS = 20;
/**
 * From then on without a change the next one is waited for, or looked for less often where the system doesn't tell: a timer's turn
 * costs a quarter of a millisecond, of a node that isn't asked anything a third of all. Not from the last change on, since of many
 * changes each would be waited for, which costs more than looks.
 */
const QUIET_MS = 1_000;
/** How often then, where the system doesn't tell. */
const QUIET_LOOK_MS = 50;
/** How often each file is looked at: those that are written in place don't show in their directory. */
const LOOK_AT_ALL_MS = 1_000;
/**
 * The kernel dates changes by its tick, 1–10 ms: what changed as recently as this may change once more and have the same
 * date, so that it is looked at again. Without it, of two files that were renamed in a tick the second was found up to a second
 * later.
 */
const TICK_MS = 20;
/** Larger files are read a slice at a time, one after the other: this one may take some milliseconds. */
const AT_ONCE_BYTES_MAX = 16 << 10;
/** And so are all that are left when a look has read for so long. */
const LOOK_MS_MAX = 4;
/** Instances that are compared in a step. */
const KEPT_STEP = 64;
/** Most files of a directory. */
const FILES_MAX = 1_000;
/** Names of files that are read; others, those with a leading dot included, are passed over. */
const FILE = /^(?!\.)(.{1,200})\.json$/;

/** What documents may take that are kept to be compared with those that follow, all together, bytes. */
const LISTS_BYTES_MAX = 32 << 20;
/** And one of them: to compare it takes a millisecond or two, in one turn. */
const LIST_BYTES_MAX = 1 << 20;
/** How a document in our format begins: its first list has the instances, one for each element. */
const OURS = /^\s*\{\s*"instances"\s*:\s*\[/;
const OURS_BYTES = 64;

/** What is known of a file. */
interface Known {
  mark: Mark;
  /** What it said when it was right last, in its order. */
  instances: Instance[];
  /** The document that said so; `null` = what follows is read as a whole. */
  list: JsonList | null;
  problem: string | null;
  /** Whether it is being read, a slice at a time. */
  isReading: boolean;
}

/** Instances of a file that stand in place of others. */
interface Changed {
  readonly before: readonly Instance[];
  readonly after: readonly Instance[];
}

/** What a file says. */
interface FileReading extends ProviderReading {
  /** All that it says, or what has changed of it. */
  readonly instances: Instance[];
  /** The document; `null` = it isn't kept. */
  readonly list: JsonList | null;
  /** In place of which of those before they stand; `null` = of all. */
  readonly changed: { readonly from: number; readonly to: number } | null;
}

/** What a look found: `none` = what the file says may be another now; `null` = it is what it was, or will be read. */
type Found = "none" | "invalidfile" | null;

/** The providers of a directory. */
export class ProviderFiles implements AsyncDisposable {
  readonly #options: ProviderFilesOptions;
  readonly #files = new Map<string, Known>();
  /** What has changed since the catalog was written. */
  #changed: Changed[] = [];
  /** What the catalog has. */
  #registered = new Map<string, Instance>();
  /** Ids that are another provider's, with whoever wants them. */
  #conflicts: ReadonlySet<string> = new Set();
  readonly #ending = new AbortController();
  readonly #following: Promise<void>;
  readonly #lists = new ListRoom(LISTS_BYTES_MAX);
  /** For the file that is read a slice at a time. */
  #room = new Uint8Array(0);
  /** Files that wait to be read a slice at a time. */
  readonly #waiting = new Set<string>();
  /** Reads them; `null` = there are none. */
  #reading: Promise<void> | null = null;
  /** Of the directory, when its files were looked at. */
  #mark = UNSEEN;
  /** Why the directory can't be read; `null` = it can. */
  #fault: string | null = null;
  #isRead = false;

  /** Reads the directory, and follows it. */
  constructor(options: ProviderFilesOptions) {
    this.#options = options;
    this.#look();
    this.#following = this.#follow();
  }

  /** Why the directory can't be read; `null` = it can. */
  get fault(): string | null {
    return this.#fault;
  }

  /** Of a file: its provider's name. `null` = it isn't one of a provider. */
  static providerOf(file: string): string | null {
    return FILE.exec(file)?.[1] ?? null;
  }

  /** What is wrong with files, and kept from counting. */
  get problems(): readonly string[] {
    return [...this.#files.values()].flatMap(({ problem }) => problem ?? []);
  }

  /** Who has an id, a provider's name; `null` = it is free. */
  ownerOf(id: string): string | null {
    return this.#registered.get(id)?.provider ?? null;
  }

  /**
   * Takes over what a provider's file says, which was just written.
   *
   * @param ino the file's number
   */
  take(provider: string, instances: readonly Instance[], ino: number | null): void {
    const name = `${provider}.json`;
    const mark = markOf(`${this.#options.directory}/${name}`);
    const after = toEnd(this.#kept(instances));
    this.#changed.push({ before: this.#files.get(name)?.instances ?? [], after });
    // In place of the one that may be read at the moment.
    this.#lists.drop(this.#files.get(name)?.list ?? null);
    this.#files.set(name, {
      // Another one may have taken its place meanwhile, which the next look reads.
      mark: mark.ino === ino ? mark : UNSEEN,
      instances: after,
      list: null,
      problem: null,
      isReading: false,
    });
    this.#register();
  }

  /** Lets go what a provider's file said, which was just removed. */
  drop(provider: string): void {
    const name = `${provider}.json`;
    const known = this.#files.get(name);
    if (known === undefined) return;
    this.#forget(name, known);
    // Another one may be there by now, and have been read.
    this.#mark = UNSEEN;
    this.#register();
  }

  #forget(name: string, { instances, list }: Known): void {
    this.#changed.push({ before: instances, after: [] });
    this.#lists.drop(list);
    this.#files.delete(name);
  }

  /** Looks at every file, and writes what they say. */
  #look(): void {
    const { directory } = this.#options;
    const startMs = performance.now();
    this.#mark = markOf(directory);
    this.#take(listOf(directory), startMs);
  }

  /** The same behind whoever writes there: until a rename is done, which may take the disk a second and more, the system gives no list. */
  async #lookAside(): Promise<void> {
    const { directory } = this.#options;
    const startMs = performance.now();
    const mark = markOf(directory);
    const list = await listAside(this.#options.names);
    if (this.#ending.signal.aborted) return;
    this.#mark = mark;
    this.#take(list, startMs);
  }

  #take(list: readonly string[] | Error, startMs: number): void {
    const error = list instanceof Error ? this.#setFault(fileFault(list)) : this.#lookAtAll(list);
    if (error !== null) this.#options.observe(error, (performance.now() - startMs) / 1000);
  }

  /**
   * @param names of the files there are; those that have come since may not be among them
   * @returns what was wrong; `null` = nothing was read
   */
  #lookAtAll(names: readonly string[]): StoreError | null {
    const { directory } = this.#options;
    if (names.length > FILES_MAX) return this.#setFault(`it has more than ${FILES_MAX} files`);
    // Nothing waits for a turn yet when all are read for the first time.
    const untilMs = this.#isRead ? performance.now() + LOOK_MS_MAX : Infinity;
    const looks = names.map((name) => this.#lookAt(name, untilMs));
    let isChanged = !this.#isRead;
    const there = new Set(names);
    for (const [name, known] of this.#files) {
      if (there.has(name) || isThere(`${directory}/${name}`)) continue;
      this.#forget(name, known);
      isChanged = true;
    }
    this.#isRead = true;
    const error = this.#taken(looks, isChanged);
    this.#setFault(null);
    return error;
  }

  /**
   * Looks at those that are known, without a list. It isn't the usual way: what a file that has come brings should be there before
   * what another one takes, and for that they are to be seen in one look.
   */
  #lookAtKnown(): void {
    // A directory that can't be read says nothing, whatever may be seen of its files.
    if (this.#fault !== null) return;
    const startMs = performance.now();
    const untilMs = startMs + LOOK_MS_MAX;
    const error = this.#taken([...this.#files.keys()].map((name) => this.#lookAt(name, untilMs, false)));
    if (error !== null) this.#options.observe(error, (performance.now() - startMs) / 1000);
  }

  /**
   * Registers what looks have found.
   *
   * @param isChanged whether something has changed besides
   * @returns what was wrong; `null` = nothing was read
   */
  #taken(looks: readonly Found[], isChanged = false): StoreError | null {
    const isNews = isChanged || looks.includes("none");
    if (isNews) this.#register();
    return looks.includes("invalidfile") ? "invalidfile" : isNews ? "none" : null;
  }

  /** Follows it no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await Promise.all([this.#following, this.#reading]);
    this.#options.names[Symbol.dispose]();
    await this.#options.watch[Symbol.asyncDispose]();
  }

  /**
   * @param untilMs when others are to have their turn
   * @param isListed whether the directory has it: what the system says nothing of may be gone otherwise
   */
  #lookAt(name: string, untilMs: number, isListed = true): Found {
    const path = `${this.#options.directory}/${name}`;
    const known = this.#files.get(name) ??
      { mark: UNSEEN, instances: [], list: null, problem: null, isReading: false };
    if (known.isReading) return null;
    const mark = markOf(path);
    const { size } = mark;
    if (isSameMark(mark, known.mark)) return null;
    // It went after it was listed, and the next list is without it.
    if (size === null && !(isListed && isThere(path))) return null;
    known.mark = mark;
    this.#files.set(name, known);
    if (this.#isRead && ((size ?? 0) > AT_ONCE_BYTES_MAX || performance.now() >= untilMs)) {
      known.isReading = true;
      this.#waiting.add(name);
      this.#reading ??= this.#readWaiting();
      return null;
    }
    return this.#takeReading(path, known, toEnd(this.#read(name, known)));
  }

  async #readWaiting(): Promise<void> {
    const { clock, observe } = this.#options;
    const { signal } = this.#ending;
    const pace = pacer({ clock, signal });
    try {
      // Not within the look that found them.
      await clock.sleep(0, signal);
      for (const name of this.#waiting) {
        await pace();
        this.#waiting.delete(name);
        const known = this.#files.get(name);
        // It is gone, or was registered meanwhile.
        if (!known?.isReading) continue;
        const startMs = clock.monotonicMs();
        const reading = await atPace(this.#read(name, known, this.#room), pace);
        await pace();
        known.isReading = false;
        // It may be another one by now: it is looked at with the next look.
        this.#mark = UNSEEN;
        if (this.#files.get(name) !== known) continue;
        const error = this.#takeReading(`${this.#options.directory}/${name}`, known, reading);
        if (error === "none") this.#register();
        if (error !== null) observe(error, (clock.monotonicMs() - startMs) / 1000);
      }
    } catch (cause) {
      if (!signal.aborted) throw cause;
    } finally {
      this.#reading = null;
    }
  }

  /** What a file says, in steps. */
  *#read(
    name: string,
    known: Known,
    room?: Uint8Array<ArrayBuffer>,
  ): Generator<void, FileReading> {
    const path = `${this.#options.directory}/${name}`;
    const bytes = this.#bytesOf(path, room);
    if (typeof bytes === "string") {
      const problems = [{ file: path, line: 0, column: 0, message: bytes }];
      return { instances: [], problems, list: null, changed: null };
    }
    const terms = { ...this.#options.terms, provider: ProviderFiles.providerOf(name)! };
    const difference = yield* this.#readDifference(bytes, known, terms);
    if (difference !== null) return difference;
    const { instances, problems } = yield* readProviderInSteps(path, bytes, terms);
    const isOurs = problems.length === 0 && bytes.length <= LIST_BYTES_MAX &&
      OURS.test(String.fromCharCode(...bytes.subarray(0, OURS_BYTES)));
    const list = isOurs ? JsonList.of(bytes) : null;
    return { instances: yield* this.#kept(instances), problems, list, changed: null };
  }

  /**
   * The same by what is another than in the document that is known: with many instances in a file, all of them are written again
   * for each that changes.
   *
   * @returns `null` = it is to be read as a whole
   */
  *#readDifference(
    bytes: Uint8Array,
    { list, instances: all }: Known,
    terms: ProviderTerms,
  ): Generator<void, FileReading | null> {
    const difference = list?.difference(bytes, LENGTH_MAX) ?? null;
    if (list === null || difference === null) return null;
    const { from, to, elements, text } = difference;
    const read = yield* readPlainList(elements, { text, keys: 0 }, terms);
    if (read === null) return null;
    const ids = new Set(all.slice(from, to).map(({ id }) => id));
    // One that is there already may be in the same document, which is to be said then.
    if (read.some(({ id }) => !ids.has(id) && this.#registered.has(id))) return null;
    const instances = yield* this.#kept(read);
    list.follow(bytes, difference);
    return { instances, problems: [], list, changed: { from, to } };
  }

  /** The same, but that what is as it was stays the same object: most of a file is, and what is soon let go costs the least. */
  *#kept(instances: readonly Instance[]): Generator<void, Instance[]> {
    const kept: Instance[] = [];
    for (const instance of instances) {
      const before = this.#registered.get(instance.id);
      if (before === undefined) kept.push(instance);
      else kept.push(isSameInstance(before, instance) ? before : withPartsOf(before, instance));
      if (kept.length % KEPT_STEP === 0) yield;
    }
    return kept;
  }

  #takeReading(
    path: string,
    known: Known,
    { instances, problems, list, changed }: FileReading,
  ): Found {
    const { log } = this.#options;
    const [first] = problems;
    // It went before it was read, and the next list is without it.
    if (first && !isThere(path)) return null;
    const before = known.problem;
    known.problem = first ? formatProblem(first) : null;
    if (first) {
      if (before === known.problem) return null;
      log.warn("A provider's file can't be used; what it said last goes on to count", {
        problem: formatProblem(first),
        more: problems.length - 1,
      });
      return "invalidfile";
    }
    let replaced = known.instances;
    if (changed === null) known.instances = instances;
    // Where they stand: copies of long lists would be most of what there is to collect.
    else replaced = known.instances.splice(changed.from, changed.to - changed.from, ...instances);
    this.#changed.push({ before: replaced, after: instances });
    this.#keepList(known, list);
    return "none";
  }

  /** Keeps a document, as long as there is room for it. */
  #keepList(known: Known, list: JsonList | null): void {
    if (list !== known.list) this.#lists.drop(known.list);
    known.list = list?.length === known.instances.length && this.#lists.keep(list) ? list : null;
  }

  /** What a file has; a text = why it can't be read. */
  #bytesOf(path: string, room?: Uint8Array<ArrayBuffer>): Uint8Array | string {
    try {
      const real = Deno.realPathSync(path);
      // What lies elsewhere may be written by others than may write here.
      if (!real.startsWith(`${Deno.realPathSync(this.#options.directory)}/`)) {
        throw new Error("it is a link that leads out of the directory");
      }
      const bytes = readShortFile(real, PROVIDER_BYTES_MAX, room);
      // The next one has as many, or some more.
      if (room && bytes.length >= room.length) this.#room = new Uint8Array(2 * bytes.length);
      return bytes;
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause;
      return fileFault(cause);
    }
  }

  /** Writes the difference between what the files say and what the catalog has. */
  #register(): void {
    const { terms: { zone }, write } = this.#options;
    const changed = this.#changed;
    this.#changed = [];
    const { ids, instances } = this.#differenceOf(changed) ?? this.#differenceOfAll();
    const changes: Change[] = [{ kind: "standing", zone, standing: "fresh" }];
    // In this order: where others take the place of all there were, there is no moment without any.
    if (instances.length > 0) changes.push({ kind: "put", zone, instances });
    if (ids.length > 0) changes.push({ kind: "remove", zone, ids });
    write(changes);
  }

  /**
   * The same by what has changed alone: with many files, one is written again and again.
   *
   * @returns `null` = ids are wanted by more than one provider, so that who has them is to be found out
   */
  #differenceOf(changed: readonly Changed[]): { ids: string[]; instances: Instance[] } | null {
    if (this.#conflicts.size > 0) return null;
    const isTaken = ({ id, provider }: Instance) =>
      (this.#registered.get(id)?.provider ?? provider) !== provider;
    const seen = new Set<string>();
    for (const { after } of changed) {
      for (const instance of after) {
        // A file that was read twice says it twice.
        if (isTaken(instance) || seen.has(instance.id)) return null;
        seen.add(instance.id);
      }
    }
    const ids: string[] = [];
    const instances: Instance[] = [];
    for (const { before, after } of changed) {
      for (const instance of after) {
        const known = this.#registered.get(instance.id);
        this.#registered.set(instance.id, instance);
        if (known === undefined || !isSameInstance(known, instance)) instances.push(instance);
      }
      for (const { id } of before) {
        if (!seen.has(id) && this.#registered.delete(id)) ids.push(id);
      }
    }
    return { ids, instances };
  }

  /** The same by all that the files say. */
  #differenceOfAll(): { ids: string[]; instances: Instance[] } {
    const { log } = this.#options;
    const next = new Map<string, Instance>();
    const conflicts = new Set<string>();
    const all = [...this.#files.values()].flatMap(({ instances }) => instances);
    // Whoever has an id keeps it.
    for (const instance of all) {
      if (this.#registered.get(instance.id)?.provider === instance.provider) next.set(instance.id, instance);
    }
    for (const instance of all) {
      const { id, provider } = instance;
      const owner = next.get(id);
      if (!owner) next.set(id, instance);
      else if (owner.provider !== provider) {
        const conflict = `${provider} ${id}`;
        conflicts.add(conflict);
        // A file is read more than once.
        if (this.#conflicts.has(conflict)) continue;
        log.warn("An instance is left out: its id is another provider's", {
          id,
          provider,
          owner: owner.provider,
        });
      }
    }
    const ids = [...this.#registered.keys()].filter((id) => !next.has(id));
    const instances = [...next.values()].filter((instance) => {
      const before = this.#registered.get(instance.id);
      return before === undefined || !isSameInstance(before, instance);
    });
    this.#registered = next;
    this.#conflicts = conflicts;
    return { ids, instances };
  }

  #setFault(fault: string | null): StoreError | null {
    const { directory, terms: { zone }, log, write } = this.#options;
    const error = fault === null ? null : "unreadable";
    if (fault === this.#fault) return error;
    this.#fault = fault;
    if (fault === null) log.info("The directory of providers can be read again", { directory });
    else {
      log.warn("The directory of providers can't be read; what was registered goes on to count", {
        directory,
        reason: fault,
      });
    }
    write([{ kind: "standing", zone, standing: fault === null ? "fresh" : this.#isRead ? "stale" : "lost" }]);
    return error;
  }

  async #follow(): Promise<void> {
    const { directory, clock } = this.#options;
    const { signal } = this.#ending;
    let looking: Promise<void> | null = null;
    let changedMs = clock.monotonicMs();
    let allMs = changedMs;
    for (;;) {
      const isQuiet = looking === null && clock.monotonicMs() - changedMs >= QUIET_MS;
      await (isQuiet ? this.#rest(allMs + LOOK_AT_ALL_MS) : clock.sleep(LOOK_MS, signal));
      if (signal.aborted) return void await looking;
      if (looking !== null) {
        this.#lookAtKnown();
        continue;
      }
      const nowMs = clock.monotonicMs();
      const isChanged = !isSameMark(markOf(directory), this.#mark);
      if (isChanged) changedMs = nowMs;
      if (!isChanged && nowMs - allMs < LOOK_AT_ALL_MS) continue;
      allMs = nowMs;
      looking = this.#lookAside().finally(() => looking = null);
    }
  }

  /** Until something happens in the directory, or a look at it is due. */
  async #rest(allAtMs: number): Promise<void> {
    const { directory, clock, watch } = this.#options;
    const { signal } = this.#ending;
    const news = watch.next();
    if (news === null) return await clock.sleep(QUIET_LOOK_MS, signal);
    // What happened before the system was asked to tell is none of its news.
    if (!isSameMark(markOf(directory), this.#mark)) return;
    await Promise.race([news, clock.sleep(allAtMs - clock.monotonicMs(), signal)]);
  }
}

/** The providers' files of a directory, in order; an error = it can't be read. */
function listOf(directory: string): readonly string[] | Error {
  try {
    return namesOf([...Deno.readDirSync(directory)].map(({ name }) => name));
  } catch (cause) {
    if (cause instanceof Error) return cause;
    throw cause;
  }
}

/** The same, while other work goes on. */
async function listAside(names: ProviderFilesOptions["names"]): Promise<readonly string[] | Error> {
  try {
    return namesOf(await names.list());
  } catch (cause) {
    if (cause instanceof Error) return cause;
    throw cause;
  }
}

function namesOf(names: readonly string[]): readonly string[] {
  return names.filter((name) => FILE.test(name)).sort();
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw cause;
  }
}

/**
 * How a file or a directory looks. Two that are equal are of the same bytes; a file of the same size and second has another number.
 * These are numbers and no text, since the runtime keeps the texts of numbers until the whole heap is collected.
 */
interface Mark {
  readonly writtenMs: number;
  readonly changedMs: number;
  /** Without a size the system says nothing of it. */
  readonly size: number | null;
  readonly ino: number | null;
  /** Of one that changed at this moment, so that it is like no other. */
  readonly momentMs: number;
  readonly fault: string | null;
}

/** Of what wasn't looked at. */
const UNSEEN: Mark = { writtenMs: 0, changedMs: 0, size: null, ino: null, momentMs: 0, fault: null };

function isSameMark(a: Mark, b: Mark): boolean {
  return a.writtenMs === b.writtenMs && a.changedMs === b.changedMs && a.size === b.size && a.ino === b.ino &&
    a.momentMs === b.momentMs && a.fault === b.fault;
}

function markOf(path: string): Mark {
  try {
    const { mtime, ctime, size, ino } = Deno.statSync(path);
    const writtenMs = mtime?.getTime() ?? 0;
    const changedMs = ctime?.getTime() ?? 0;
    const isRecent = Math.abs(Date.now() - Math.max(writtenMs, changedMs)) < TICK_MS;
    return { writtenMs, changedMs, size, ino, momentMs: isRecent ? performance.now() : 0, fault: null };
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { ...UNSEEN, fault: fileFault(cause) };
  }
}
