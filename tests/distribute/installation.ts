/**
 * An installation of distribution on loopback: real PowerDNS, real NATS, and our services in the process of the test.
 *
 * @module
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { type Clock, systemClock } from "../../src/clock.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { runQuery } from "../../src/dns_client.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import type { DistributeSettings, ServiceGround } from "../../src/distribute/service.ts";
import {
  type RunningService,
  startApiProxy,
  startHealthChecker,
  startSecondarySyncer,
  startZoneProvider,
} from "../../src/distribute/services.ts";
import { serviceId } from "../../src/distribute/messages.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { typeNumber } from "../../src/wire/record_type.ts";
import { pause } from "../clock.ts";
import { freePort } from "../free_port.ts";
import { NatsServer } from "../nats/server.ts";
import { makeAuthority, makeServer } from "../../src/tls/certificate.ts";
import { API_KEY, PowerDnsServer } from "./power_dns_server.ts";

/** A service that a test runs. */
export interface TestService extends AsyncDisposable {
  readonly running: RunningService;
  /** Lines of its log. */
  readonly lines: readonly string[];
  /** Its metrics, as they are exposed. */
  text(): string;
  /** The value of a metric, labels as they are exposed; 0 = there is none. */
  metric(name: string): number;
}

const STARTS = {
  "api-proxy": startApiProxy,
  "zone-provider": startZoneProvider,
  "health-checker": startHealthChecker,
  "secondary-syncer": startSecondarySyncer,
};

/** A service, by the name of its command. */
export type ServiceKind = keyof typeof STARTS;

/** Starts a service; resolves when it is connected. @param yaml of `distribute` */
export async function startService(
  service: ServiceKind,
  { yaml, host, clock = systemClock }: {
    readonly yaml: string;
    readonly host: string;
    readonly clock?: Clock;
  },
): Promise<TestService> {
  const lines: string[] = [];
  const registry = new Registry({});
  const log = createLogger({
    level: "debug",
    format: "json",
    clock,
    write: (line) => void lines.push(line),
  });
  const ground: ServiceGround = { settings: await settingsOf(yaml), clock, log, registry, host };
  const running = await STARTS[service](ground);
  await until(() => running.isConnected(), (isConnected) => isConnected);
  return {
    ...{ running, lines, text: () => registry.expose() },
    metric: (name) => {
      const line = registry.expose().split("\n").find((each) => each.startsWith(`${name} `));
      return line === undefined ? 0 : Number(line.slice(name.length + 1));
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** The settings that a file would give. */
export async function settingsOf(yaml: string): Promise<DistributeSettings> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, `distribute:\n${yaml.replaceAll(/^/gm, "  ")}\n`);
    const loaded = loadSettings({ file, env: {} });
    if (loaded.settings === null) throw new Error(JSON.stringify(loaded.problems));
    return loaded.settings.distribute;
  } finally {
    await Deno.remove(file);
  }
}

/** A NATS server with TLS, users and the permissions that are shipped. */
export class GuardedNats implements AsyncDisposable {
  readonly server: NatsServer;
  readonly folder: string;

  private constructor(server: NatsServer, folder: string) {
    this.server = server;
    this.folder = folder;
  }

  /** Starts one. @param secondaries from ns2 on; the shipped file has two of them, and others have the same permissions */
  static async start(secondaries = 2): Promise<GuardedNats> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-nats-tls-" });
    const validity = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
    const authority = await makeAuthority("Authority of a test", validity);
    const signer = { ...authority, name: "Authority of a test" };
    const { cert, key } = await makeServer("127.0.0.1", { authority: signer, validity });
    await Deno.writeTextFile(`${folder}/ca.pem`, authority.cert);
    await Deno.writeTextFile(`${folder}/cert.pem`, cert);
    await Deno.writeTextFile(`${folder}/key.pem`, key);
    const config = `tls { cert_file: "${folder}/cert.pem", key_file: "${folder}/key.pem" }\n${
      withSecondaries(secondaries)
    }`;
    return new GuardedNats(await NatsServer.start({ config, scheme: "tls" }), folder);
  }

  /** Lines of `messageBroker`. */
  broker(user: string): string {
    return `username: ${user}\npassword: ${passwordOf(user)}\ntls: { caFile: ${this.folder}/ca.pem }`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** As it lies in the repository, with passwords in the place of variables of the environment. */
const SHIPPED = Deno.readTextFileSync(new URL("../../packaging/nats/distribute.conf", import.meta.url))
  .replaceAll(
    /\$PLEIADES_NATS_(\w+)/g,
    (_, user: string) => `"${passwordOf(user.toLowerCase().replaceAll("_", "-"))}"`,
  );

/** The shipped file with that many secondaries, each as the first one stands there. */
function withSecondaries(count: number): string {
  const [first = ""] = /^ {4}\{\n {6}user: "ns2"[^]*?^ {4}\}\n/m.exec(SHIPPED) ?? [];
  const more = Array.from(
    { length: Math.max(0, count - 2) },
    (_, i) =>
      first.replaceAll("ns2", `ns${i + 4}`).replaceAll(
        serviceId("ns2.example.net"),
        serviceId(`ns${i + 4}.example.net`),
      ),
  );
  return SHIPPED.replace(first, [first, ...more].join(""));
}

/** Connects to that server as one of its users. */
export async function connectAs(nats: GuardedNats, user: string): Promise<NatsConnection> {
  useDenoTransport();
  return await NatsConnectionImpl.connect({
    ...{ servers: [nats.server.url.replace("tls://", "")], user, pass: passwordOf(user), reconnect: false },
    tls: { ca: await Deno.readTextFile(`${nats.folder}/ca.pem`) },
  });
}

/** The password of a user of that server. */
export function passwordOf(user: string): string {
  return `of-${user}`;
}

/** What the settings of a whole installation differ in. */
export interface InstallationOptions {
  readonly nats: NatsServer;
  readonly secondaries: number;
  /** Lines of `messageBroker` besides the URL, by service or host. */
  readonly broker?: (user: string) => string;
  /** Lines of `healthChecks`. */
  readonly checks?: string;
  /** Lines that say where secondaries are found; a list of them unless said otherwise. */
  readonly register?: string;
  /** Lines of the primary's configuration besides those that all servers have. */
  readonly primary?: readonly string[];
}

/** Times that let a test see each check soon. */
export const QUICK_CHECKS =
  "eventCheckWaitTime: 100ms\nnsec3CheckInterval: 200ms\nperiodicalCheckInterval: 1h";

/** Primary, secondaries and a proxy. */
export class Installation implements AsyncDisposable {
  readonly primary: PowerDnsServer;
  readonly secondaries: readonly {
    readonly host: string;
    readonly powerDns: PowerDnsServer;
    readonly axfrPort: number;
  }[];
  readonly #options: InstallationOptions;
  readonly #folder: string;
  readonly #stack = new AsyncDisposableStack();
  readonly #proxyPort = freePort();

  private constructor(options: InstallationOptions, folder: string, servers: readonly PowerDnsServer[]) {
    this.#options = options;
    this.#folder = folder;
    this.primary = servers[0]!;
    this.secondaries = servers.slice(1).map((powerDns, i) => ({
      ...{ powerDns, host: `ns${i + 2}.example.net`, axfrPort: freePort() },
    }));
    for (const server of servers) this.#stack.use(server);
  }

  /** Starts the PowerDNS servers. */
  static async start(options: InstallationOptions): Promise<Installation> {
    const servers = await Promise.all(
      Array.from(
        { length: options.secondaries + 1 },
        (_, i) => PowerDnsServer.start(i > 0 ? { isSecondary: true } : { more: options.primary ?? [] }),
      ),
    );
    return new Installation(options, await Deno.makeTempDir({ prefix: "pleiades-distribute-" }), servers);
  }

  /** Where the proxy has its certificate. */
  get folder(): string {
    return this.#folder;
  }

  /** Where the proxy is reached. */
  get url(): string {
    return `https://127.0.0.1:${this.#proxyPort}`;
  }

  /** Settings of a service. @param powerDns that it stands beside */
  yaml(user: string, powerDns: PowerDnsServer, more = "", brokerLines = ""): string {
    const {
      nats,
      broker = () => "",
      checks = QUICK_CHECKS,
      register = `secondaries: { hosts: [${this.secondaries.map(({ host }) => host).join(", ")}] }`,
    } = this.#options;
    const indented = (text: string) => text === "" ? "" : `${text.replaceAll(/^/gm, "  ")}\n`;
    return `service: { url: "${this.url}", listenAddr: 127.0.0.1, cert: ${this.#folder}/cert.pem, key: ${this.#folder}/key.pem }\n` +
      `messageBroker:\n  url: ${nats.url}\n${indented(broker(user))}${indented(brokerLines)}` +
      `powerDNS: { url: "${powerDns.url}", apiToken: ${API_KEY}, dnsAddress: "127.0.0.1:${powerDns.dnsPort}" }\n` +
      `${register}\n` +
      `healthChecks:\n${indented(checks)}${more}`;
  }

  /** What a service is started with. @param i of the secondary that a syncer stands beside */
  givenTo(service: ServiceKind, i = 0): { readonly yaml: string; readonly host: string } {
    if (service !== "secondary-syncer") {
      return { yaml: this.yaml(service, this.primary), host: "ns1.example.net" };
    }
    const { host, powerDns, axfrPort } = this.secondaries[i]!;
    const more = `axfrPrimary: { address: "127.0.0.1:${axfrPort}" }`;
    return { host, yaml: this.yaml(host.split(".")[0]!, powerDns, more) };
  }

  /** Starts the proxy. */
  proxy(): Promise<TestService> {
    return startService("api-proxy", this.givenTo("api-proxy"));
  }

  /** Starts a provider. */
  provider(): Promise<TestService> {
    return startService("zone-provider", this.givenTo("zone-provider"));
  }

  /** Starts a checker. @param isAlone whether it checks without settling that with others */
  checker({ host = "ns1.example.net", clock = systemClock, isAlone = false }: {
    readonly host?: string;
    readonly clock?: Clock;
    readonly isAlone?: boolean;
  } = {}): Promise<TestService> {
    const yaml = this.yaml("health-checker", this.primary, "", isAlone ? "jetStream: off" : "");
    return startService("health-checker", { yaml, host, clock });
  }

  /** Starts the syncer of a secondary. */
  syncer(i: number): Promise<TestService> {
    return startService("secondary-syncer", this.givenTo("secondary-syncer", i));
  }

  /** Asks the API through the proxy. @param url where a proxy is reached, if not the first one */
  async api(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
    url = this.url,
  ): Promise<{
    readonly status: number;
    readonly text: string;
  }> {
    using client = Deno.createHttpClient({
      caCerts: [await Deno.readTextFile(`${this.#folder}/cacert.pem`)],
    });
    const response = await fetch(`${url}/api/v1/servers/localhost${path}`, {
      ...{ method, client },
      headers: { "X-API-Key": API_KEY, ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A body that makes a zone with some records. */
export function zoneBody(name: string, more: object = {}): object {
  return { name, kind: "Native", nameservers: [`ns1.${name}`], soa_edit_api: "INCREASE", ...more };
}

/** A body that sets the A record of `www`. */
export function addressBody(zone: string, address: string): object {
  const records = [{ content: address, disabled: false }];
  return { rrsets: [{ name: `www.${zone}`, type: "A", ttl: 60, changetype: "REPLACE", records }] };
}

/** What a server answers: the data of the answer section of a type. */
export async function answersOf({ dnsPort }: PowerDnsServer, name: string, type: string): Promise<string[]> {
  const { message } = await runQuery({
    ...{ server: { hostname: "127.0.0.1", port: dnsPort }, name, class: 1, ecs: null },
    ...{ type: typeNumber(type)!, tcp: false, udpSize: 1_232, timeoutMs: 20_000 },
  });
  return message.answers.map(({ data }) => data);
}

/** How long anything may take; far longer than it does. */
const PATIENCE_MS = 120_000;

/** Looks again and again until it is as wanted. @returns how long it took, milliseconds */
export async function until<Value>(
  look: () => Value | Promise<Value>,
  wanted: (value: Value) => boolean,
): Promise<number> {
  const fromMs = performance.now();
  for (let turn = 0;; turn++) {
    const value = await look();
    const tookMs = performance.now() - fromMs;
    if (wanted(value)) return tookMs;
    if (tookMs > PATIENCE_MS) throw new Error(`It stays ${JSON.stringify(value)}`);
    await pause(turn);
  }
}
