/** @module Connections to real NATS servers: who is let in, and what is said of what goes wrong. */
import { equal, match, ok, rejects } from "node:assert/strict";
import { createAccount, createOperator, createUser, encodeJwt } from "./jwt.ts";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { systemClock, systemRng } from "../../src/clock.ts";
import { type LinkTerms, NatsLink } from "../../src/nats/link.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { until } from "../cluster/nodes.ts";
import { type Identity, TestAuthority } from "../health/certificates.ts";
import { lateTogether } from "../late_together.ts";
import { testWith } from "../programs.ts";
import { NatsServer } from "./server.ts";

const PLAIN: LinkTerms["tls"] = { ca: null, client: null, handshakeFirst: false };
const NO_AUTH: LinkTerms["auth"] = { user: null, password: null, token: null, nkeySeed: null, creds: null };

interface Given {
  readonly tls?: Partial<LinkTerms["tls"]>;
  readonly auth?: Partial<LinkTerms["auth"]>;
}

/** Tries until it is in, or is told why not; gives the reason, or `null`. */
async function tried(
  servers: string | readonly string[],
  { tls = {}, auth = {} }: Given = {},
): Promise<string | null> {
  const lines: string[] = [];
  const { promise: isIn, resolve } = Promise.withResolvers<NatsConnection>();
  await using link = new NatsLink({
    terms: {
      servers: typeof servers === "string" ? [servers] : servers,
      ...{ name: "test", inboxPrefix: "_INBOX.test.a", pingIntervalMs: 1_000 },
      tls: { ...PLAIN, ...tls },
      auth: { ...NO_AUTH, ...auth },
    },
    ...{ clock: systemClock, rng: systemRng },
    log: createLogger({
      level: "info",
      format: "json",
      clock: systemClock,
      write: (line) => void lines.push(line),
    }),
    session: async (connection, ended) => {
      await connection.flush();
      resolve(connection);
      if (!ended.aborted) await new Promise((over) => ended.addEventListener("abort", over, { once: true }));
    },
  });
  let isOpen = false;
  isIn.then(() => isOpen = true);
  await until(() => link.status(), ({ fault, server }) => fault !== null || (server !== null && isOpen));
  equal(lines.length, 1, `one line: ${lines.join("\n")}`);
  return link.status().fault;
}

testWith(
  ["nats-server"],
  "a node is let in by password, nkey, token or credentials, and told when it isn't",
  async () => {
    const [operator, account] = [createOperator(), createAccount()];
    const keyed = createUser();
    await using byUser = await NatsServer.start({
      jetStream: false,
      config: `authorization { users: [ { user: a, password: "right" }, { nkey: ${keyed.publicKey} } ] }\n`,
    });
    await using byToken = await NatsServer.start({
      jetStream: false,
      config: `authorization { token: "right" }\n`,
    });
    await using byCreds = await NatsServer.start({
      jetStream: false,
      config: `operator: ${encodeJwt(operator, operator.publicKey, { type: "operator", version: 2 })}\n` +
        `resolver: MEMORY\nresolver_preload: { ${account.publicKey}: ${
          encodeJwt(operator, account.publicKey, {
            ...{
              type: "account",
              version: 2,
              limits: { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, conn: -1, leaf: -1 },
            },
          })
        } }\n`,
    });
    const user = createUser();
    const jwt = encodeJwt(account, user.publicKey, {
      type: "user",
      version: 2,
      subs: -1,
      data: -1,
      payload: -1,
    });
    const creds = `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${user.seed}\n------END USER NKEY SEED------\n`;

    const refused = (url: string) => `${url}: the server refuses the credentials (state.nats.auth)`;
    equal(await tried(byUser.url, { auth: { user: "a", password: "right" } }), null);
    equal(await tried(byUser.url, { auth: { user: "a", password: "wrong" } }), refused(byUser.url));
    equal(await tried(byUser.url), refused(byUser.url));
    equal(await tried(byUser.url, { auth: { nkeySeed: keyed.seed } }), null);
    equal(await tried(byUser.url, { auth: { nkeySeed: user.seed } }), refused(byUser.url));
    equal(await tried(byToken.url, { auth: { token: "right" } }), null);
    equal(await tried(byToken.url, { auth: { token: "wrong" } }), refused(byToken.url));
    equal(await tried(byCreds.url, { auth: { creds } }), null);
    equal(
      await tried(byCreds.url, { auth: { creds: creds.replace(user.seed, keyed.seed) } }),
      refused(byCreds.url),
    );
  },
);

testWith(
  ["nats-server"],
  "a node trusts the servers that it should, and says what is wrong with the others",
  async () => {
    const authority = await TestAuthority.create("ours");
    const other = await TestAuthority.create("theirs");
    const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] };
    const folder = await Deno.makeTempDir();
    await using cleaning = new AsyncDisposableStack();
    cleaning.defer(() => Deno.remove(folder, { recursive: true }));
    await Deno.writeTextFile(`${folder}/ca.pem`, authority.cert);
    const serving = async (name: string, request: Parameters<TestAuthority["issue"]>[0], more = "") => {
      const { cert, key } = await authority.issue(request);
      await Deno.writeTextFile(`${folder}/${name}.pem`, cert);
      await Deno.writeTextFile(`${folder}/${name}.key`, key);
      return cleaning.use(
        await NatsServer.start({
          ...{ jetStream: false, scheme: "tls" },
          config: `tls { cert_file: "${folder}/${name}.pem", key_file: "${folder}/${name}.key"\n${more} }\n`,
        }),
      );
    };
    const good = await serving("good", names);
    const expired = await serving("old", {
      ...names,
      notBefore: new Date(0),
      notAfter: new Date(86_400_000),
    });
    const named = await serving("named", { dnsNames: ["elsewhere.example"] });
    const first = await serving("first", names, "handshake_first: true");
    const mutual = await serving(
      "mutual",
      names,
      `handshake_first: true, verify: true, ca_file: "${folder}/ca.pem"`,
    );
    const plain = cleaning.use(await NatsServer.start({ jetStream: false }));
    const six = cleaning.use(await NatsServer.start({ jetStream: false, host: "::1" }));

    const ca = authority.cert;
    equal(await tried(good.url, { tls: { ca } }), null);
    equal(await tried(good.url.replace("tls:", "nats:"), { tls: { ca } }), null);
    equal(await tried(good.url.replace("127.0.0.1", "localhost"), { tls: { ca } }), null);
    match((await tried(good.url))!, /is of an authority that isn't trusted \(state\.nats\.tls\.caFile\)$/);
    match((await tried(good.url, { tls: { ca: other.cert } }))!, /isn't trusted/);
    match((await tried(expired.url, { tls: { ca } }))!, /the server's certificate has expired$/);
    match((await tried(named.url, { tls: { ca } }))!, /the server's certificate is of another name$/);
    match((await tried(plain.url.replace("nats:", "tls:")))!, /the server offers no TLS/);
    match((await tried(plain.url, { tls: { handshakeFirst: true } }))!, /the server doesn't begin with TLS/);
    equal(await tried(first.url, { tls: { ca, handshakeFirst: true } }), null);
    equal(await tried(mutual.url, { tls: { ca, client: await authority.issue({}) } }), null);
    const past = { notBefore: new Date(0), notAfter: new Date(86_400_000) };
    const triedAs = async (client: Identity) => (await tried(mutual.url, { tls: { ca, client } }))!;
    match(await triedAs(await other.issue({})), /the server doesn't take the client certificate/);
    match(await triedAs(await authority.issue(past)), /the client certificate has expired \(state/);
    equal(await tried(six.url), null);
  },
);

testWith(["nats-server"], "a node that can't reach one server tries the next", async () => {
  await using server = await NatsServer.start({ jetStream: false });
  const closed = "nats://127.0.0.1:1";
  match((await tried(closed))!, /^nats:\/\/127\.0\.0\.1:1: nothing listens there$/);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = (async () => {
    for await (const connection of listener) {
      await connection.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
      connection.close();
    }
  })();
  match((await tried(`nats://127.0.0.1:${listener.addr.port}`))!, /what answers there isn't a NATS server$/);
  listener.close();
  await answering;
  ok(server.port > 0);
});

/** Takes one connection, and says what a server does until the client is in. */
async function letIn(listener: Deno.TcpListener): Promise<Deno.Conn> {
  const connection = await listener.accept();
  await greet(connection);
  return connection;
}

async function greet(connection: Deno.Conn): Promise<void> {
  const say = (text: string) => connection.write(new TextEncoder().encode(text));
  await say('INFO {"version":"2.15.0","proto":1,"max_payload":1048576}\r\n');
  const heard = new Uint8Array(4096);
  for (let size: number | null = 0; size !== null && !new TextDecoder().decode(heard).includes("PING\r\n");) {
    size = await connection.read(heard);
  }
  await say("PONG\r\n").catch(() => {});
}

function urlOf({ addr }: Deno.TcpListener): string {
  return `nats://127.0.0.1:${(addr as Deno.NetAddr).port}`;
}

Deno.test("beside a server that keeps silent the next one is tried, and what comes late is closed", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using good = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const clock = new ManualClock();
  await using link = new NatsLink({
    terms: {
      servers: [urlOf(silent), urlOf(good)],
      ...{ name: "test", inboxPrefix: "_INBOX.test.a", pingIntervalMs: 60_000, tls: PLAIN, auth: NO_AUTH },
    },
    // The first server is the first one.
    ...{ clock, rng: () => 0 },
    log: createLogger({ level: "error", format: "json", clock, write: () => {} }),
    session: async (connection) => void await connection.closed(),
  });
  using late = await silent.accept();
  await clock.advance(999);
  equal(clock.nextWakeMs, 1);
  await clock.advance(1);
  using _connected = await letIn(good);
  await until(() => link.status().server, (server) => server === urlOf(good));
  // The first one would do as well by now.
  await greet(late);
  const rest = new Uint8Array(4096);
  for (let size: number | null = 0; size !== null;) size = await late.read(rest);
  equal(link.status().server, urlOf(good));
});

Deno.test("an attempt that is given up is none any more for the system, either", async () => {
  // Where nobody accepts and the queue is full the first packet of a connection isn't answered.
  using full = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  await using queued = new AsyncDisposableStack();
  for (let i = 0; i < 2; i++) queued.use(await Deno.connect({ hostname: "127.0.0.1", port: full.addr.port }));
  useDenoTransport();
  const connecting = NatsConnectionImpl.connect({ servers: [`127.0.0.1:${full.addr.port}`], timeout: 50 });
  await rejects(connecting, /timeout/);
});

/** Runs sessions on one connection after the other, until there were so many. */
async function sessions(
  server: string,
  count: number,
  session: (connection: NatsConnection) => Promise<void>,
  pingIntervalMs = 60_000,
): Promise<void> {
  let ended = 0;
  await using _link = new NatsLink({
    terms: {
      servers: [server],
      ...{ name: "test", inboxPrefix: "_INBOX.test.a", pingIntervalMs, tls: PLAIN, auth: NO_AUTH },
    },
    ...{ clock: systemClock, rng: systemRng },
    log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
    session: (connection) => session(connection).finally(() => ended++),
  });
  await until(() => ended, (each) => each >= count);
}

Deno.test("a server that lets in and closes in one breath leaves no timer behind", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      await greet(connection);
      connection.close();
    }
  })();
  await sessions(
    urlOf(listener),
    3,
    async (connection) => void await connection.closed(),
  );
  listener.close();
  await serving;
});

testWith(
  ["nats-server"],
  "a ping that is due while a connection closes isn't followed by another",
  async () => {
    await using server = await NatsServer.start();
    const kept: Promise<void>[] = [];
    const session = () => new Promise<void>((over) => void kept.push(lateTogether(() => {}, over)));
    await sessions(server.url, 2, session, 5);
    await Promise.all(kept);
  },
);

Deno.test("what is asked while a connection closes is refused, and leaves no timer behind", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      await greet(connection);
      const rest = new Uint8Array(4096);
      for (let size: number | null = 0; size !== null;) size = await connection.read(rest).catch(() => null);
      connection.close();
    }
  })();
  const refused: string[] = [];
  await sessions(urlOf(listener), 2, async (connection) => {
    // While whoever hears of its state is told, the library takes requests still, and no one ends them.
    const hearing = (async () => {
      for await (const _ of connection.status());
    })();
    const ask = () => connection.request("silent", "", { timeout: 60_000 });
    const asked = ask().catch(() => void ask().catch(({ message }) => refused.push(message)));
    await connection.close();
    await Promise.all([hearing, asked]);
  });
  await until(() => refused, ({ length }) => length > 0);
  equal(refused[0], "connection closed");
  listener.close();
  await serving;
});

testWith(
  ["nats-server"],
  "a watch that is begun on a connection that closes leaves no timer behind",
  async () => {
    await using server = await NatsServer.start();
    await sessions(server.url, 2, async (connection) => {
      await (await jetstreamManager(connection)).streams.add({ name: "TEST", subjects: ["test"] });
      const consumer = await jetstream(connection).consumers.getPushConsumer("TEST");
      await connection.close();
      await consumer.consume();
    });
  },
);
