/**
 * The part that notices pools with too few members left, and offers what it found.
 *
 * @module
 */
import { type DownPool, PoolWatch } from "../health/pool_watch.ts";
import { Port } from "../port.ts";
import { poolEvent } from "./happenings.ts";
import { PoolStates } from "./pool_states.ts";
import type { Start } from "./part.ts";

/** Pools with too few members left: how many, and some of them by name. */
export const POOLS_DOWN = new Port<{
  poolsDown(): { readonly count: number; readonly pools: readonly DownPool[] };
}>("pools down");

/** Looks whenever what is answered has changed. */
export const poolsDown: Start = (core) => {
  const { answers, clock, log, registry, ports, events } = core;
  const states = new PoolStates(core);
  const watch = new PoolWatch({
    ...{ clock, log, registry },
    find: (places, found) => {
      if (places.from === 0) states.begin();
      return answers.publisher.findDown(places, found);
    },
    stateOf: (id, family) => states.of(id, family),
  });
  const joints = new DisposableStack();
  joints.use(watch.onTurn((turn) => events.emit(poolEvent(turn))));
  joints.use(answers.onChange(() => watch.wake()));
  joints.use(ports.offer(POOLS_DOWN, { poolsDown: () => ({ count: watch.count, pools: watch.down }) }));
  watch.wake();
  return {
    name: "watch of pools",
    [Symbol.asyncDispose]: () => {
      joints.dispose();
      return watch[Symbol.asyncDispose]();
    },
  };
};
