/**
 * The part of a node that takes part in a cluster. It is loaded, with the library that it speaks by, where servers are set.
 *
 * @module
 */
import type { ClusterTerms } from "../cluster/cluster.ts";
import type { NodeModel } from "../cluster/node_model.ts";
import { PeerView } from "../cluster/peer_view.ts";
import { MODEL_DIGEST } from "../change/digest_gauge.ts";
import { trimHeap } from "../change/memory.ts";
import { CLUSTER, CONFIG_LOG, REGISTRATIONS, SHARED_LOCKS, SHARED_MODEL } from "../cluster/port.ts";
import { HEALTH_AGE_MS, LOOK_MS } from "../cluster/wire_format.ts";
import { CLUSTER_NODES } from "../license/share.ts";
import { Port } from "../port.ts";
import type { Settings } from "../settings/settings.ts";
import { SHARED_LOG, TRUST } from "./config_log.ts";
import { type Core, reloaded, type Start } from "./part.ts";
import { documentTaker } from "./shared_model.ts";

/** Takes part, if the settings name servers. */
export const clusterMember: Start = async (core) => {
  const { settings, health, ports, clock, rng, log, registry, predecessor } = core;
  const inherited = predecessor?.state.cluster ?? null;
  const terms = termsOf(settings());
  if (terms.link.servers.length === 0) {
    return reloaded("cluster", (next) => {
      if (termsOf(next).link.servers.length > 0) log.warn("The node joins a cluster at the next start");
    });
  }
  const { healthPolicy: policy, quorumMinPercent } = settings().state;
  const { node, region, heartbeatTtlMs: ttlMs } = terms;
  const { Cluster } = await import("../cluster/cluster.ts");
  const boot = inherited && { boot: inherited.boot };
  const view = new PeerView({ node, region, ttlMs, keepMs: HEALTH_AGE_MS, clock, ...boot });
  const sharing = await sharingOf(core, { terms, view });
  const joined = health.join({ node, peers: view, terms: { policy, quorumMinPercent } });
  const seq = inherited && { seq: inherited.seq + SEQ_STEP };
  const configLog = ports.find(SHARED_LOG);
  const locks = sharing === null ? null : await locksOf(core, terms);
  const values = await registrationsOf(core, terms);
  const beside = [sharing, locks, values].flatMap((one) => one === null ? [] : [one.session.bind(one)]);
  const cluster = new Cluster({
    ...{ terms, view, local: joined, clock, rng, log, registry, configLog, beside, ...seq },
    model: () => modelOf(core),
    burstOver: trimHeap,
  });
  using offering = new DisposableStack();
  offering.use(ports.offer(CLUSTER, cluster));
  offering.use(ports.offer(CLUSTER_NODES, {
    active: () => view.active().map(({ node }) => node),
    isConnected: () => cluster.isConnected,
    ttlMs,
    subscribe: (listener) => view.subscribe((changed) => changed === "membership" && listener()),
  }));
  offering.use(ports.offer(CLUSTER_IDENTITY, cluster));
  if (locks !== null) offering.use(ports.offer(SHARED_LOCKS, locks));
  if (values !== null) offering.use(ports.offer(REGISTRATIONS, values));
  if (sharing !== null) {
    offering.use(ports.offer(SHARED_MODEL, sharing));
    offering.use(core.commits.subscribe(() => sharing.wake()));
  }
  const offered = offering.move();
  return {
    ...reloaded("cluster", (next) => {
      const { link } = termsOf(next);
      if (link.servers.length > 0) cluster.use(link);
      else log.warn("The node leaves its cluster at the next start: state.nats.servers is empty");
    }),
    [Symbol.asyncDispose]: async () => {
      offered.dispose();
      // Answers go on meanwhile: others hear that this node leaves before it goes by its own probes alone.
      await cluster[Symbol.asyncDispose]();
      joined[Symbol.dispose]();
    },
  };
};

/** What heartbeats say of the model. */
function modelOf({ store, ports }: Pick<Core, "store" | "ports">): NodeModel {
  const log = ports.find(CONFIG_LOG)?.status() ?? null;
  return {
    generation: store.generation(),
    digest: ports.find(MODEL_DIGEST)?.value ?? null,
    log: log && { entries: log.stamp, behind: log.behind, pending: log.pending },
  };
}

/** What a hand-over needs of a node's part in the cluster. */
export interface ClusterIdentity {
  /** What other nodes know this process by, and the highest number that it has given to what it said. */
  readonly identity: { readonly boot: string; readonly seq: number };
  /** Says that another process goes on by it. */
  succeed(): void;
}

/** Where it is offered. */
export const CLUSTER_IDENTITY: Port<ClusterIdentity> = new Port("identity in the cluster");

/** More than a process says from the moment at which it is asked for its identity until it ends. */
const SEQ_STEP = 1 << 20;

/** What models are shared with; `null` = there is no database for them. */
async function sharingOf(
  core: Core,
  { terms: { cluster, node, domain, replicas = 1, lookMs }, view }: {
    readonly terms: ClusterTerms;
    readonly view: PeerView;
  },
) {
  const { ports, clock, log, registry } = core;
  const trust = ports.find(TRUST);
  if (trust === null) return null;
  const { ModelSharing } = await import("../cluster/model_sharing.ts");
  return new ModelSharing({
    terms: { cluster, node, domain, replicas, lookMs },
    ...{ trust, taker: documentTaker(core, () => view.active()), clock, log, registry },
  });
}

/** Pools' locks, where models are shared: elsewhere one name may be two pools. */
async function locksOf({ clock }: Core, { cluster, node, domain, replicas = 1, lookMs }: ClusterTerms) {
  const { PoolLocks } = await import("../cluster/pool_locks.ts");
  return new PoolLocks({ cluster, node, domain, replicas, lookMs, clock });
}

/** What nodes tell each other of registrations, if they do. */
async function registrationsOf(
  { settings, clock, log }: Core,
  { cluster, node, domain, replicas = 1, lookMs }: ClusterTerms,
) {
  const { enabled, nats } = settings().discovery;
  if (!enabled || !nats.enabled) return null;
  const { NodeValues } = await import("../cluster/node_values.ts");
  return new NodeValues({ terms: { cluster, node, domain, replicas, ttlMs: nats.ttl, lookMs }, clock, log });
}

function termsOf({ cluster, node, state }: Settings): ClusterTerms {
  const { heartbeatInterval, heartbeatTTL, nats: { servers, tls, auth, jetStream } } = state;
  return {
    ...{ cluster: cluster.id, node: node.id, region: node.region },
    ...{ heartbeatIntervalMs: heartbeatInterval, heartbeatTtlMs: heartbeatTTL },
    link: { servers, tls, auth },
    ...{ domain: jetStream.domain, replicas: jetStream.replicas },
    lookMs: LOOK_MS,
  };
}
