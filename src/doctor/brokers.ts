/**
 * Check of the NATS servers by which nodes hear of each other: each is connected to as a node would do it.
 *
 * @module
 */
import { wireNames } from "../cluster/wire_format.ts";
import type { Check } from "./check.ts";

/** A connection and an answer of JetStream together take less than a check may. */
const TIMEOUT_MS = 900;
/** Of a connection that is closed before its first one. */
const PING_INTERVAL_MS = 60_000;

/** Whether the servers can be used. */
export const brokers: Check = {
  id: "broker",
  looksAt: "NATS servers",
  when: "both",
  look: async ({ settings: { cluster, node, state: { nats } } }) => {
    const { servers, tls, auth, jetStream: { domain } } = nats;
    if (servers.length === 0) return [];
    const { trialFault } = await import("../nats/trial.ts"); // the library isn't loaded where there is no cluster
    const link = {
      ...{ servers, tls, auth, name: `pleiades doctor ${node.id}`, pingIntervalMs: PING_INTERVAL_MS },
      inboxPrefix: wireNames(cluster.id, node.id).inboxPrefix,
    };
    const tried = await Promise.all(servers.map(async (server) => ({
      server,
      fault: await trialFault({ link, server, domain, timeoutMs: TIMEOUT_MS }),
    })));
    const faulty = tried.flatMap(({ server, fault }) => fault === null ? [] : [{ server, fault }]);
    const isNoneLeft = faulty.length === servers.length;
    return faulty.map(({ server, fault }) => ({
      level: isNoneLeft ? "problem" : "warning",
      subject: `NATS server ${server}`,
      message: `can't be used: ${fault}` +
        (isNoneLeft ? "; the node goes by its own probes alone" : "; another one can"),
      fix:
        "let it run and take this node with JetStream (packaging/nats), or name another one (state.nats.servers)",
    }));
  },
};
