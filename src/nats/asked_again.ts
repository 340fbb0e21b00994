/**
 * Requests that are asked again while no answer comes.
 *
 * While servers elect a leader for a stream none of them answers what only the leader may (seen with nats-server 2.15), and what
 * was asked then stays without an answer for ever. Whoever waits for its time-out is seconds late.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";

/** How long an answer is waited for until it is asked again, milliseconds. */
const AGAIN_MS = 500;

/**
 * Asks, and asks again twice a second until there is an answer to any of it.
 *
 * @param ask changes nothing, and fails when its time is up
 * @throws what the first one does that fails
 */
export async function askedAgain<Answer>(
  ask: () => Promise<Answer>,
  { clock, signal }: { readonly clock: Pick<Clock, "sleep">; readonly signal: AbortSignal },
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const ended = new AbortController();
  const over = anySignal([signal, ended.signal]);
  promise.finally(() => ended.abort()).catch(() => {}); // told to the caller
  do {
    ask().then(resolve, reject);
    await clock.sleep(AGAIN_MS, over);
  } while (!over.aborted);
  return await promise;
}
