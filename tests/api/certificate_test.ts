/**
 * Another certificate for the API while it runs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createApi } from "../../src/api/api.ts";
import { type Certificate, HttpServer } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import { startNode } from "../../src/node/node.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { type Identity, TestAuthority } from "../health/certificates.ts";
import { TEST_SETTINGS } from "../test_node.ts";
import { apiWorld } from "./api_world.ts";

/** An identity, and a client that trusts no other authority. */
interface Trusted {
  readonly identity: Identity;
  readonly cert: string;
  /** Status of the probe; `null` = the certificate isn't this one's. */
  statusAt(port: number): Promise<number | null>;
}

async function trusted(name: string): Promise<Trusted> {
  const authority = await TestAuthority.create(name);
  const identity = await authority.issue({ ipAddresses: ["127.0.0.1"] });
  return {
    identity,
    cert: authority.cert,
    statusAt: async (port) => {
      using client = Deno.createHttpClient({ caCerts: [authority.cert] });
      try {
        const response = await fetch(`https://127.0.0.1:${port}/healthz`, { client });
        await response.body?.cancel();
        return response.status;
      } catch {
        return null;
      }
    },
  };
}

/** Resolves when every new connection is shown this one: until then the old listener empties its queue. */
async function shown({ statusAt }: Trusted, port: number): Promise<void> {
  for (let inARow = 0; inARow < 20;) inARow = await statusAt(port) === 200 ? inARow + 1 : 0;
}

function serverWith(tls: Certificate, port = 0) {
  const world = apiWorld();
  const server = HttpServer.bind({
    address: { hostname: "127.0.0.1", port },
    choice: "--api ADDR:PORT",
    tls,
    limits: { maxConnections: 100, maxConnectionsPerClient: 100 },
    log: world.parts.log,
    clock: systemClock,
  });
  server.serve(createApi(world.parts));
  return {
    server,
    port: server.address.port,
    async [Symbol.asyncDispose]() {
      await server.close();
      world.store.close();
    },
  };
}

/** Asks on a connection that is open, and reads until the answer is there. */
async function ask(connection: Deno.TlsConn): Promise<string> {
  await connection.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
  const bytes = new Uint8Array(65_536);
  const size = await connection.read(bytes);
  return new TextDecoder().decode(bytes.subarray(0, size ?? 0)).split("\r\n")[0]!;
}

Deno.test("a connection keeps its certificate, and the next one is shown the new one", async () => {
  const [old, next] = [await trusted("old"), await trusted("next")];
  await using served = serverWith(old.identity);
  using open = await Deno.connectTls({ hostname: "127.0.0.1", port: served.port, caCerts: [old.cert] });
  assert.equal(await ask(open), "HTTP/1.1 200 OK");
  served.server.useCertificate(next.identity);
  await shown(next, served.port);
  assert.equal(await ask(open), "HTTP/1.1 200 OK");
  assert.equal(await old.statusAt(served.port), null);
  served.server.useCertificate(old.identity);
  await shown(old, served.port);
});

Deno.test("a pair that can't be served leaves the one that is, and closing ends every listener", async () => {
  const [old, next] = [await trusted("old"), await trusted("next")];
  const served = serverWith(old.identity);
  assert.throws(() => served.server.useCertificate({ cert: old.identity.cert, key: next.identity.key }));
  assert.equal(await old.statusAt(served.port), 200);
  served.server.useCertificate(next.identity);
  await served[Symbol.asyncDispose]();
  served.server.useCertificate(old.identity);
  assert.deepEqual([await old.statusAt(served.port), await next.statusAt(served.port)], [null, null]);
});

Deno.test("two servers with TLS can't share a port", async () => {
  const old = await trusted("old");
  await using served = serverWith(old.identity);
  assert.throws(() => serverWith(old.identity, served.port), /the port is taken/);
});

Deno.test("a reload shows the certificate that lies in the files now, or keeps the old one and says why not", async () => {
  const folder = await Deno.makeTempDir();
  const [old, next] = [await trusted("old"), await trusted("next")];
  const write = async ({ cert, key }: Identity) => {
    await Deno.writeTextFile(`${folder}/api.crt`, cert);
    await Deno.writeTextFile(`${folder}/api.key`, key);
  };
  try {
    await write(old.identity);
    const log = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });
    const tls = { certFile: `${folder}/api.crt`, keyFile: `${folder}/api.key` };
    const settings = { ...TEST_SETTINGS, api: { ...TEST_SETTINGS.api, tls } };
    await using node = await startNode({ settings, log });
    const { port } = node.api!;
    assert.equal(await old.statusAt(port), 200);
    await write({ cert: next.identity.cert, key: old.identity.key });
    await assert.rejects(node.use(settings), /api\.key is not the key of the certificate/);
    assert.equal(await old.statusAt(port), 200);
    await write(next.identity);
    assert.deepEqual(await node.use(settings), []);
    await shown(next, port);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
