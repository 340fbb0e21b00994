/**
 * A running node, as it hands over to another process (`src/replace/`).
 *
 * ```text
 *  answers everything, writes ──freeze──▶ answers everything, writes nothing ──release──▶ answers streams
 *             ▲                                        │                                       │
 *             └──────────────────────────── goOn ──────┴───────────────────────────────────────┤
 *                                                                             succeed, then it is disposed of
 * ```
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Fleet } from "../dns/fleet.ts";
import type { SocketAddress } from "../ip.ts";
import type { HandsOver } from "../replace/predecessor.ts";
import type { FrozenState, LastState, ReleasedState } from "../replace/state.ts";
import { DESCRIPTORS_MAX } from "../sockets/local_socket.ts";
import { StoreBusy } from "../store/database.ts";
import { WEBHOOKS } from "../webhooks/webhooks.ts";
import type { Answers } from "./answers.ts";
import { CLUSTER_IDENTITY } from "./cluster.ts";
import { DNS_LIMITS } from "./dns_limits.ts";
import type { OpenGround } from "./ground.ts";

/** How long an apply that is being committed is waited for; one of a million services takes half a minute. */
const BUSY_MS_MAX = 80_000;
const BUSY_PAUSE_MS = 50;

/** Longer than another process takes from the freeze until it wants the sockets. */
const ANSWER_ALL_MS = 60_000;

/** What API clients and others are told who want to write meanwhile. */
const FROZEN = "Another process is taking the place of this one; try again in a moment";

/** The hand-over of one node. */
export class NodeHandOver implements HandsOver {
  readonly #ground: OpenGround;
  readonly #answers: Answers;
  readonly #fleet: Fleet;
  /** Nothing is written as long as there is one. */
  #frozen: DisposableStack | null = null;
  #heldText: Disposable | null = null;
  #isSucceeded = false;
  #isCounted = false;
  #domains: readonly string[] = [];

  /** Changes nothing yet. */
  constructor(
    { ground, answers, fleet }: {
      readonly ground: OpenGround;
      readonly answers: Answers;
      readonly fleet: Fleet;
    },
  ) {
    this.#ground = ground;
    this.#answers = answers;
    this.#fleet = fleet;
  }

  /** The portable transport's sockets can't be handed to another process. */
  whyNot(): string | null {
    const { transport, sockets } = this.#fleet;
    if (transport !== "linux") {
      return `UDP is served by the ${transport} transport, whose sockets can't be handed over`;
    }
    // The lock goes with them.
    return sockets.length < DESCRIPTORS_MAX
      ? null
      : `there are ${sockets.length} UDP sockets, and no more than ${DESCRIPTORS_MAX - 1} can be handed over`;
  }

  /** Writes what has happened, and then nothing more. */
  async freeze(): Promise<FrozenState> {
    const { store } = this.#ground;
    const listDomains = () => {
      const generation = store.generation();
      this.#domains = [...store.services.each()].map(({ domain }) => domain);
      return generation;
    };
    // A list of a million takes a second, and mostly is the same when nothing can be written any more.
    const listed = listDomains();
    this.#frozen ??= await this.#whenFree();
    this.#fleet.answerAll(ANSWER_ALL_MS);
    try {
      if (store.generation() !== listed) listDomains();
      return this.#known();
    } catch (error) {
      this.goOn(true);
      throw error;
    }
  }

  /** Receives no more UDP. */
  async release(): Promise<{ readonly state: ReleasedState; readonly sockets: Fleet["sockets"] }> {
    const { registry, ports } = this.#ground;
    await this.#fleet.pause();
    this.#heldText ??= registry.holdText();
    const rates = ports.find(DNS_LIMITS)?.counted ?? null;
    registry.collect();
    return {
      state: {
        ...this.#answers.rotations(this.#domains),
        metrics: registry.carry(),
        rates: rates && rates.toBase64(),
      },
      sockets: this.#fleet.sockets,
    };
  }

  /** Whether the file has the schema of this program. */
  isUnharmed(): boolean {
    return this.#ground.store.isOurs();
  }

  /** Goes on as before. */
  goOn(mayWrite: boolean): void {
    this.#fleet.answerAll(0);
    this.#fleet.resume();
    this.#heldText?.[Symbol.dispose]();
    this.#heldText = null;
    if (!mayWrite) return;
    this.#frozen?.dispose();
    this.#frozen = null;
  }

  /** Says that another process has taken over: from now on clients go there, and what is left ends with the disposal. */
  succeed(): void {
    const { sockets, ports } = this.#ground;
    this.#isSucceeded = true;
    this.#fleet.succeed();
    this.#answers.succeed();
    sockets.api?.succeed();
    sockets.metrics?.succeed();
    ports.find(CLUSTER_IDENTITY)?.succeed();
  }

  /** To be called when the workers have ended, and all else is there still. */
  count(): void {
    if (!this.#isSucceeded) return;
    this.#ground.registry.collect();
    this.#isCounted = true;
  }

  /** What was counted by the end, by processes before as far as they have told; `null` = it hasn't come yet. */
  get last(): LastState | null {
    return this.#isCounted ? { metrics: this.#ground.registry.carry() } : null;
  }

  /** Where clients connect to this node. */
  get listening(): readonly SocketAddress[] {
    const { dns, tls, https, api, metrics } = this.#places();
    return [...dns, ...tls, ...https, api, metrics].filter((address) => address !== null);
  }

  /** Goes on from what the process before has counted by its end. */
  goOnFrom({ metrics }: LastState): void {
    this.#ground.registry.goOnFrom(metrics);
  }

  #known(): FrozenState {
    const { ports } = this.#ground;
    return {
      ...this.#places(),
      cookieSecret: ports.find(DNS_LIMITS)?.ownSecret.toHex() ?? null,
      cluster: ports.find(CLUSTER_IDENTITY)?.identity ?? null,
      manager: {
        notifySocket: Deno.env.get("NOTIFY_SOCKET") ?? null,
        watchdogUsec: Deno.env.get("WATCHDOG_USEC") ?? null,
      },
    };
  }

  #places(): Pick<FrozenState, "dns" | "tls" | "https" | "api" | "metrics"> {
    const { api, metrics } = this.#ground.sockets;
    const { addresses, encrypted: { tls, https } } = this.#fleet;
    return {
      ...{ dns: addresses, tls, https },
      api: api?.address ?? null,
      metrics: metrics?.address ?? null,
    };
  }

  /** An apply that is being committed is waited for: it can't be stopped in the middle. */
  async #whenFree(): Promise<DisposableStack> {
    const { store, ports, holdEvents } = this.#ground;
    const untilMs = performance.now() + BUSY_MS_MAX;
    for (;;) {
      using frozen = new DisposableStack();
      try {
        frozen.use(holdEvents());
        frozen.use(ports.find(WEBHOOKS)?.hold());
        frozen.use(store.freeze(FROZEN));
        return frozen.move();
      } catch (error) {
        if (!(error instanceof StoreBusy) || performance.now() > untilMs) throw error;
      }
      await delay(BUSY_PAUSE_MS);
    }
  }
}
