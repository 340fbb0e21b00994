/** @module The check of NATS servers, on real ones with each fault. */
import { deepEqual, match, ok } from "node:assert/strict";
import type { Examined } from "../../src/doctor/check.ts";
import { brokers } from "../../src/doctor/brokers.ts";
import { TestAuthority } from "../health/certificates.ts";
import { closedPort } from "../health/backend.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { TEST_SETTINGS } from "../test_node.ts";

type Nats = Examined["settings"]["state"]["nats"];

/** Level and message of what is said of servers. */
async function said(nats: Partial<Nats>): Promise<string[]> {
  const { state } = TEST_SETTINGS;
  const examined: Examined = {
    settings: { ...TEST_SETTINGS, state: { ...state, nats: { ...state.nats, ...nats } } },
    ...{ secretFiles: [], settingsFile: null, node: null },
    clock: { unixMs: () => Date.now() },
    rights: { capabilities: 0n, openFiles: null },
  };
  const remarks = await brokers.look(examined, new AbortController().signal);
  return remarks.map(({ level, message }) => `${level}: ${message}`);
}

const ALONE = "; the node goes by its own probes alone";

Deno.test("where no servers are set there is nothing to look at", async () => {
  deepEqual(await said({ servers: [] }), []);
});

Deno.test("a server that nothing listens at, one that is none, and one that says nothing are told apart", async () => {
  using web = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const held: Deno.Conn[] = [];
  silent.accept().then((conn) => held.push(conn), () => {});
  const answering = (async () => {
    for await (const conn of web) {
      await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
      conn.close();
    }
  })();
  const at = ({ port }: { readonly port: number }) => `nats://127.0.0.1:${port}`;
  const servers = [at({ port: closedPort() }), at(web.addr as Deno.NetAddr), at(silent.addr as Deno.NetAddr)];
  const [closed, other, mute] = await said({ servers });
  deepEqual(closed, `problem: can't be used: nothing listens there${ALONE}`);
  deepEqual(other, `problem: can't be used: what answers there isn't a NATS server${ALONE}`);
  match(mute!, /^problem: can't be used: the server doesn't answer/);
  web.close();
  await answering;
  for (const conn of held) conn.close();
});

testWith(
  ["nats-server"],
  "a server that can be used says nothing, and makes of another one a warning",
  async () => {
    await using server = await NatsServer.start();
    deepEqual(await said({ servers: [server.url] }), []);
    const nowhere = `nats://127.0.0.1:${closedPort()}`;
    deepEqual(await said({ servers: [server.url, nowhere] }), [
      "warning: can't be used: nothing listens there; another one can",
    ]);
  },
);

testWith(
  ["nats-server"],
  "a server without JetStream, and one that refuses the credentials, are found",
  async () => {
    await using bare = await NatsServer.start({ jetStream: false });
    match(
      (await said({ servers: [bare.url] })).join(),
      /^problem: can't be used: the server offers no JetStream here/,
    );
    await using locked = await NatsServer.start({ config: `authorization { user: a, password: "right" }\n` });
    const { auth } = TEST_SETTINGS.state.nats;
    const judge = (password: string) =>
      said({ servers: [locked.url], auth: { ...auth, user: "a", password } });
    deepEqual(await judge("right"), []);
    const [refused] = await judge("wrong-canary");
    match(refused!, /the server refuses the credentials/);
    ok(!refused!.includes("wrong-canary"));
  },
);

testWith(
  ["nats-server"],
  "TLS that the server hasn't got, and one of an authority that isn't trusted, are found",
  async () => {
    await using plain = await NatsServer.start();
    const tls = plain.url.replace("nats://", "tls://");
    match((await said({ servers: [tls] })).join(), /the server offers no TLS/);
    const authority = await TestAuthority.create("authority");
    const { cert, key } = await authority.issue({ ipAddresses: ["127.0.0.1"] });
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/c.pem`, cert);
      await Deno.writeTextFile(`${folder}/k.pem`, key);
      await using server = await NatsServer.start({
        scheme: "tls",
        config: `tls { cert_file: "${folder}/c.pem", key_file: "${folder}/k.pem" }\n`,
      });
      match((await said({ servers: [server.url] })).join(), /of an authority that isn't trusted/);
      const trusting = { ...TEST_SETTINGS.state.nats.tls, ca: authority.cert };
      deepEqual(await said({ servers: [server.url], tls: trusting }), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
