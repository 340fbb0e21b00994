/**
 * Discovery as a part of a node. It is loaded where it is switched on.
 *
 * @module
 */
import { DISCOVERY } from "../discovery/port.ts";
import type { Start } from "./part.ts";

/** Lets services announce themselves, if the settings say so. */
export const discovery: Start = async ({ settings, clock, log, registry, ports, answers, store }) => {
  const { discovery: terms } = settings();
  if (!terms.enabled) return null;
  const { Discovery } = await import("../discovery/discovery.ts");
  const { AnswerThread } = await import("../discovery/answer_thread.ts");
  const { consul: { enabled, address: addresses, token, tls } } = terms;
  const part = new Discovery({
    terms: { ...terms, consul: enabled ? { addresses, token, tls: tls.enabled ? tls : null } : null },
    ...{ clock, log, registry },
    answer: (options) => new AnswerThread(options),
  });
  try {
    await part.ready;
  } catch (error) {
    await part[Symbol.asyncDispose]();
    throw error;
  }
  const offered = ports.offer(DISCOVERY, part);
  // What was read before there was anything to hear it.
  answers.publisher.touchPools(store.pools.discovering(null));
  const joint = part.changes.add((addresses) =>
    answers.publisher.touchPools([...addresses].flatMap((address) => store.pools.discovering(address)))
  );
  return {
    name: "discovery",
    [Symbol.asyncDispose]: async () => {
      joint[Symbol.dispose]();
      offered[Symbol.dispose]();
      await part[Symbol.asyncDispose]();
    },
  };
};
