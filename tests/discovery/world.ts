/**
 * Discovery for tests: a directory of providers, a listener on a free port of loopback, a log that can be read.
 *
 * @module
 */
import { systemClock } from "../../src/clock.ts";
import { LocalAnswering } from "../../src/discovery/answering.ts";
import { ConsulCatalog } from "../../src/discovery/consul_catalog.ts";
import { Discovery, type DiscoveryNeeds, type DiscoveryTerms } from "../../src/discovery/discovery.ts";
import { Tally } from "../../src/discovery/tally.ts";
import { runQuery } from "../../src/dns_client.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import type { Message } from "../../src/wire/message.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { rcodeName, typeNumber } from "../../src/wire/record_type.ts";

export const ZONE = "srv.example.org";

/** As the settings are, on a free port and without a directory. */
export const TERMS: DiscoveryTerms = {
  dnsAddr: { hostname: "127.0.0.1", port: 0 },
  dnsZone: [ZONE],
  maxAnswers: 43,
  zone: "gg",
  directory: null,
  node: "host1.example.net",
  ipAddress: ["192.0.2.1", "2001:db8::1"],
  ignoreScripts: false,
  addressMetrics: false,
  consul: null,
  otherZones: "refer",
  servers: [
    { zone: "gg", host: "b.example.net", ips: ["192.0.2.53"], port: 53 },
    { zone: "gg", host: "c.example.net", ips: ["192.0.2.54"], port: 53 },
    { zone: "gg", host: "a.example.net", ips: ["192.0.2.52"], port: 53 },
  ],
  staleFor: 86_400_000,
};

/** The same as a node has it of its settings. */
export const SETTINGS: Settings["discovery"] = {
  ...TERMS,
  enabled: true,
  socket: null,
  nats: { enabled: false, ttl: 30_000 },
  consul: {
    ...{ enabled: false, address: [], token: null },
    tls: { enabled: false, caFile: null, serverName: null, caCerts: [] },
  },
};

/** An instance in our format. */
export function instance(
  id: string,
  more: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return { id, address: "http.web.prod.shop.gg", port: 8080, ...more };
}

/** Discovery that runs. */
export class World implements AsyncDisposable {
  readonly discovery: Discovery;
  readonly directory: string;
  readonly lines: readonly string[];
  readonly registry: Registry;

  private constructor(
    { discovery, directory, lines, registry }: Pick<World, "discovery" | "directory" | "lines" | "registry">,
  ) {
    this.discovery = discovery;
    this.directory = directory;
    this.lines = lines;
    this.registry = registry;
  }

  /** Starts it over a directory with these files; `null` = a directory that isn't there. */
  static start(
    files: Readonly<Record<string, unknown>> | null = {},
    {
      keptFile = null,
      read = (options) => new ConsulCatalog(options),
      shared = null,
      ...terms
    }: Partial<DiscoveryTerms & Pick<DiscoveryNeeds, "keptFile" | "read" | "shared">> = {},
  ): World {
    const parent = Deno.makeTempDirSync({ prefix: "discovery-" });
    const directory = `${parent}/providers`;
    if (files !== null) {
      Deno.mkdirSync(directory);
      for (const [name, content] of Object.entries(files)) {
        Deno.writeTextFileSync(
          `${directory}/${name}`,
          typeof content === "string" ? content : JSON.stringify(content),
        );
      }
    }
    const lines: string[] = [];
    const log = createLogger({
      ...{ level: "debug", format: "json", clock: systemClock },
      write: (line) => lines.push(line),
    });
    const registry = new Registry({ cluster: "test", node: "node-1" });
    const discovery = new Discovery({
      terms: { ...TERMS, directory, ...terms },
      ...{ clock: systemClock, log, registry, keptFile, read },
      ...{ shared, sampling: null, sampled: () => {} },
      answer: ({ options, everything, count }) => {
        const tally = new Tally();
        return new LocalAnswering(options, everything(), {
          ...{ isAlone: false, sampler: null },
          observe: (counted) => {
            tally.add(counted);
            count(tally.take());
          },
          fault: (message, reason) => log.warn(message, { reason }),
        });
      },
    });
    return new World({ discovery, directory, lines, registry });
  }

  /** Makes this a provider's file, by renaming. */
  provide(name: string, instances: readonly unknown[]): void {
    Deno.writeTextFileSync(`${this.directory}/.new`, JSON.stringify({ instances }));
    Deno.renameSync(`${this.directory}/.new`, `${this.directory}/${name}.json`);
  }

  ask(name: string, type: string, more: Partial<AskTerms> = {}): Promise<Message> {
    return ask(this.discovery.dns!, name === "" ? ZONE : `${name}.${ZONE}`, type, more);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discovery[Symbol.asyncDispose]();
    Deno.removeSync(this.directory.replace(/\/providers$/, ""), { recursive: true });
  }
}

interface AskTerms {
  readonly tcp: boolean;
  readonly udpSize: number;
}

/** Asks a server for a whole name. */
export async function ask(
  server: SocketAddress,
  name: string,
  type: string,
  { tcp = false, udpSize = 1232 }: Partial<AskTerms> = {},
): Promise<Message> {
  const { message } = await runQuery({
    ...{ server, name, type: typeNumber(type)!, class: 1, ecs: null, tcp, udpSize, timeoutMs: 20_000 },
  });
  return message;
}

/** A message in few words. */
export function brief({ rcode, flags, answers }: Message): string {
  const set = (["aa", "tc", "ra"] as const).filter((flag) => flags[flag]).join(" ");
  return [rcodeName(rcode), set, ...answers.map(({ ttl, data }) => `${ttl} ${data}`)].join("|");
}
