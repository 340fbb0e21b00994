/**
 * Who attacks: on a thread of their own, so that neither they wait for the well-behaved nor those for them.
 *
 * @module
 */
import { anySignal } from "../../../src/any_signal.ts";
import { ATTACKS, type Victim } from "./attacks.ts";

/** Attacks to be made at once, for so long; `null` = end those that are under way. */
export type AttackersOrder = {
  readonly victim: Victim;
  readonly attacks: readonly string[];
  readonly ms: number;
} | null;

/** What has ended is told: how often something was done; `null` = the thread hears orders. */
export type AttackersReport = { readonly made: number } | null;

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<AttackersOrder>) => void) | null;
  postMessage(report: AttackersReport): void;
};
const over = new AbortController();

scope.onmessage = async ({ data: order }) => {
  if (order === null) return over.abort();
  const signal = anySignal([over.signal, AbortSignal.timeout(order.ms)]);
  const made = await Promise.all(order.attacks.map((name) => ATTACKS[name]!(order.victim, signal)));
  scope.postMessage({ made: made.reduce((sum, times) => sum + times, 0) });
};

scope.postMessage(null);
