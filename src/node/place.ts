/**
 * The place of a node on its machine: one process has it for each database, until it ends or another process
 * takes over.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { connectToNode, ControlSocket } from "../replace/control_socket.ts";
import { Predecessor as HandingOver, type Succession } from "../replace/predecessor.ts";
import { ProcessLock } from "../replace/process_lock.ts";
import type { FrozenState } from "../replace/state.ts";
import { NotReplaced, Successor } from "../replace/successor.ts";
import type { Settings } from "../settings/settings.ts";
import { oneIsLeft } from "../sockets/listener_control.ts";
import { localSocketFault } from "../sockets/local_socket.ts";
import type { Logger } from "../telemetry/log.ts";
import { VERSION } from "../version.ts";
import type { Predecessor } from "./ground.ts";
import type { RunningNode } from "./node.ts";

/** How long the lock of a process that has ended may be taken still. */
const LOCK_MS_MAX = 10_000;
const LOCK_PAUSE_MS = 50;

/** The place of one process. Disposing leaves it. */
export class Place implements AsyncDisposable {
  /** Resolves when another process has taken it, or wants to have it. */
  readonly lost: Promise<Succession>;
  readonly #given: Settings;
  readonly #log: Logger;
  readonly #lost = Promise.withResolvers<Succession>();
  #settings: Settings;
  #lock: ProcessLock | null = null;
  #successor: Successor | null = null;
  #frozen: FrozenState | null = null;
  #handingOver: HandingOver | null = null;
  #control: ControlSocket | null = null;
  /** When the process before said that it writes nothing more, and when it was asked to receive no more UDP. */
  #frozenSinceMs = 0;
  #silentSinceMs = 0;
  /** For how long nothing was received. */
  #silentMs = 0;
  #isLost = false;
  #concluding: Promise<void> = Promise.resolve();
  /** Aborted when no process before this one is left. */
  readonly #concluded = new AbortController();

  /** Takes nothing yet. */
  constructor(settings: Settings, log: Logger) {
    this.#given = settings;
    this.#settings = settings;
    this.#log = log;
    this.lost = this.#lost.promise;
  }

  /** What the node is to go by: any free port is the one that the process before had found. */
  get settings(): Settings {
    return this.#settings;
  }

  /** The process whose place is taken; `null` = there is none. */
  get predecessor(): Predecessor | null {
    const [successor, state] = [this.#successor, this.#frozen];
    if (successor === null || state === null) return null;
    return {
      state,
      release: async () => {
        this.#silentSinceMs = performance.now();
        const { lock, ...released } = await successor.sockets();
        this.#lock = ProcessLock.adopt(lock);
        return released;
      },
      answered: () => this.#silentMs = performance.now() - this.#silentSinceMs,
    };
  }

  /** Whether it was another process's. */
  get isSuccession(): boolean {
    return this.#frozen !== null;
  }

  /** Whether it is another process's now. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** The number of the process that has taken it; `null` = none has. */
  get successorPid(): number | null {
    return this.#isLost ? this.#handingOver?.successorPid ?? null : null;
  }

  /**
   * Takes the place, if it is free, or begins to take it over.
   *
   * @param prepare does what can be done while the process that has it still writes; called where there is one
   * @throws {DatabaseTaken} when it isn't free
   * @throws {NotReplaced} when the process that has it doesn't let it go
   */
  async take(replaces: boolean, prepare: () => Promise<void>): Promise<void> {
    const database = this.#database;
    if (replaces && database === null) {
      throw new NotReplaced(
        "Without a database file no process finds the other: stop the one and start the other",
      );
    }
    if (database === null) return;
    if (replaces && await this.#beginTaking(database, prepare)) return;
    this.#lock = ProcessLock.take(database);
  }

  /** Says why it isn't taken over after all. */
  async giveUp(reason: string): Promise<void> {
    await this.#successor?.giveUp(reason);
  }

  /**
   * To be called when the node answers: from here on the place is this process's, and another one may ask for it.
   *
   * @throws {NotReplaced} when the process before doesn't let it go; this node isn't to go on then
   */
  async makeOurs(node: RunningNode): Promise<void> {
    await this.#successor?.ready();
    node.store.keepMigration();
    this.#lock?.sign();
    this.#listen(node);
    if (this.#successor === null) return;
    this.#log.info("Took over", {
      frozenMs: Math.round(performance.now() - this.#frozenSinceMs),
      silentMs: Math.round(this.#silentMs),
    });
  }

  /** Has the process before end, which tells at its end what it counted. */
  concludeWith(node: RunningNode): void {
    const successor = this.#successor;
    if (successor === null) return this.#concluded.abort();
    const done = successor.done();
    this.#concluding = (async () => {
      const last = await done;
      if (last !== null) node.handsOver.goOnFrom(last);
      await successor[Symbol.asyncDispose]();
      this.#concluded.abort();
      this.#log.debug("The process before has ended");
    })();
  }

  /** Tells the process that has the place now what was counted by the end, which processes before may come to only now. */
  async farewell(node: RunningNode): Promise<void> {
    await this.#concluding;
    this.#handingOver?.farewell(this.#isLost ? node.handsOver.last : null);
  }

  /** Leaves it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#handingOver?.farewell(null);
    this.#concluded.abort();
    await this.#control?.[Symbol.asyncDispose]();
    await this.#successor?.[Symbol.asyncDispose]();
    await this.#concluding;
    this.#lock?.[Symbol.dispose]();
  }

  get #database(): string | null {
    const { path } = this.#given.database;
    return path === "none" || path === ":memory:" ? null : path;
  }

  /** Whether there is a process to take over from. */
  async #beginTaking(database: string, prepare: () => Promise<void>): Promise<boolean> {
    const conversation = localSocketFault() === null ? connectToNode(database) : null;
    if (conversation === null) {
      this.#log.info("No node runs on this database: there is none to replace");
      return false;
    }
    const successor = new Successor(conversation);
    this.#successor = successor;
    // It may have another one to wait for first, whose place it has taken.
    const [{ pid, version, whyNot }] = await Promise.all([successor.greet(VERSION), prepare()]);
    if (whyNot === null && this.#given.dns.transport !== "portable") {
      this.#log.info("Taking over", { pid, version });
      this.#frozen = await successor.freeze();
      this.#frozenSinceMs = performance.now();
      this.#settings = withPortsOf(this.#given, this.#frozen);
      goByManager(this.#frozen.manager);
      return true;
    }
    const reason = whyNot ?? "dns.transport is portable, which takes over no sockets";
    this.#log.warn(
      "Nothing can be handed over: that process ends first, and until this one answers there is a gap",
      {
        pid,
        reason,
      },
    );
    await successor.dismiss();
    await successor[Symbol.asyncDispose]();
    this.#successor = null;
    await this.#takeWhenFree(database);
    return true;
  }

  async #takeWhenFree(database: string): Promise<void> {
    const untilMs = performance.now() + LOCK_MS_MAX;
    for (;;) {
      try {
        this.#lock = ProcessLock.take(database);
        return;
      } catch (error) {
        if (performance.now() > untilMs) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS));
    }
  }

  #listen(node: RunningNode): void {
    const database = this.#database;
    const uid = Deno.uid();
    if (database === null || uid === null || this.#lock === null || localSocketFault() !== null) return;
    const alone = oneIsLeft(node.handsOver.listening, this.#concluded.signal);
    const handingOver = new HandingOver({
      node: node.handsOver,
      lock: this.#lock.fd,
      version: VERSION,
      log: this.#log,
    });
    try {
      this.#control = ControlSocket.open({
        ...{ database, uid, log: this.#log },
        // The next process needn't wait until the clients of the one before have left, only until it listens no more: of
        // three listeners at one address the kernel wouldn't know the newest any more when the first of them ends.
        converse: async (conversation) => {
          await alone;
          await handingOver.converse(conversation);
        },
      });
    } catch (error) {
      this.#log.warn("This node can't be replaced while it runs: its control socket can't be opened", {
        error,
      });
      return;
    }
    this.#handingOver = handingOver;
    handingOver.succeeded.then((succession) => {
      this.#isLost = succession === "taken over";
      if (this.#isLost) {
        this.#control?.leave();
        node.handsOver.succeed();
      }
      this.#lost.resolve(succession);
    });
  }
}

/**
 * The service manager goes on watching the service, whichever process it is; what it wants of it is in the environment of
 * the first one.
 */
function goByManager({ notifySocket, watchdogUsec }: FrozenState["manager"]): void {
  if (notifySocket === null) return;
  Deno.env.set("NOTIFY_SOCKET", notifySocket);
  if (watchdogUsec !== null) Deno.env.set("WATCHDOG_USEC", watchdogUsec);
  Deno.env.delete("WATCHDOG_PID");
}

/** The settings, where any free port would do, with the ports that the process before had found. */
function withPortsOf(settings: Settings, { dns: bound, tls, https, api, metrics }: FrozenState): Settings {
  const { dns } = settings;
  const listen = dns.listen.length > 0
    ? dns.listen
    : dns.listenAddr.map((hostname) => ({ hostname, port: dns.port }));
  return {
    ...settings,
    dns: {
      ...dns,
      listen: found(listen, bound),
      tls: { ...dns.tls, port: dns.tls.port === 0 ? tls[0]?.port ?? 0 : dns.tls.port },
      https: { ...dns.https, port: dns.https.port === 0 ? https[0]?.port ?? 0 : dns.https.port },
    },
    api: { ...settings.api, port: settings.api.port === 0 ? api?.port ?? 0 : settings.api.port },
    metrics: {
      ...settings.metrics,
      port: settings.metrics.port === 0 ? metrics?.port ?? 0 : settings.metrics.port,
    },
  };
}

function found(wanted: readonly SocketAddress[], bound: readonly SocketAddress[]): SocketAddress[] {
  const left = new Map(bound.map((address) => [formatSocketAddress(address), address]));
  return wanted.map((address) => {
    if (address.port !== 0) return address;
    for (const [key, other] of left) {
      if (other.hostname !== address.hostname) continue;
      left.delete(key);
      return other;
    }
    return address;
  });
}
