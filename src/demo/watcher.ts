/**
 * Sees what the node does and tells it: answers, changes of health and of the model.
 *
 * Answers can come faster than people read; a few a second are told, and of the others their number.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type CheckTarget, checkTargetsOf } from "../desired/check_target.ts";
import type { Sample } from "../dns/samples.ts";
import type { HealthEvent } from "../events/event.ts";
import type { Events } from "../events/events.ts";
import { formatPrefix, formatSocketAddress } from "../ip.ts";
import type { Store } from "../store/store.ts";
import { decodeMessage, type Message } from "../wire/message.ts";
import { RCODE, rcodeName, typeName } from "../wire/record_type.ts";
import { changeWords } from "./change_words.ts";
import type { Drill } from "./drill.ts";
import type { DemoEvent } from "./narration.ts";
import { isOwnQuery } from "./own_queries.ts";
import { type Beliefs, reasonFor } from "./reason.ts";
import { backendTarget } from "./sample.ts";

/** Answers told one by one a second. */
const LINES_PER_SECOND = 10;

/** What a watcher works with. */
export interface WatcherOptions {
  /** Ends the seconds in which answers are counted. */
  readonly clock: Clock;
  /** Takes what happens. */
  readonly tell: (event: DemoEvent) => void;
  /** Ends what still waits, and the following. */
  readonly signal: AbortSignal;
}

/** Tells what happens in a node. It keeps silent until `begin`. */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #down = new Set<string>();
  readonly #judged = new Set<string>();
  #targets: ReadonlyMap<string, CheckTarget> = new Map();
  #awaited: { readonly keys: readonly string[]; readonly resolve: () => void } | null = null;
  #scene: { readonly store: Store; readonly drill: Pick<Drill, "onVerdict"> } | null = null;
  #answers = 0;

  /** Nothing is watched yet. */
  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  /** Resolves when each of these targets has a verdict, or when the watcher's signal is aborted. */
  firstVerdicts(keys: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = { keys, resolve };
      this.#options.signal.addEventListener("abort", () => resolve(), { once: true });
      this.#wakeAwaited();
    });
  }

  /** Tells from now on, and hands the drill the verdicts on its backends. */
  begin(store: Store, drill: Pick<Drill, "onVerdict">): void {
    this.#scene = { store, drill };
    this.#readTargets(store);
  }

  /** Takes all that has happened in a node and will, until the watcher's signal is aborted. */
  async follow(events: Events): Promise<void> {
    const { signal } = this.#options;
    for await (const { events: some } of events.follow({ after: events.origin, signal })) {
      for (const { event } of some) {
        if (event.kind === "health") this.#onHealth(event);
        else if (event.kind === "commit") this.#onCommit(event.generation);
      }
      this.#wakeAwaited();
    }
  }

  #onCommit(generation: number): void {
    if (!this.#scene) return;
    const { store } = this.#scene;
    this.#readTargets(store);
    const entry = store.history.get(generation);
    if (!entry) return;
    const what = changeWords(entry, store.history.listed(generation));
    this.#options.tell({ kind: "changed", what, generation });
  }

  /** Tells of an answer, unless the demo itself asked or too many come at once. */
  onSample({ client, query, answer }: Sample): void {
    if (!this.#scene) return;
    const [asked, answered] = [tryDecode(query), tryDecode(answer)];
    if (!answered || (asked && isOwnQuery(asked))) return;
    if (this.#answers++ === 0) void this.#countSecond();
    if (this.#answers > LINES_PER_SECOND) return;
    this.#options.tell(answerEvent(client, answered, this.#beliefs(this.#scene.store)));
  }

  #onHealth(event: HealthEvent): void {
    const { target: key, state } = event;
    this.#judged.add(key);
    if (state === "unhealthy") this.#down.add(key);
    else this.#down.delete(key);
    const target = this.#targets.get(key);
    if (!this.#scene || !target) return;
    this.#options.tell(healthLine(target, event));
    if (key === backendTarget({ hostname: target.ipAddress, port: target.port }).key) {
      this.#scene.drill.onVerdict(target.ipAddress, state);
    }
  }

  #wakeAwaited(): void {
    if (this.#awaited?.keys.every((key) => this.#judged.has(key))) this.#awaited.resolve();
  }

  #readTargets(store: Store): void {
    const targets = new Map<string, CheckTarget>();
    for (const pool of store.pools.each()) {
      for (const target of checkTargetsOf(pool)) targets.set(target.key, target);
    }
    this.#targets = targets;
  }

  /** Begins with an answer; says at the end of the second how many were not told. */
  async #countSecond(): Promise<void> {
    const { clock, signal, tell } = this.#options;
    await clock.sleep(1000, signal);
    const hidden = this.#answers - LINES_PER_SECOND;
    this.#answers = 0;
    if (hidden > 0) tell({ kind: "more", count: hidden });
  }

  #beliefs(store: Store): Beliefs {
    return {
      service: (domain) => store.services.byDomain(domain),
      pool: (id) => store.pools.whole(id),
      isUp: (key) => !this.#down.has(key),
    };
  }
}

function tryDecode(packet: Uint8Array): Message | null {
  try {
    return decodeMessage(packet);
  } catch (error) {
    // Clients may send anything; what isn't a message has nothing to tell.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function answerEvent(client: string, message: Message, beliefs: Beliefs): DemoEvent {
  const { questions: [question], answers, rcode, edns } = message;
  const subnet = edns?.ecs && edns.ecs.prefix.length > 0 ? `${formatPrefix(edns.ecs.prefix)} by ` : "";
  return {
    kind: "answer",
    client: `${subnet}${client}`,
    question: question ? `${question.name} ${typeName(question.type)}` : "nothing readable",
    answer: answers.map(({ data }) => data).join(" ") ||
      (rcode === RCODE.NOERROR ? "no data" : rcodeName(rcode)),
    reason: reasonFor(message, beliefs),
  };
}

function healthLine(
  { check, ipAddress, port }: CheckTarget,
  { state, previous, error }: HealthEvent,
): DemoEvent {
  const isDown = state === "unhealthy";
  const where = {
    target: formatSocketAddress({ hostname: ipAddress, port }),
    check: check.type,
    results: previous === "unknown" ? 1 : isDown ? check.fall : check.rise,
  };
  return isDown ? { kind: "down", ...where, error: error ?? "" } : { kind: "up", ...where };
}
