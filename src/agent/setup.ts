/**
 * From settings to the parts of an agent: where its record is, how peers are probed, which are in its region, what ends
 * them, and what its own addresses are.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import {
  canonicalIp,
  formatSocketAddress,
  isUnicast,
  parseIp,
  parsePrefix,
  parseSocketAddress,
  prefixContains,
  type SocketAddress,
} from "../ip.ts";
import type { Settings } from "../settings/settings.ts";
import type { Logger } from "../telemetry/log.ts";
import { VERSION } from "../version.ts";
import type { AgentParts } from "./agent.ts";
import { Ec2Instances } from "./aws/ec2.ts";
import { AwsSession } from "./aws/session.ts";
import { commandDestroyer, webhookDestroyer } from "./destroyers.ts";
import { connectionProbe } from "./peer_probe.ts";
import { type Destroyer, EVERY_REGION, type PeerProbe, PRESERVE, type RegionFilter } from "./ports.ts";
import type { RecordManager } from "./records.ts";
import { RestRecords } from "./records/rest.ts";
import { Rfc2136Records } from "./records/rfc2136.ts";
import { Route53Records } from "./records/route53.ts";

/** The settings of an agent. */
export type AgentSettings = Settings["agent"];

/** What is set doesn't make an agent; the message names the key. */
export class AgentMisconfigured extends Error {
  /** As shown in front of the message. */
  override readonly name = "AgentMisconfigured";
}

/** A place where a record can be. */
interface Provider {
  /** The key that switches it on. */
  readonly key: string;
  /** What this server's own address is found by: from where it is reached. */
  readonly endpoint: SocketAddress;
  readonly records: (parts: SetupParts) => RecordManager;
}

/** All that are configured. */
function providersOf(settings: AgentSettings): Provider[] {
  const { rfc2136, route53HostedZoneId, pleiades: { api, token, pool } } = settings;
  return [
    api === null ? null : restProvider(settings, { api, token, pool: pool! }),
    rfc2136.server === null ? null : updateProvider({ ...rfc2136, server: rfc2136.server }),
    route53HostedZoneId === null ? null : route53Provider(settings, route53HostedZoneId),
  ].filter((provider) => provider !== null);
}

/** Settings see to it that what belongs to a server is there. */
function updateProvider(
  { server, zone, keyName, algorithm, secret, secondaries }: AgentSettings["rfc2136"] & {
    readonly server: string;
  },
): Provider {
  const endpoint = parseSocketAddress(server);
  return {
    key: "agent.rfc2136.server",
    endpoint,
    records: (parts) =>
      new Rfc2136Records({
        server: endpoint,
        zone: zone!,
        key: { name: keyName!, algorithm, secret: Uint8Array.fromBase64(secret!) },
        secondaries: secondaries.map((each) => parseSocketAddress(each)),
        ...parts,
      }),
  };
}

function route53Provider(settings: AgentSettings, hostedZoneId: string): Provider {
  return {
    key: "agent.route53HostedZoneId",
    endpoint: endpointOf(settings.awsEndpoint ?? "https://route53.amazonaws.com"),
    records: (parts) =>
      new Route53Records({
        hostedZoneId,
        session: sessionOf(settings, parts, settings.awsAssumeRoleArn),
        ...parts,
      }),
  };
}

function restProvider(
  settings: AgentSettings,
  options: { readonly api: string; readonly token: string | null; readonly pool: string },
): Provider {
  return {
    key: "agent.pleiades.api",
    endpoint: endpointOf(options.api),
    records: () => new RestRecords({ ...options, port: nameAndPort(settings).port }),
  };
}

function endpointOf(url: string): SocketAddress {
  const { hostname, port, protocol } = new URL(url);
  const own = protocol === "https:" ? 443 : 80;
  return { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || own };
}

function sessionOf(
  { awsProfile: profile, awsEndpoint }: AgentSettings,
  { clock }: Pick<SetupParts, "clock">,
  roleArn: string | null,
): AwsSession {
  return new AwsSession({
    profile,
    roleArn,
    endpoint: awsEndpoint === null ? null : awsEndpoint.replace(/\/$/, ""),
    env: (name) => Deno.env.get(name),
    readFile: Deno.readTextFileSync,
    clock,
  });
}

/** Tells whether a provider is configured. @throws {AgentMisconfigured} when several are */
export function hasProvider(settings: AgentSettings): boolean {
  const providers = providersOf(settings);
  if (providers.length > 1) {
    const keys = providers.map(({ key }) => key).join(" and ");
    throw new AgentMisconfigured(`multiple DNS zone providers: ${keys} are set (keep one of them)`);
  }
  return providers.length === 1;
}

function providerOf(settings: AgentSettings): Provider {
  if (hasProvider(settings)) return providersOf(settings)[0]!;
  throw new AgentMisconfigured(
    "no DNS zone provider: set agent.rfc2136.server, agent.pleiades.api or agent.route53HostedZoneId",
  );
}

/** The name, and the port at which its servers are probed. @throws {AgentMisconfigured} when one is missing */
export function nameAndPort(
  { fqdn, tcpPort }: AgentSettings,
): { readonly fqdn: string; readonly port: number } {
  if (fqdn === null) {
    throw new AgentMisconfigured("no FQDN specified: set agent.fqdn, such as www.example.org");
  }
  if (tcpPort === null) throw new AgentMisconfigured("no port specified: set agent.tcpPort, such as 443");
  return { fqdn, port: tcpPort };
}

/** What records are made with. */
export interface SetupParts {
  /** Time. */
  readonly clock: Clock;
  /** Told of what goes on. */
  readonly log: Logger;
}

/** The one place where the record is. @throws {AgentMisconfigured} when none is configured, or several are */
export function recordsOf(settings: AgentSettings, parts: SetupParts): RecordManager {
  return providerOf(settings).records(parts);
}

/** How peers are probed. @throws {AgentMisconfigured} when that can't be said */
export function probeOf(settings: AgentSettings): PeerProbe {
  const { path, host, expectedStatus } = settings.http;
  const http = path === null ? null : { path, host, expectedStatus };
  return connectionProbe({ port: nameAndPort(settings).port, tls: settings.doTls, http, version: VERSION });
}

/** The servers of a region, by its networks. @throws {AgentMisconfigured} when there is no such region */
export function regionOf(
  settings: AgentSettings,
  region: string,
  parts: Pick<SetupParts, "clock">,
): RegionFilter {
  const { regions, allRegions, ec2 } = settings;
  if (ec2.enabled && !allRegions) {
    return new Ec2Instances({ region: region || ec2.region, session: sessionOf(settings, parts, null) });
  }
  const names = Object.keys(regions);
  if (allRegions || (names.length === 0 && region === "")) return EVERY_REGION;
  const networks = Object.hasOwn(regions, region) ? regions[region]!.map(parsePrefix) : null;
  if (networks === null) {
    throw new AgentMisconfigured(
      region === ""
        ? `which region is this? set agent.region to one of agent.regions: ${names.join(", ")}`
        : `agent.regions has no region ${JSON.stringify(region)} (${
          names.join(", ") || "it is empty: name the region's networks there"
        })`,
    );
  }
  return {
    filter: (addresses) =>
      Promise.resolve(addresses.filter((address) => {
        const bytes = parseIp(address);
        return bytes !== null && networks.some((network) => prefixContains(network, bytes));
      })),
  };
}

/** What ends the machines of servers that are removed. @throws {AgentMisconfigured} when two things would */
export function destroyerOf(
  settings: AgentSettings,
  region: string,
  parts: Pick<SetupParts, "clock">,
): Destroyer {
  const { preserve, destroy, ec2 } = settings;
  const { command: [program, ...args], webhook: { url, secret }, timeout: timeoutMs } = destroy;
  const set = [
    program === undefined ? null : "agent.destroy.command",
    url === null ? null : "agent.destroy.webhook",
    ec2.enabled ? "agent.ec2" : null,
  ].filter((key) => key !== null);
  if (set.length > 1) {
    throw new AgentMisconfigured(`${set.join(" and ")} both end machines; keep one of them`);
  }
  if (preserve) return PRESERVE;
  if (program !== undefined) return commandDestroyer({ program, args, timeoutMs });
  if (url !== null) return webhookDestroyer({ url, secret: secret!, timeoutMs });
  if (!ec2.enabled) return PRESERVE;
  return new Ec2Instances({ region: region || ec2.region, session: sessionOf(settings, parts, null) });
}

/** The parts of an agent, as its settings say them. */
export interface AgentSetup extends Required<Pick<AgentParts, "records" | "probe" | "region" | "destroyer">> {
  /** The name whose record it is. */
  readonly fqdn: string;
}

/** Makes all parts of an agent; nothing is asked or sent yet. @throws {AgentMisconfigured} when one can't be made */
export function setupOf({ agent, node }: Pick<Settings, "agent" | "node">, parts: SetupParts): AgentSetup {
  // A region of AWS is found by its machine, unless agent.ec2.region says it.
  const region = agent.ec2.enabled
    ? ""
    : agent.region || (Object.hasOwn(agent.regions, node.region) ? node.region : "");
  return {
    fqdn: nameAndPort(agent).fqdn,
    records: recordsOf(agent, parts),
    probe: probeOf(agent),
    region: regionOf(agent, region, parts),
    destroyer: destroyerOf(agent, "", parts),
  };
}

/**
 * This server's own addresses: those of the settings, else the one from which the provider is reached.
 *
 * @throws {AgentMisconfigured} when clients elsewhere couldn't reach what is found
 */
export async function ownAddresses(settings: AgentSettings, signal: AbortSignal): Promise<readonly string[]> {
  if (settings.addresses.length > 0) return settings.addresses;
  const { endpoint } = providerOf(settings);
  using connection = await Deno.connect({ ...endpoint, signal }).catch((cause) => {
    throw new Error(`${formatSocketAddress(endpoint)} can't be connected to: ${cause.message}`, { cause });
  });
  const address = canonicalIp(connection.localAddr.hostname)!;
  if (isUnicast(parseIp(address)!)) return [address];
  throw new AgentMisconfigured(
    `${
      formatSocketAddress(endpoint)
    } is reached from ${address}, which clients elsewhere can't reach: set agent.addresses`,
  );
}
