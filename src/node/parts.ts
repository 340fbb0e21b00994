/**
 * Every part of a node, one line each. How to add one: `docs/adding-a-capability.md`.
 *
 * Parts are made when the first tables are written and before the workers start, in the order of the list, and disposed
 * of in reverse. What takes time they do behind, so that no answer waits for it.
 *
 * @module
 */
import { DigestGauge, MODEL_DIGEST } from "../change/digest_gauge.ts";
import { audit } from "./audit.ts";
import { eventStreams } from "./event_streams.ts";
import { gitops } from "./gitops.ts";
import { startLicensing } from "../license/licensing.ts";
import { clusterMember } from "./cluster.ts";
import { sharedConfigLog } from "./config_log.ts";
import { dnsCertificate } from "./dns_certificate.ts";
import { discovery } from "./discovery.ts";
import { dnsLimits } from "./dns_limits.ts";
import { type Core, type Part, partOf, reloaded, type Start } from "./part.ts";
import { poolMetrics } from "./pool_metrics.ts";
import { poolRemarks } from "./pool_remarks.ts";
import { poolsDown } from "./pools_down.ts";
import { querySketch } from "./query_sketch.ts";
import { guardTermsOf } from "./sources.ts";
import { tokenEvents } from "./token_events.ts";
import { webhooks } from "./webhooks.ts";

const overrideTimes: Start = ({ store, overrides }) => {
  if (store.readOnly) return null;
  const ending = new AbortController();
  const following = overrides.run(ending.signal);
  return {
    name: "overrides in time",
    [Symbol.asyncDispose]: () => {
      ending.abort();
      return following;
    },
  };
};

const modelDigest: Start = (core) => {
  const gauge = new DigestGauge(core);
  const offered = core.ports.offer(MODEL_DIGEST, gauge);
  return partOf("digest of the model", {
    end: () => {
      offered[Symbol.dispose]();
      gauge[Symbol.dispose]();
    },
  });
};

const memberNames: Start = ({ names }) => reloaded("members by name", ({ names: terms }) => names.use(terms));

const healthGuards: Start = ({ health }) =>
  reloaded("guards of health", (next) => health.use(guardTermsOf(next)));

const historyLimits: Start = ({ changes }) =>
  reloaded("limits of the history", ({ history }) => changes.use(history));

/** Every part of a node, in the order in which they are made. */
export const PARTS: readonly Start[] = [
  poolsDown,
  poolMetrics,
  poolRemarks,
  modelDigest,
  overrideTimes,
  memberNames,
  healthGuards,
  historyLimits,
  audit,
  querySketch,
  tokenEvents,
  eventStreams,
  webhooks,
  startLicensing,
  dnsLimits,
  dnsCertificate,
  sharedConfigLog,
  clusterMember,
  gitops,
  discovery,
];

/** Makes the parts that are switched on; `lifetime` disposes of them in reverse. */
export async function startParts(
  starts: readonly Start[],
  core: Core,
  lifetime: AsyncDisposableStack,
): Promise<readonly Part[]> {
  const parts: Part[] = [];
  for (const start of starts) {
    const part = await start(core);
    if (part !== null) parts.push(lifetime.use(part));
  }
  return parts;
}
