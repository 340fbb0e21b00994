/**
 * The backends of a balancer: found in a directory, connected to, greeted, kept alive by heartbeats, tried again ever more
 * seldom. Pure: sockets are behind {@linkcode Connector}, and time comes in with each call. All that is timed happens at a
 * `tick`, once a second, so that real times are up to a second longer.
 *
 * @module
 */
import { FEATURE } from "../wire/balancer_frames.ts";
import type { FrontLog } from "./front_log.ts";

/** Backends that are known at most: they are never forgotten, so whoever may write the directory sets no bound. */
export const BACKENDS_MAX = 1024;
/** Most bytes of a socket's path, the end of `sun_path` not included (unix(7)). */
const PATH_MAX = 107;
/** Milliseconds from connecting until the server's hello. */
const HELLO_MS = 30_000;
/** Milliseconds from a hello or a heartbeat's answer to the next heartbeat. */
const BEAT_MS = 5_000;
/** Milliseconds until a heartbeat must be answered. */
const BEAT_ANSWER_MS = 15_000;
/** Milliseconds until a heartbeat that couldn't be queued is tried again. */
const BEAT_RETRY_MS = 1_000;
/** Sessions of a backend that may be going at a time: a restart has one, and each keeps memory for as long as it likes. */
const GOING_MAX = 4;
/** The delay of tries isn't raised any more when it has got there, seconds; in steps of two it ends at 33. */
const DELAY_MAX = 32;
/** File names that are the backend's number, too. */
const NAMED_IDS = [5300, 5399] as const;
/** More than any id: those that aren't named follow the highest one. */
const IDS = NAMED_IDS[1] + 1 + BACKENDS_MAX;

const NOTHING_UNANSWERED: Unanswered = { moved: 0, lost: 0 };

/** A control session. */
export interface ControlSession {
  /** Sends a heartbeat; `false` = there is no room for it. */
  sendHeartbeat(): boolean;
  /** Says which extensions are understood. */
  announce(): void;
  /** Sends nothing more, and ends when its server has answered the rest. */
  finish(): void;
}

/** Makes control sessions. */
export interface Connector<Session extends ControlSession> {
  /** Connects and says hello; `absent` = there is no such file. */
  connect(backend: Backend<Session>): Session | "absent" | Error;
  /** Ends a session at once, when its backend is known not to have it any more. */
  end(session: Session, backend: Backend<Session>, nowMs: number): Unanswered;
}

/** What a backend was asked and hadn't answered when its session ended. */
export interface Unanswered {
  /** Datagrams that another backend was asked. */
  readonly moved: number;
  /** The others. */
  readonly lost: number;
}

/** A DNS server on this host. What is written here is written by `Backends`, less the counters. */
export class Backend<Session extends ControlSession = ControlSession> {
  /** From 1 on. */
  readonly id: number;
  /** Where its socket is. */
  readonly path: string;
  /** Says which backend it is about. */
  readonly log: FrontLog;
  /** Whether it has said hello and takes datagrams. */
  ok = false;
  /** Whether its file is gone and it is not connected; the directory brings it back. */
  removed = false;
  /** What it has announced, bits of `FEATURE`. */
  features = 0;
  /** Clients that belong to it. */
  remotes = 0;
  /** Sessions begun. */
  connected = 0;
  /** Tries to connect that failed, and sessions that ended by a fault. */
  faults = 0;
  /** Datagrams handed to it. */
  udp = 0;
  /** Datagrams that came back. */
  answered = 0;
  /** Connections handed to it. */
  tcp = 0;
  /** Datagrams dropped since it reads too slowly. */
  stuck = 0;
  /** Datagrams that it had and hadn't answered when a session ended, and that another one was asked. */
  moved = 0;
  /** The others that it had and hadn't answered then. */
  lost = 0;
  /** Datagrams that it hadn't answered for so long that they were forgotten, in sessions that have ended. */
  forgotten = 0;
  /** Its session; `null` = it isn't connected. */
  session: Session | null = null;
  /** Those of its sessions that are going; whoever ends one takes it out. */
  readonly going = new Set<Session>();
  /** Seconds that the next try but one waits. */
  delay = 0;
  /** When it is connected to; `Infinity` = it isn't planned. */
  connectAtMs: number = Infinity;
  /** When its hello must have come. */
  helloByMs: number = Infinity;
  /** When the next heartbeat is sent. */
  beatAtMs: number = Infinity;
  /** When the last one must have been answered; `Infinity` = none is outstanding. */
  beatByMs: number = Infinity;

  /** Is not connected. */
  constructor(id: number, path: string, log: FrontLog) {
    this.id = id;
    this.path = path;
    this.log = log.with({ be_id: id, be_path: path });
  }
}

/** All backends. */
export class Backends<Session extends ControlSession = ControlSession> {
  readonly #connector: Connector<Session>;
  readonly #log: FrontLog;
  readonly #byPath = new Map<string, Backend<Session>>();
  /** By id; of one size, since an array that grows by thousands is looked up as a dictionary is. */
  readonly #byId: (Backend<Session> | undefined)[] = Array.from({ length: IDS }, () => undefined);
  /** In the order of ids. */
  #ordered: Backend<Session>[] = [];
  #lastChosen = 0;
  readonly #skipped = new Set<string>();

  /** Knows none. */
  constructor(connector: Connector<Session>, log: FrontLog) {
    this.#connector = connector;
    this.#log = log;
  }

  /** In the order of their ids. */
  get all(): readonly Backend<Session>[] {
    return this.#ordered;
  }

  /** The backend with this id; absent = there is none. */
  byId(id: number): Backend<Session> | undefined {
    return this.#byId[id];
  }

  /**
   * Takes note of what is in the directory now: whatever isn't known is a backend, unless its name begins with a dot, and
   * one that was gone is tried again.
   */
  discover(directory: string, names: readonly string[], nowMs: number): void {
    for (const name of names) {
      if (name.startsWith(".")) continue;
      const path = `${directory}/${name}`;
      const known = this.#byPath.get(path);
      if (known === undefined) this.#add(name, path, nowMs);
      else if (known.removed) {
        known.removed = false;
        known.log.info("backend is back");
        known.delay = 0;
        this.#schedule(known, nowMs);
      }
    }
  }

  /** Does what is due. */
  tick(nowMs: number): void {
    for (const backend of this.#ordered) {
      if (nowMs >= backend.connectAtMs) this.#connect(backend, nowMs);
      if (nowMs >= backend.helloByMs) this.fault(backend, "no hello within 30 s", nowMs);
      if (nowMs >= backend.beatByMs) this.fault(backend, "no heartbeat within 15 s", nowMs);
      if (nowMs >= backend.beatAtMs) this.#beat(backend, nowMs);
    }
  }

  /** The server says hello. @returns whether its session goes on */
  onHello(backend: Backend<Session>, nowMs: number): boolean {
    if (backend.ok || backend.helloByMs === Infinity) return this.fault(backend, "a second hello", nowMs);
    backend.ok = true;
    backend.helloByMs = Infinity;
    backend.beatAtMs = nowMs + BEAT_MS;
    backend.delay = 1;
    backend.log.info("backend is ok");
    backend.session!.announce();
    return true;
  }

  /** It answers a heartbeat. @returns whether its session goes on */
  onHeartbeat(backend: Backend<Session>, nowMs: number): boolean {
    if (!backend.ok) return this.fault(backend, "a heartbeat before its hello", nowMs);
    if (backend.beatByMs === Infinity) {
      return this.fault(backend, "a heartbeat that was not asked for", nowMs);
    }
    backend.beatByMs = Infinity;
    backend.beatAtMs = nowMs + BEAT_MS;
    return true;
  }

  /**
   * It is about to end: what it has it still answers, and its clients go elsewhere until it, or its successor, is back.
   *
   * @returns whether its session goes on
   */
  onGoing(backend: Backend<Session>, nowMs: number): boolean {
    if (!backend.ok || (backend.features & FEATURE.going) === 0) {
      return this.fault(backend, "it is going without having announced that it may", nowMs);
    }
    if (backend.going.size >= GOING_MAX) return this.fault(backend, "it is going again and again", nowMs);
    backend.log.info("backend is going");
    const session = backend.session!;
    this.#forgetSession(backend);
    backend.going.add(session);
    session.finish();
    backend.delay = 0;
    this.#schedule(backend, nowMs);
    // Its successor may be there already.
    this.#connect(backend, nowMs);
    return true;
  }

  /** Ends its session, and plans the next one. @returns `false`, since its session doesn't go on */
  fault(backend: Backend<Session>, reason: string, nowMs: number): false {
    backend.faults++;
    const { session } = backend;
    this.#forgetSession(backend);
    this.#schedule(backend, nowMs);
    const { lost, moved } = session ? this.#connector.end(session, backend, nowMs) : NOTHING_UNANSWERED;
    const retry_seconds = Math.round((backend.connectAtMs - nowMs) / 1000);
    backend.log.error("backend fault", { reason, lost, asked_elsewhere: moved, retry_seconds });
    return false;
  }

  /**
   * The next one in turn that takes datagrams: in the order of ids, from the one behind that chosen last.
   *
   * @param features that it must have
   */
  select(features: number): Backend<Session> | null {
    const { length } = this.#ordered;
    let start = 0;
    while (start < length && this.#ordered[start]!.id <= this.#lastChosen) start++;
    for (let i = 0; i < length; i++) {
      const backend = this.#ordered[(start + i) % length]!;
      if (!isUsable(backend, features)) continue;
      this.#lastChosen = backend.id;
      return backend;
    }
    return null;
  }

  #add(name: string, path: string, nowMs: number): void {
    const fault = new TextEncoder().encode(path).length > PATH_MAX
      ? `its path has more than ${PATH_MAX} bytes`
      : name.includes("\ufffd")
      ? "its name is no UTF-8"
      : this.#ordered.length >= BACKENDS_MAX
      ? `there are ${BACKENDS_MAX} backends already`
      : null;
    if (fault !== null) return this.#skip(path, fault);
    const backend = new Backend<Session>(this.#idFor(name), path, this.#log);
    this.#byPath.set(path, backend);
    this.#byId[backend.id] = backend;
    this.#ordered = [...this.#ordered, backend].sort((a, b) => a.id - b.id);
    backend.log.info("new backend");
    this.#schedule(backend, nowMs);
  }

  /** Said once a path, and of so many paths only. */
  #skip(path: string, reason: string): void {
    if (this.#skipped.has(path) || this.#skipped.size >= BACKENDS_MAX) return;
    this.#skipped.add(path);
    this.#log.warn("skipped what is in the directory", { path, reason });
  }

  #idFor(name: string): number {
    const id = /^\d{4}$/.test(name) ? Number(name) : 0;
    if (id >= NAMED_IDS[0] && id <= NAMED_IDS[1] && this.#byId[id] === undefined) return id;
    return (this.#ordered.at(-1)?.id ?? 0) + 1;
  }

  /** Waits as long as is due now, and longer the next time. */
  #schedule(backend: Backend<Session>, nowMs: number): void {
    backend.connectAtMs = nowMs + backend.delay * 1000;
    if (backend.delay === 0) backend.delay = 1;
    else if (backend.delay < DELAY_MAX) backend.delay += 2;
  }

  #connect(backend: Backend<Session>, nowMs: number): void {
    backend.connectAtMs = Infinity;
    const session = this.#connector.connect(backend);
    if (session === "absent") {
      backend.faults++;
      backend.removed = true;
      backend.log.info("backend is removed: its socket is gone");
    } else if (session instanceof Error) {
      backend.faults++;
      this.#schedule(backend, nowMs);
      const retry_seconds = Math.round((backend.connectAtMs - nowMs) / 1000);
      backend.log.warn("backend can't be connected to", { reason: session.message, retry_seconds });
    } else {
      backend.connected++;
      backend.session = session;
      backend.helloByMs = nowMs + HELLO_MS;
      backend.log.debug("connected; waiting for its hello");
    }
  }

  #beat(backend: Backend<Session>, nowMs: number): void {
    if (!backend.session!.sendHeartbeat()) {
      backend.beatAtMs = nowMs + BEAT_RETRY_MS;
      return;
    }
    backend.beatAtMs = Infinity;
    backend.beatByMs = nowMs + BEAT_ANSWER_MS;
  }

  #forgetSession(backend: Backend<Session>): void {
    backend.session = null;
    backend.ok = false;
    backend.features = 0;
    backend.helloByMs = backend.beatAtMs = backend.beatByMs = Infinity;
  }
}

/** Whether it takes a client's datagrams. @param features what the client needs */
export function isUsable(backend: Backend, features: number): boolean {
  return backend.ok && (backend.features & features) === features;
}
