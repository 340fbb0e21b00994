/**
 * Real Consul servers on loopback that can be killed, stopped for a while and started again.
 *
 * @module
 */
import { pause } from "../clock.ts";
import { freePort } from "../free_port.ts";
import { program } from "../programs.ts";

/** How a server is started. */
export interface ConsulServerOptions {
  /** Its datacenter. */
  readonly datacenter?: string;
  /** Its name. */
  readonly node?: string;
  /** The address of loopback that it has for itself; servers that join each other have equal ports. */
  readonly host?: string;
  /** Its ports; drawn when left out. */
  readonly ports?: ConsulPorts;
  /** How many servers its datacenter has. */
  readonly servers?: number;
  /** Addresses of servers of its datacenter, and of others. */
  readonly join?: readonly string[];
  readonly joinWan?: readonly string[];
  /** Whether nothing may be seen without a token; {@linkcode ROOT_TOKEN} may do anything. */
  readonly acl?: boolean;
  /** Whether it speaks HTTPS as well. */
  readonly tls?: boolean;
  /** Connections that a client may have; as by default when left out. */
  readonly connections?: number;
}

/** Ports of one server. */
export interface ConsulPorts {
  readonly http: number;
  readonly https: number;
  readonly server: number;
  readonly lan: number;
  readonly wan: number;
}

/** May do anything where there are ACLs. */
export const ROOT_TOKEN = "11111111-2222-3333-4444-555555555555";

/** Ports that are free. */
export function freeConsulPorts(): ConsulPorts {
  const [http, https, server, lan, wan] = Array.from({ length: 5 }, freePort) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { http, https, server, lan, wan };
}

/** The server. */
export class ConsulServer implements AsyncDisposable {
  readonly host: string;
  readonly folder: string;
  readonly #options: ConsulServerOptions;
  #ports: ConsulPorts;
  #child: Deno.ChildProcess | null = null;
  /** Whether it has ended by itself. */
  #hasEnded = false;

  private constructor(options: ConsulServerOptions, folder: string) {
    this.#options = options;
    this.folder = folder;
    this.host = options.host ?? "127.0.0.1";
    this.#ports = options.ports ?? freeConsulPorts();
  }

  /** Where it listens. */
  get ports(): ConsulPorts {
    return this.#ports;
  }

  /** Starts it; resolves when its datacenter has a leader, unless it waits for other servers. */
  static async start(options: ConsulServerOptions = {}): Promise<ConsulServer> {
    const server = new ConsulServer(options, await Deno.makeTempDir({ prefix: "pleiades-consul-" }));
    if (options.tls === true) await server.#makeCertificates();
    server.run();
    if ((options.servers ?? 1) > 1) return server;
    for (let tries = 1;; tries++) {
      try {
        await server.untilLed();
        return server;
      } catch (error) {
        if (!server.#hasEnded || options.ports !== undefined || tries === TRIES) throw error;
        // Another test may have found one of its ports as well.
        server.#ports = freeConsulPorts();
        await Deno.remove(`${server.folder}/data`, { recursive: true }).catch(() => {});
        server.run();
      }
    }
  }

  /** As settings name it. */
  get address(): { readonly hostname: string; readonly port: number } {
    return { hostname: this.host, port: this.ports.http };
  }

  /** The authority of its certificate, PEM. */
  get authority(): string {
    return Deno.readTextFileSync(`${this.folder}/consul-agent-ca.pem`);
  }

  /** Starts it, or starts it again with what it has stored. */
  run(): void {
    const { datacenter = "gg", node = "s1", servers = 1, join = [], joinWan = [], acl, tls, connections } =
      this.#options;
    const config = {
      ...{
        datacenter,
        node_name: node,
        server: true,
        bootstrap_expect: servers,
        data_dir: `${this.folder}/data`,
      },
      ...{ bind_addr: this.host, client_addr: this.host, retry_join: join, retry_join_wan: joinWan },
      ...{
        retry_interval: "500ms",
        retry_interval_wan: "500ms",
        disable_update_check: true,
        log_level: "error",
      },
      performance: { raft_multiplier: 1 },
      ports: {
        ...{ http: this.ports.http, https: tls === true ? this.ports.https : -1, server: this.ports.server },
        ...{ serf_lan: this.ports.lan, serf_wan: this.ports.wan, dns: -1, grpc: -1, grpc_tls: -1 },
      },
      connect: { enabled: false },
      ...connections !== undefined && { limits: { http_max_conns_per_client: connections } },
      ...acl === true && {
        acl: {
          ...{ enabled: true, default_policy: "deny" },
          tokens: { initial_management: ROOT_TOKEN, agent: ROOT_TOKEN },
        },
      },
      ...tls === true && {
        tls: {
          https: {
            ca_file: `${this.folder}/consul-agent-ca.pem`,
            cert_file: `${this.folder}/${datacenter}-server-consul-0.pem`,
            key_file: `${this.folder}/${datacenter}-server-consul-0-key.pem`,
          },
        },
      },
    };
    Deno.writeTextFileSync(`${this.folder}/server.json`, JSON.stringify(config));
    const child = new Deno.Command(program("consul")!, {
      args: ["agent", "-config-file", `${this.folder}/server.json`],
      ...{ stdin: "null", stdout: "null", stderr: "null", env: { GOMAXPROCS: "2" } },
    }).spawn();
    this.#child = child;
    this.#hasEnded = false;
    child.status.then(() => this.#hasEnded = this.#child === child);
  }

  /** Resolves when its datacenter has a leader that takes writes. @throws when it has ended before */
  async untilLed(): Promise<void> {
    await until(
      () => this.call("GET", "/v1/health/service/consul?passing").catch(() => null),
      (answer) =>
        this.#hasEnded || (answer?.status === 200 && Array.isArray(answer.json) && answer.json.length > 0),
    );
    if (this.#hasEnded) throw new Error("Consul has ended; one of its ports may be taken");
  }

  /** A request of its API, with all rights unless another token is said. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    token: string = ROOT_TOKEN,
  ): Promise<{ readonly status: number; readonly json: unknown }> {
    const response = await fetch(`http://${this.host}:${this.ports.http}${path}`, {
      method,
      headers: { "x-consul-token": token },
      ...body !== undefined && { body: JSON.stringify(body) },
      signal: AbortSignal.timeout(5_000),
    });
    const text = await response.text();
    try {
      return { status: response.status, json: JSON.parse(text) };
    } catch {
      return { status: response.status, json: text };
    }
  }

  /** The same; it must succeed. */
  async must(method: string, path: string, body?: unknown): Promise<unknown> {
    const { status, json } = await this.call(method, path, body);
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`);
    return json;
  }

  /** Registers an instance of `service.job.env.product` at its agent. */
  async register(
    id: string,
    address: string,
    { port = 8080, ipAddress = "192.0.2.1", passing, critical = false }: {
      readonly port?: number;
      readonly ipAddress?: string;
      readonly passing?: number;
      readonly critical?: boolean;
    } = {},
  ): Promise<void> {
    const [service, job, env, product] = address.split(".");
    await this.must("PUT", "/v1/agent/service/register", {
      ...{ ID: id, Name: product, Port: port, Address: ipAddress },
      Tags: [
        ...[`glimpse:provider=test`, `glimpse:product=${product}`, `glimpse:env=${env}`],
        ...[`glimpse:job=${job}`, `glimpse:service=${service}`],
      ],
      ...passing !== undefined && { Weights: { Passing: passing, Warning: 1 } },
      Check: { CheckID: `check-${id}`, TTL: "24h", Status: critical ? "critical" : "passing" },
    });
  }

  /** Takes it back. */
  async deregister(id: string): Promise<void> {
    await this.must("PUT", `/v1/agent/service/deregister/${id}`);
  }

  /** Says how the check of an instance is. */
  async check(id: string, verdict: "pass" | "warn" | "fail"): Promise<void> {
    await this.must("PUT", `/v1/agent/check/${verdict}/check-${id}`);
  }

  /** Sends it a signal, such as `SIGSTOP` and `SIGCONT`. */
  signal(signal: Deno.Signal): void {
    this.#child!.kill(signal);
  }

  /** Ends it as a power failure would. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
    this.#child = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #makeCertificates(): Promise<void> {
    const { datacenter = "gg" } = this.#options;
    for (const args of [["ca", "create"], ["cert", "create", "-server", "-dc", datacenter]]) {
      const { success, stderr } = await new Deno.Command(program("consul")!, {
        args: ["tls", ...args],
        ...{ cwd: this.folder, stdout: "null", stderr: "piped" },
      }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
    }
  }
}

/** How often other ports are tried. */
const TRIES = 5;

/** How long anything may take; far longer than it does. */
const PATIENCE_MS = 120_000;

/** Looks again and again until it is as wanted. */
export async function until<Value>(
  look: () => Value | Promise<Value>,
  wanted: (value: Value) => boolean,
): Promise<void> {
  for (let turn = 0, endMs = performance.now() + PATIENCE_MS;; turn++) {
    const value = await look();
    if (wanted(value)) return;
    if (performance.now() > endMs) throw new Error(`It stays ${JSON.stringify(value)}`);
    await pause(turn);
  }
}
