/**
 * Members by name behind a real resolver: unbound caches what a name server says that changes its mind, follows aliases
 * and counts TTLs down, and the node follows within the TTL.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import type { SocketAddress } from "../../src/ip.ts";
import { LoopbackResolver } from "../names/resolver.ts";
import { program, testWith } from "../programs.ts";
import { askFor, create, startTestNode, until } from "../test_node.ts";

testWith(["unbound"], "addresses change behind unbound, and answers follow within the TTL", async () => {
  await using authority = new LoopbackResolver({
    "web.example.net": { a: ["192.0.2.7"], aaaa: ["2001:db8::7"], ttl: 2 },
  });
  await using unbound = await Unbound.start(authority.address);
  await using node = await startTestNode({
    names: { resolvers: [unbound.address], minTtl: 1000, maxTtl: 300_000, timeout: 2000 },
  });
  const poolId = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port: 443 });
  await create(node, "/services", { domain: "www.example.com", poolId });
  await until(() => askFor(node, "www.example.com"), (data) => data.length > 0);
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.7"]);
  deepEqual(await askFor(node, "www.example.com", "AAAA"), ["2001:db8::7"]);
  authority.says["web.example.net"] = { a: ["192.0.2.8", "192.0.2.9"], ttl: 2 };
  const changedMs = performance.now();
  await until(() => askFor(node, "www.example.com"), (data) => data.sort().join() === "192.0.2.8,192.0.2.9");
  // What unbound has is up to 2 s old; we ask again up to a tenth later, and then after its rest, at least 1 s.
  const tookMs = performance.now() - changedMs;
  ok(tookMs < 5500, `${tookMs} ms`);
});

/** An unbound in the foreground that forwards everything below example.net. */
class Unbound implements AsyncDisposable {
  readonly address: SocketAddress;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;

  private constructor(child: Deno.ChildProcess, port: number, folder: string) {
    this.#child = child;
    this.address = { hostname: "127.0.0.1", port };
    this.#folder = folder;
  }

  static async start(authority: SocketAddress): Promise<Unbound> {
    const folder = await Deno.makeTempDir({ prefix: "unbound-" });
    const port = freePort();
    await Deno.writeTextFile(`${folder}/unbound.conf`, configuration(authority, port, folder));
    const child = new Deno.Command(program("unbound")!, {
      args: ["-d", "-c", `${folder}/unbound.conf`],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const log = new TextDecoder();
    let said = "";
    for await (const bytes of child.stderr.values({ preventCancel: true })) {
      said += log.decode(bytes, { stream: true });
      if (said.includes("start of service")) return new Unbound(child, port, folder);
    }
    throw new Error(`Cannot start unbound: ${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#child.stderr.cancel();
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function configuration(authority: SocketAddress, port: number, folder: string): string {
  return `
server:
  interface: 127.0.0.1
  port: ${port}
  directory: "${folder}"
  pidfile: ""
  chroot: ""
  username: ""
  use-syslog: no
  logfile: ""
  verbosity: 1
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
forward-zone:
  name: "example.net"
  forward-addr: ${authority.hostname}@${authority.port}
remote-control:
  control-enable: no
`;
}

/** A port that nobody holds at this moment. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
