/**
 * The web servers of the demo: small, real, on addresses of their own, and stopped and started at will.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";

/**
 * On Linux and Windows the whole of 127.0.0.0/8 is this machine, so each backend has an address of its own. Elsewhere
 * only 127.0.0.1 and ::1 are there without an administrator's help; the demo then has one backend per family.
 */
const ADDRESSES = ["127.0.0.11", "127.0.0.12", "127.0.0.13"];
const ADDRESSES_ANYWHERE = ["127.0.0.1", "::1"];

/** Starts a backend on each address; without any named, on as many as this machine has: three, or else two. */
export async function startBackends(addresses: readonly string[] = addressesHere()): Promise<Backend[]> {
  const backends = addresses.map((hostname, i) => new Backend(i + 1, hostname));
  for (const backend of backends) await backend.start();
  return backends;
}

function addressesHere(): string[] {
  return ADDRESSES.every(isOwn) ? ADDRESSES : ADDRESSES_ANYWHERE.filter(isOwn);
}

/** One web server; it says `ok` to `/healthz` and its own name to everything else. */
export class Backend implements AsyncDisposable {
  #port = 0;
  #server: Deno.HttpServer<Deno.NetAddr> | null = null;
  #ending = new AbortController();

  /** It doesn't listen yet. */
  constructor(
    /** 1, 2, 3, as the keys of the demo name them. */
    readonly number: number,
    /** An address of this machine. */
    readonly hostname: string,
  ) {}

  /** Where it listens, or did when it last ran. */
  get address(): SocketAddress {
    return { hostname: this.hostname, port: this.#port };
  }

  /** Whether it takes connections. */
  get isRunning(): boolean {
    return this.#server !== null;
  }

  /**
   * Takes connections. The first start finds a free port, which is kept from then on; it is one out of many, so that
   * another demo on this machine doesn't answer in the place of a backend that is stopped.
   */
  start(): Promise<void> {
    if (this.#server) return Promise.resolve();
    this.#ending = new AbortController();
    try {
      this.#server = this.#listen();
    } catch (error) {
      return Promise.reject(error);
    }
    this.#port = this.#server.addr.port;
    return Promise.resolve();
  }

  /** Closes its socket and every connection, as if the process had died. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.#ending.abort();
    await server?.finished;
  }

  /** As `stop`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #listen(): Deno.HttpServer<Deno.NetAddr> {
    const name = `backend ${this.number} on ${formatSocketAddress(this.address)}\n`;
    return Deno.serve(
      { hostname: this.hostname, port: this.#port, signal: this.#ending.signal, onListen: () => {} },
      ({ url }) => new Response(url.endsWith("/healthz") ? "ok\n" : name),
    );
  }
}

function isOwn(hostname: string): boolean {
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
