/**
 * Webhooks as a part of a node.
 *
 * @module
 */
import { WEBHOOKS, Webhooks } from "../webhooks/webhooks.ts";
import { partOf, type Start } from "./part.ts";

/** Tells receivers outside what happens; offered also where the settings have none, so that this can be seen. */
export const webhooks: Start = ({ settings, store, events, clock, rng, log, registry, ports }) => {
  const told = new Webhooks({
    ...{ settings: settings().notify, events, clock, rng, log, registry },
    memory: store.readOnly ? null : store.webhookPositions,
  });
  const offered = ports.offer(WEBHOOKS, told);
  return {
    ...partOf("webhooks", { prepare: ({ notify }) => () => told.use(notify) }),
    [Symbol.asyncDispose]: () => {
      offered[Symbol.dispose]();
      return told[Symbol.asyncDispose]();
    },
  };
};
