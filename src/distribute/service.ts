/**
 * What the four services have in common: settings, log, metrics, a start and an end. Each is a process of its own, and none is
 * a node.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import type { ConsulTerms } from "../consul/client.ts";
import { ConsulRegistration } from "../consul/registration.ts";
import type { ServiceQuery } from "../consul/services.ts";
import { parseIp, parseSocketAddress } from "../ip.ts";
import type { LinkTerms } from "../nats/link.ts";
import type { Settings } from "../settings/settings.ts";
import type { Logger } from "../telemetry/log.ts";
import { EXPOSITION_CONTENT_TYPE, type Registry } from "../telemetry/metrics.ts";
import { serviceId, type Subjects } from "./messages.ts";
import { PowerDns } from "./powerdns.ts";
import type { DnsServer } from "./zone_reading.ts";

/** The settings of distribution. */
export type DistributeSettings = Settings["distribute"];

/** A service by the name of its command. */
export type ServiceName = "api-proxy" | "zone-provider" | "health-checker" | "secondary-syncer" | "status";

/** The machine as a service sees it. */
export interface ServiceGround {
  /** Of `distribute`. */
  readonly settings: DistributeSettings;
  /** Paces. */
  readonly clock: Clock;
  /** Hears of everything. */
  readonly log: Logger;
  /** Counts. */
  readonly registry: Registry;
  /** The name of this host. */
  readonly host: string;
}

/** What each service can't do without. */
const NEEDED: Readonly<Record<ServiceName, readonly string[]>> = {
  "api-proxy": ["service.url", "messageBroker.url"],
  "zone-provider": ["messageBroker.url"],
  "health-checker": ["messageBroker.url", "powerDNS.apiToken"],
  "secondary-syncer": ["messageBroker.url", "powerDNS.apiToken"],
  status: ["messageBroker.url", "powerDNS.apiToken"],
};

/** Why a service can't be started with these settings: a sentence for each reason, with the fix. */
export function serviceFaults(service: ServiceName, settings: DistributeSettings): string[] {
  const missing = NEEDED[service].filter((path) => valueAt(settings, path) === null).map((path) =>
    `distribute ${service} needs distribute.${path}`
  );
  const { messageBroker: { url, tls }, secondaries, service: { cert, key } } = settings;
  const isChecker = service === "health-checker" || service === "status";
  if (isChecker && secondaries.source === "consul" && settings.consul.url === null) {
    missing.push(`distribute ${service} needs distribute.consul.url, as secondaries.source is consul`);
  }
  if (isChecker && secondaries.source === "static" && secondaries.hosts.length === 0) {
    missing.push(
      `distribute ${service} needs a secondary: distribute.secondaries.hosts, or source: nats or consul`,
    );
  }
  if (url !== null && !isEncrypted(url, tls.ca !== null || tls.client !== null) && !isLoopback(url)) {
    missing.push(
      `distribute.messageBroker.url is ${url}, and beyond this machine NATS is spoken to over TLS only (tls://…)`,
    );
  }
  for (const [name, file] of [["cert", cert], ["key", key]] as const) {
    if (service !== "api-proxy" || file === null || file.startsWith("/") || /^[A-Za-z]:[\\/]/.test(file)) {
      continue;
    }
    missing.push(`distribute.service.${name} must be an absolute path, is ${file}`);
  }
  return missing;
}

/** What lets pass what shouldn't stay so. */
export function serviceWarnings({ powerDNS, consul }: DistributeSettings): string[] {
  const rows = [["powerDNS", powerDNS.url, "key of the API"], ["consul", consul.url, "token"]] as const;
  return rows.flatMap(([section, url, what]) =>
    url === null || !url.startsWith("http:") || isLoopback(url) ? [] : [
      `distribute.${section}.url is ${url}: the ${what} goes over the network as plain text (use https://)`,
    ]
  );
}

function valueAt(settings: object, path: string): unknown {
  return path.split(".").reduce<unknown>(
    (value, step) => typeof value === "object" && value !== null ? Reflect.get(value, step) ?? null : null,
    settings,
  );
}

function isEncrypted(url: string, hasTls: boolean): boolean {
  return url.startsWith("tls:") || hasTls;
}

function isLoopback(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  const bytes = parseIp(host);
  if (bytes === null) return host === "localhost";
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** Subjects of NATS. */
export function subjectsOf(
  { zoneEventTopics: { add, mod, del }, zoneStateTopics, zoneDataTopics }: DistributeSettings,
): Subjects {
  return {
    events: { add, modified: mod, delete: del },
    zoneState: zoneStateTopics.prefix,
    zoneData: zoneDataTopics.prefix,
    zoneDataWildcard: zoneDataTopics.wildcard,
  };
}

/** How NATS is connected to. */
export function linkTermsOf(
  service: ServiceName,
  { settings, host }: Pick<ServiceGround, "settings" | "host">,
): LinkTerms {
  const { url, username, password, tls: { ca, client } } = settings.messageBroker;
  const id = serviceId(host);
  return {
    servers: [url!],
    name: `pdns-${service}|${id}`,
    // No other user may read it: answers hold zones.
    inboxPrefix: `_INBOX_${id}`,
    pingIntervalMs: PING_MS,
    tls: { ca, client, handshakeFirst: false },
    auth: { user: username, password, token: null, nkeySeed: null, creds: null },
  };
}

/** A server that is silent is given up after three of these, milliseconds. */
const PING_MS = 10_000;

/** How Consul is reached; `null` = it isn't used. */
export function consulTermsOf({ consul: { url, token, ca } }: DistributeSettings): ConsulTerms | null {
  if (url === null) return null;
  const { protocol, hostname, port } = new URL(url);
  const isTls = protocol === "https:";
  return {
    addresses: [{
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port) || (isTls ? 443 : 80),
    }],
    ...{ token, tokenKey: "distribute.consul.token" },
    tls: isTls ? { serverName: null, caCerts: ca === null ? [] : [ca] } : null,
  };
}

/** The hosts of secondaries, in Consul. */
export function secondariesOf({ service: { tags } }: DistributeSettings): ServiceQuery {
  return { name: `${PREFIX}secondary-syncer`, tags, key: "host" };
}

/** Services of ours are called so in Consul. */
const PREFIX = "pdns-";

/** Keeps a service in the registers that the settings name. @param isWell whether it does what it is there for */
export function register(
  service: ServiceName,
  { settings, clock, log, host }: ServiceGround,
  { rng, isWell }: { readonly rng: Rng; readonly isWell: () => boolean },
): AsyncDisposable {
  const terms = consulTermsOf(settings);
  if (terms === null) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const { tags } = settings.service;
  const name = `${PREFIX}${service}`;
  return new ConsulRegistration({ terms, clock, rng, log }, {
    ...{ id: `${name}-${serviceId(host)}`, name, tags, meta: { host }, isWell },
  });
}

/** The API of PowerDNS. @param onCall told of each call */
export function powerDnsOf(
  { powerDNS }: DistributeSettings,
  onCall?: (what: string, isDone: boolean) => void,
): PowerDns {
  const { url, apiToken, serverID } = powerDNS;
  return new PowerDns({ url: url!, apiToken: apiToken ?? "", serverId: serverID }, onCall);
}

/** Its DNS side. */
export function dnsOf({ powerDNS: { dnsAddress, axfrAddress, axfrTimeout } }: DistributeSettings): DnsServer {
  return { server: parseSocketAddress(axfrAddress ?? dnsAddress), timeoutMs: axfrTimeout };
}

/** Serves `/metrics` where the settings say so. @throws {Error} when the address can't be had */
export function serveMetrics(
  { prometheus: { address } }: DistributeSettings,
  registry: Registry,
): AsyncDisposable {
  if (address === null) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const server = Deno.serve({ ...parseSocketAddress(address), onListen: () => {} }, (request) => {
    if (new URL(request.url).pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
    return new Response(registry.expose(), { headers: { "Content-Type": EXPOSITION_CONTENT_TYPE } });
  });
  return { [Symbol.asyncDispose]: () => server.shutdown() };
}
