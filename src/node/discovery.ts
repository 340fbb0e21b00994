/**
 * Discovery as a part of a node. It is loaded where it is switched on.
 *
 * @module
 */
import { REGISTRATIONS } from "../cluster/port.ts";
import { DISCOVERY } from "../discovery/port.ts";
import { QUERY_LOG } from "../dns/query_log.ts";
import type { Start } from "./part.ts";

/** Lets services announce themselves, if the settings say so. */
export const discovery: Start = async ({ settings, clock, log, registry, ports, answers, store }) => {
  const { discovery: terms, node, queryLog: { sample, maxPerSecond } } = settings();
  if (!terms.enabled) return null;
  const { Discovery } = await import("../discovery/discovery.ts");
  const { AnswerThread } = await import("../discovery/answer_thread.ts");
  const { ReadingThread } = await import("../discovery/reading_thread.ts");
  const { consul: { enabled, address: addresses, token, tls } } = terms;
  const consul = enabled
    ? { addresses, token, tokenKey: "discovery.consul.token", tls: tls.enabled ? tls : null }
    : null;
  const values = ports.find(REGISTRATIONS);
  const part = new Discovery({
    terms: { ...terms, consul },
    ...{ clock, log, registry },
    answer: (options) => new AnswerThread(options),
    read: (options) => new ReadingThread(options),
    shared: values && { values, node: node.id, ttlMs: terms.nats.ttl },
    sampling: sample === 0 ? null : { every: sample, perSecond: maxPerSecond },
    sampled: ({ exchanges, ...missed }) => {
      const queryLog = ports.find(QUERY_LOG);
      for (const exchange of exchanges) queryLog?.take(exchange);
      queryLog?.miss(missed);
    },
    keptFile: store.readOnly || store.path === ":memory:" ? null : `${store.path}.discovery`,
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
