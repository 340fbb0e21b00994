/**
 * The process's own settings: where it listens, what it is called, where its files lie.
 *
 * Durations are milliseconds here, whatever unit the file used; secrets are already resolved.
 *
 * @module
 */
import { type Fallback } from "./model.ts";

/** Everything `serve` needs to know before it opens the database. Keys are those of the settings file. */
export interface Settings {
  readonly cluster: { readonly id: string };
  readonly node: {
    readonly id: string;
    readonly region: string;
    readonly latitude: number | null;
    readonly longitude: number | null;
  };
  readonly dns: {
    /** Canonical addresses. */
    readonly listenAddr: readonly string[];
    readonly port: number;
    /** From `--dns`; when not empty it stands in for `listenAddr` and `port`. */
    readonly listen: readonly { readonly hostname: string; readonly port: number }[];
    /** Zones this node is authoritative for: lower-case, no final dot. */
    readonly domain: readonly string[];
    readonly nameservers: readonly string[];
    /** Seconds; default TTL of the static fallback and of synthesized SOA and NS. */
    readonly ttl: number;
    /** Zone files, read: text and the path it came from. */
    readonly zones: readonly { readonly domain: string; readonly file: string; readonly text: string }[];
    readonly ecs: { readonly enabled: boolean; readonly trustedResolvers: readonly string[] };
    readonly transport: "auto" | "linux" | "portable";
    readonly tcp: {
      readonly maxConnections: number;
      readonly maxConnectionsPerClient: number;
      readonly idleTimeout: number;
    };
    /** NSID (RFC 5001) text; empty = the option is ignored. */
    readonly nsid: string;
    /** What `version.bind CH TXT` and `id.server CH TXT` say; empty = REFUSED. */
    readonly chaos: { readonly version: string; readonly id: string };
  };
  /** The static fallback with its health block; `null` when `endpoints` is empty. */
  readonly fallback: Fallback | null;
  readonly health: { readonly startTimeout: number };
  readonly geoip: {
    readonly database: string | null;
    readonly asnDatabase: string | null;
    readonly endpointLocations: Readonly<
      Record<string, { readonly latitude: number; readonly longitude: number }>
    >;
  };
  readonly mapFile: { readonly path: string | null };
  /** A path, or `none`. */
  readonly database: { readonly path: string };
  readonly api: {
    readonly enabled: boolean;
    readonly listenAddr: string;
    readonly port: number;
    readonly tls: { readonly certFile: string | null; readonly keyFile: string | null };
    /** Bootstrap bearer tokens; empty on a loopback address = no login. */
    readonly tokens: readonly string[];
  };
  /** `listenAddr` null = on the API's listener. */
  readonly metrics: {
    readonly enablePrometheus: boolean;
    readonly listenAddr: string | null;
    readonly port: number;
  };
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "text" | "json";
  };
  readonly workers: number;
}
