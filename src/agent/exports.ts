/**
 * The agent for programs of their own: what `pleiades agent` does, and the ports behind which any provider, probe, region and
 * destroyer can be.
 *
 * @example A server that keeps its own address at an authoritative server
 * ```ts
 * const clock = systemClock;
 * const log = createLogger({ level: "info", format: "json", clock });
 * const records = new Rfc2136Records({ server, zone: "example.org", key, secondaries: [], clock, log });
 * const probe = connectionProbe({ port: 443, tls: true, http: null, version: "1" });
 * await runAgent(
 *   {
 *     fqdn: "www.example.org",
 *     addresses: ["192.0.2.10"],
 *     intervalMs: 5_000,
 *     limits: { minimumFailures: 3, maximumFailures: 60 },
 *   },
 *   { records, probe, clock, rng: systemRng, log },
 *   signal,
 * );
 * ```
 *
 * @module
 */
export * from "./agent.ts";
export * from "./block.ts";
export * from "./loop.ts";
export * from "./peer_probe.ts";
export * from "./ports.ts";
export * from "./records.ts";
export * from "./rolling_replace.ts";
export * from "./destroyers.ts";
export * from "./records/rest.ts";
export * from "./records/rfc2136.ts";
export * from "./records/route53.ts";
export * from "./aws/session.ts";
export * from "./aws/ec2.ts";
export { type AwsCredentials, type AwsRole, type CredentialOptions } from "./aws/credentials.ts";
export type { AwsAnswer } from "./aws/fetch_text.ts";
export type { Limits } from "./round.ts";
export { type Clock, type Rng, systemClock, systemRng } from "../clock.ts";
export type { SocketAddress } from "../ip.ts";
export { TSIG_ALGORITHMS, type TsigAlgorithm, type TsigKey } from "../wire/tsig.ts";
export {
  createLogger,
  type LogFields,
  type Logger,
  type LoggerOptions,
  type LogLevel,
} from "../telemetry/log.ts";
export type { SliceTerms } from "../slices.ts";
export * from "../telemetry/metrics.ts";
