/**
 * What a balancer tells, as Prometheus reads it: for a scraper of text files, or one that runs commands.
 *
 * @module
 */
import { fieldAt } from "../cli/table.ts";
import { Counter, Registry } from "../telemetry/metrics.ts";
import type { BalancerState } from "./balstat.ts";

/** Names, what they mean, and where their values stand. */
const OF_BALANCER = [
  ["counter", "udp_received_total", "Datagrams of clients", "udp.received"],
  ["counter", "udp_forwarded_total", "Datagrams handed to backends", "udp.forwarded"],
  [
    "counter",
    "udp_overflowed_total",
    "Datagrams dropped by the system, its buffer being full",
    "udp.overflowed",
  ],
  ["counter", "udp_moved_total", "Queries that a second backend was asked", "udp.moved"],
  ["counter", "udp_answered_total", "Datagrams of backends", "udp.answered"],
  ["counter", "udp_unserved_total", "Datagrams dropped for lack of a backend", "udp.unserved"],
  ["counter", "udp_stuck_total", "Datagrams dropped while their backend didn't read", "udp.stuck"],
  ["counter", "udp_too_long_total", "Datagrams dropped that are longer than 1500 bytes", "udp.tooLong"],
  ["counter", "udp_send_errors_total", "Answers that the system refused to send", "udp.sendErrors"],
  ["counter", "udp_misaddressed_total", "Answers to this balancer or to no address", "udp.misaddressed"],
  ["counter", "tcp_accepted_total", "Connections of clients", "tcp.accepted"],
  ["counter", "tcp_refused_total", "Connections reset for lack of a backend that takes them", "tcp.refused"],
  ["counter", "tcp_over_limit_total", "Connections reset since there were too many", "tcp.overLimit"],
  ["counter", "tcp_broken_total", "Connections that ended by a fault", "tcp.broken"],
  ["gauge", "tcp_connections", "Connections at the moment", "tcp.open"],
  ["gauge", "clients", "Clients that are known", "clients.count"],
  ["counter", "clients_expired_total", "Clients forgotten", "clients.expired"],
  ["counter", "clients_rebalanced_total", "Clients taken from their backend", "clients.rebalanced"],
  ["counter", "clients_unrecorded_total", "Choices for clients without a record", "clients.unrecorded"],
] as const;

const OF_BACKENDS = [
  ["gauge", "backend_ok", "Whether the backend takes datagrams", "ok"],
  ["gauge", "backend_clients", "Clients that belong to the backend", "remotes"],
  ["gauge", "backend_in_flight", "Datagrams handed over and not answered", "inFlight"],
  ["counter", "backend_sessions_total", "Sessions begun", "connected"],
  ["counter", "backend_faults_total", "Sessions and tries that failed", "faults"],
  ["counter", "backend_udp_total", "Datagrams handed over", "udp"],
  ["counter", "backend_answers_total", "Datagrams that came back", "answered"],
  ["counter", "backend_tcp_total", "Connections handed over", "tcp"],
  ["counter", "backend_stuck_total", "Datagrams dropped while it didn't read", "stuck"],
  ["counter", "backend_moved_total", "Queries that another one was asked at its sessions' end", "moved"],
  ["counter", "backend_lost_total", "Datagrams lost with sessions", "lost"],
  ["counter", "backend_forgotten_total", "Datagrams that it didn't answer", "forgotten"],
] as const;

/** The text format of Prometheus. */
export function exposition({ balancer, backends }: BalancerState): string {
  const registry = new Registry({});
  for (const [type, name, help, path] of OF_BALANCER) {
    const value = Number(fieldAt(balancer, path));
    if (type === "counter") registry.counter(`${PREFIX}${name}`, `${help}.`).labels().mirror(value);
    else registry.gauge(`${PREFIX}${name}`, `${help}.`).labels().set(value);
  }
  for (const [type, name, help, path] of OF_BACKENDS) {
    const labels = ["backend"] as const;
    const family = type === "counter"
      ? registry.counter(`${PREFIX}${name}`, `${help}.`, labels)
      : registry.gauge(`${PREFIX}${name}`, `${help}.`, labels);
    for (const row of backends) {
      const series = family.labels(String(row["id"]));
      const value = Number(fieldAt(row, path));
      if (series instanceof Counter) series.mirror(value);
      else series.set(value);
    }
  }
  return registry.expose();
}

const PREFIX = "pleiades_balancer_";
