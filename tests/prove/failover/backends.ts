/**
 * Three sites of three backends, and what befalls them. Every process is ended by its own id, and ends with this one.
 *
 * @module
 */
import { type Identity, TestAuthority } from "../../health/certificates.ts";
import type { Conduct, Ports } from "./backend.ts";
import { TextLineStream } from "./lines.ts";

/** Where backends stand, and where on earth that is. */
export const SITES = [
  { region: "fra", latitude: 50.1, longitude: 8.7 },
  { region: "nyc", latitude: 40.7, longitude: -74 },
  { region: "sin", latitude: 1.4, longitude: 103.8 },
] as const;

/** Backends of each site. */
export const PER_SITE = 3;

/** The name that their certificates have. */
export const TLS_NAME = "backend.example.org";

const HOUR_MS = 3_600_000;

/** Certificates of all backends. */
export interface Certificates {
  /** The authority's own, PEM. */
  readonly authority: string;
  readonly good: Identity;
  /** Ended a minute ago. */
  readonly expired: Identity;
}

/** Makes them. */
export async function makeCertificates(): Promise<Certificates> {
  const authority = await TestAuthority.create("failover");
  const dnsNames = [TLS_NAME];
  return {
    authority: authority.cert,
    good: await authority.issue({ dnsNames, notAfter: new Date(Date.now() + 24 * HOUR_MS) }),
    expired: await authority.issue({ dnsNames, notAfter: new Date(Date.now() - 60_000) }),
  };
}

/** How to start one. */
export interface BackendOptions {
  readonly address: string;
  /** Index into `SITES`. */
  readonly site: number;
  readonly identity: Identity;
  /** The network namespace it lives in; `null` = ours. */
  readonly namespace: string | null;
}

/** One backend. Disposing kills it. */
export class Backend implements AsyncDisposable {
  readonly address: string;
  readonly site: number;
  readonly #options: BackendOptions;
  #conduct: Conduct;
  #process: Process | null = null;
  #ports: Ports = { http: 0, https: 0 };

  private constructor(options: BackendOptions) {
    this.address = options.address;
    this.site = options.site;
    this.#options = options;
    this.#conduct = { delayMs: 0, status: 200, identity: options.identity };
  }

  /** Starts it; resolves when it listens. */
  static async start(options: BackendOptions): Promise<Backend> {
    const backend = new Backend(options);
    await backend.start();
    return backend;
  }

  /** Where it listens, over all its lives. */
  get ports(): Ports {
    return this.#ports;
  }

  /** Starts it on the ports it had; resolves when it listens. */
  async start(): Promise<void> {
    this.#process = new Process(this.#options, this.#ports);
    this.#ports = await this.#process.order(this.#conduct);
  }

  /** Kills it; resolves when it is gone. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    await process?.kill();
  }

  /** Stops it where it stands: the kernel still accepts connections, and nobody answers. */
  freeze(): void {
    this.#process!.signal("SIGSTOP");
  }

  /** Lets it go on. */
  thaw(): void {
    this.#process!.signal("SIGCONT");
  }

  /** Changes how it behaves; resolves when that is in force. */
  async behave(changes: Partial<Conduct>): Promise<void> {
    this.#conduct = { ...this.#conduct, ...changes };
    await this.#process!.order(this.#conduct);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** One life of a backend. */
class Process {
  readonly #child: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #acks: ReadableStreamDefaultReader<string>;

  constructor({ address, namespace }: BackendOptions, { http, https }: Ports) {
    const script = new URL("backend.ts", import.meta.url).pathname;
    const deno = [Deno.execPath(), "run", "--no-check", "-A", script, address, `${http}`, `${https}`];
    const [program, ...args] = namespace === null ? deno : ["ip", "netns", "exec", namespace, ...deno];
    this.#child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#orders = this.#child.stdin.getWriter();
    this.#acks = this.#child.stdout.pipeThrough(new TextLineStream()).getReader();
  }

  async order(conduct: Conduct): Promise<Ports> {
    await this.#orders.write(new TextEncoder().encode(`${JSON.stringify(conduct)}\n`));
    const { value } = await this.#acks.read();
    if (value === undefined) throw new Error("A backend ended by itself");
    return JSON.parse(value) as Ports;
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#acks.cancel();
    await this.#orders.abort().catch(() => {});
  }
}
