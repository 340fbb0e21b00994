/**
 * The node that is attacked, and everything around it that is not what it should be: a resolver that answers malformed
 * records, backends that say one byte at a time, a pool whose hash is dear, and beside them what well-behaved clients ask
 * for.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { Backend } from "../../health/backend.ts";
import { program } from "../../programs.ts";
import { COLLECTING } from "../../resident_memory.ts";
import { call } from "../../rest.ts";
import { ServeProcess } from "../../serve_process.ts";
import { hostileBackend } from "./backends.ts";
import { HostileResolver } from "./resolver.ts";

/** Names that well-behaved clients ask for. */
export const GOOD_NAMES: readonly string[] = Array.from({ length: 50 }, (_, i) => `s${i}.example.org`);
/** A name whose answer depends on a hash of the client, among members of very unequal weight. */
export const HASHED_NAME = "hashed.example.org";

/** A running node. Disposing kills it. */
export class Target implements AsyncDisposable {
  readonly serve: ServeProcess;
  /** The API's listener. */
  readonly http: SocketAddress;
  readonly #stack: AsyncDisposableStack;

  private constructor(serve: ServeProcess, http: SocketAddress, stack: AsyncDisposableStack) {
    this.serve = serve;
    this.http = http;
    this.#stack = stack;
  }

  /** Starts the node and what surrounds it, and declares a model. */
  static async start({ isMeasured = false }: { readonly isMeasured?: boolean }): Promise<Target> {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "pleiades-hostile-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const resolver = stack.use(new HostileResolver());
    const settings = `${folder}/settings.yaml`;
    await Deno.writeTextFile(
      settings,
      JSON.stringify({
        names: { resolvers: [`127.0.0.1:${resolver.port}`], minTtl: "1s", timeout: "500ms" },
      }),
    );
    const serve = stack.use(
      await ServeProcess.start({
        args: ["-c", settings, "--db", `${folder}/hostile.db`],
        env: isMeasured ? COLLECTING : {},
        executable: program("pleiades"),
      }),
    );
    const { hostname, port } = new URL(serve.api);
    const backends = ["one byte", "extensions", "endless head"] as const;
    const ports = backends.map((kind) => stack.use(new Backend(hostileBackend(kind))).port);
    await declare(serve.api, ports);
    return new Target(serve, { hostname, port: Number(port) }, stack.move());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function declare(api: string, hostilePorts: readonly number[]): Promise<void> {
  const pools = [
    ...GOOD_NAMES.map((_, i) => ({ name: `good${i}`, members: [member(`192.0.2.${i + 1}`)] })),
    {
      name: "hashed",
      algorithm: "hash",
      members: [
        { ...member("198.51.100.1"), weight: 65_535 },
        ...Array.from({ length: 98 }, (_, i) => member(`198.51.100.${i + 2}`)),
      ],
    },
    { name: "named", members: [{ target: "web.example.net", port: 443 }] },
    ...hostilePorts.map((port) => ({
      name: `hostile${port}`,
      members: [{ ipAddress: "127.0.0.1", port }],
      healthCheck: {
        type: "http",
        httpPath: "/",
        httpContains: "never said",
        intervalMs: 1000,
        timeoutMs: 1000,
      },
    })),
  ];
  const services = [
    ...GOOD_NAMES.map((domain, i) => ({ domain, pool: `good${i}` })),
    { domain: HASHED_NAME, pool: "hashed" },
    { domain: "named.example.org", pool: "named" },
    ...hostilePorts.map((port) => ({ domain: `hostile${port}.example.org`, pool: `hostile${port}` })),
  ];
  await call(api, { method: "POST", path: "/apply", json: { pools, services } });
}

function member(ipAddress: string) {
  return { ipAddress, port: 443 };
}
