/**
 * DNS over TLS and over HTTPS on real sockets, by real programs and by clients that misbehave.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER, CUTS, HTTPS_STATUSES } from "../../src/dns/counters.ts";
import { STREAM_TRANSPORTS, type StreamTransport } from "../../src/dns/transport.ts";
import type { Cut } from "../../src/dns/counters.ts";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { Tally } from "../../src/dns/tally.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { type Identity, selfSigned } from "../health/certificates.ts";
import { testWith } from "../programs.ts";
import { until } from "../test_node.ts";
import { framed } from "./clients.ts";
import { fatal } from "./faulty_snapshots.ts";
import { Loopback, type LoopbackOptions } from "./loopback.ts";
import { query, show } from "./packets.ts";

const EXAMPLE = {
  pools: [{ name: "web", members: ["192.0.2.10"] }],
  services: { "www.example.com": "web" },
};
const WWW = query("www.example.com", "A");
const ANSWER = "NOERROR aa\nan www.example.com 30 A 192.0.2.10";
const ANY = [{ hostname: "127.0.0.1", port: 0 }];

/** A fleet with encrypted streams, and who trusts it. */
class Encrypted implements AsyncDisposable {
  readonly node: Loopback;
  readonly identity: Identity;

  /**
   * After thousands of TLS connections the event loop of Deno 2.6.8 sleeps for seconds over a message of a worker where
   * no timer is set, as in no node and in this test.
   */
  readonly #turning: ReturnType<typeof setInterval>;

  private constructor(node: Loopback, identity: Identity, turning: ReturnType<typeof setInterval>) {
    this.#turning = turning;
    this.node = node;
    this.identity = identity;
  }

  static async start(options: Partial<LoopbackOptions> = {}): Promise<Encrypted> {
    const turning = setInterval(() => {}, 20);
    const identity = await issued();
    const encrypted = { certificate: identity, tls: ANY, https: ANY, path: "/dns-query" };
    return new Encrypted(await Loopback.start(EXAMPLE, { encrypted, ...options }), identity, turning);
  }

  get tls(): SocketAddress {
    return this.node.fleet.encrypted.tls[0]!;
  }

  get https(): SocketAddress {
    return this.node.fleet.encrypted.https[0]!;
  }

  /** A counter of all workers together. */
  total(counter: number): number {
    const tally = new Tally();
    tally.update(this.node.world.board);
    return tally.total(counter);
  }

  /** Waits until so many were counted: what ends a handshake tells the client before the worker hears of it. */
  async hasCut(transport: StreamTransport, why: Cut, count: number): Promise<void> {
    const counted = await until(
      () => Promise.resolve(this.cuts(transport, why)),
      (counted) => counted >= count,
    );
    assert.equal(counted, count, `${transport} ${why}`);
  }

  cuts(transport: StreamTransport, why: Cut): number {
    return this.total(
      COUNTER.streamCuts + STREAM_TRANSPORTS.indexOf(transport) * CUTS.length + CUTS.indexOf(why),
    );
  }

  statuses(status: typeof HTTPS_STATUSES[number]): number {
    return this.total(COUNTER.httpsStatus + HTTPS_STATUSES.indexOf(status));
  }

  connect(alpn: "dot" | "h2" | "http/1.1" = "dot"): Promise<Deno.TlsConn> {
    const address = alpn === "dot" ? this.tls : this.https;
    return Deno.connectTls({ ...address, caCerts: [this.identity.cert], alpnProtocols: [alpn] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
    clearInterval(this.#turning);
  }
}

function issued(): Promise<Identity> {
  return selfSigned({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] });
}

async function readMessage(connection: Deno.Conn): Promise<Uint8Array | null> {
  let bytes = new Uint8Array(0);
  const chunk = new Uint8Array(65_536);
  while (bytes.length < 2 || bytes.length < 2 + (bytes[0]! << 8 | bytes[1]!)) {
    const count = await connection.read(chunk).catch(() => null);
    if (count === null) return null;
    bytes = Uint8Array.of(...bytes, ...chunk.subarray(0, count));
  }
  return bytes.subarray(2);
}

async function run(
  program: string,
  ...args: string[]
): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stdout } = await new Deno.Command(program, { args, stderr: "null" }).output();
  return { code, text: new TextDecoder().decode(stdout) };
}

testWith(["openssl"], "a client that comes back over TLS goes on with the session that it had", async () => {
  await using server = await Encrypted.start();
  const folder = await Deno.makeTempDir();
  try {
    const connect = async (...session: string[]) => {
      const { hostname, port } = server.tls;
      const args = ["s_client", "-connect", `${hostname}:${port}`, "-alpn", "dot", ...session];
      const child = new Deno.Command("openssl", { args, stdin: "piped", stdout: "piped", stderr: "null" })
        .spawn();
      // A ticket comes behind the handshake, ahead of the answer.
      const writer = child.stdin.getWriter();
      await writer.write(framed(WWW));
      let said = "";
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        said += text;
        if (said.includes("\x07example\x03com")) await writer.close().catch(() => {});
      }
      await child.status;
      return /^(New|Reused), TLSv1\.3/m.exec(said)?.[1];
    };
    assert.equal(await connect("-sess_out", `${folder}/session`), "New");
    assert.equal(await connect("-sess_in", `${folder}/session`), "Reused");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("queries over TLS are answered in order, counted as such, and sampled as such", async () => {
  const sampled = Promise.withResolvers<string>();
  await using server = await Encrypted.start({
    samplesPerSecond: 10,
    onSample: ({ transport }) => sampled.resolve(transport),
  });
  using client = await server.connect();
  assert.equal((await client.handshake()).alpnProtocol, "dot");
  for (let i = 0; i < 3; i++) {
    await client.write(framed(WWW));
    assert.equal(show(await readMessage(client)), ANSWER);
  }
  assert.equal(server.total(COUNTER.messages + STREAM_TRANSPORTS.indexOf("tls")), 3);
  assert.equal(server.total(COUNTER.connections + STREAM_TRANSPORTS.indexOf("tls")), 1);
  assert.equal(await sampled.promise, "tls");
});

testWith(["kdig"], "kdig asks over TLS and over HTTPS", async () => {
  await using server = await Encrypted.start();
  const ask = (to: SocketAddress, ...how: string[]) =>
    run("kdig", ...how, "+short", "+retry=0", "@127.0.0.1", "-p", String(to.port), "www.example.com", "A");
  for (
    const [to, how] of [[server.tls, "+tls"], [server.https, "+https"], [server.https, "+https-get"]] as const
  ) {
    const { text } = await ask(to, ...(how === "+https-get" ? ["+https", how] : [how]));
    assert.equal(text, "192.0.2.10\n", how);
  }
  assert.equal(server.total(COUNTER.messages + STREAM_TRANSPORTS.indexOf("https")), 2);
});

Deno.test("what isn't TLS is cut and counted, on both ports", async () => {
  await using server = await Encrypted.start();
  const plain = [framed(WWW), new TextEncoder().encode("GET /dns-query HTTP/1.1\r\nHost: localhost\r\n\r\n")];
  for (const [transport, to] of [["tls", server.tls], ["https", server.https]] as const) {
    for (const bytes of plain) {
      using client = await Deno.connect(to);
      await client.write(bytes);
      await readToEnd(client);
    }
    await server.hasCut(transport, "handshake", plain.length);
  }
  assert.equal(server.total(COUNTER.queriesTcp), 0);
});

Deno.test("a client that speaks another protocol inside of TLS is refused in the handshake", async () => {
  await using server = await Encrypted.start();
  const { tls, identity } = server;
  using client = await Deno.connectTls({ ...tls, caCerts: [identity.cert], alpnProtocols: ["h2"] });
  await assert.rejects(client.handshake());
  await server.hasCut("tls", "handshake", 1);
});

/** Longer than a handshake and a query take on a machine that has other work. */
const SHORT_MS = 1_000;

for (const what of ["nothing", "half a ClientHello"]) {
  Deno.test({
    name: `a client that sends ${what} loses its place in time, on both ports`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using server = await Encrypted.start({ tcp: { maxConnections: 1, queryTimeout: SHORT_MS } });
      for (const [transport, to] of [["tls", server.tls], ["https", server.https]] as const) {
        using client = await Deno.connect(to);
        if (what !== "nothing") await client.write(new Uint8Array([22, 3, 1, 2, 0, 1]));
        await readToEnd(client);
        await server.hasCut(transport, "no_query", 1);
      }
      using next = await server.connect();
      await next.write(framed(WWW));
      assert.equal(show(await readMessage(next)), ANSWER);
    },
  });
}

Deno.test("over TLS a message that is no DNS, half a query and silence end a connection, each counted", async () => {
  await using server = await Encrypted.start({ tcp: { queryTimeout: SHORT_MS, idleTimeout: 2 * SHORT_MS } });
  const cases: readonly (readonly [Cut, readonly Uint8Array[]])[] = [
    ["malformed", [new Uint8Array([0, 1, 7])]],
    ["half_query", [framed(WWW).subarray(0, 9)]],
    ["half_query", [framed(WWW, WWW).subarray(0, -1)]],
    ["no_query", []],
    ["idle", [framed(WWW)]],
  ];
  for (const [why, writes] of cases) {
    const before = server.cuts("tls", why);
    using client = await server.connect();
    await client.handshake();
    for (const bytes of writes) await client.write(bytes);
    await readToEnd(client);
    await server.hasCut("tls", why, before + 1);
  }
});

Deno.test("another certificate is served without a failed handshake, and older connections go on", async () => {
  await using server = await Encrypted.start({ onLog: () => {} });
  const { fleet } = server.node;
  using old = await server.connect();
  await old.handshake();
  const identities = [server.identity, ...await Promise.all([1, 2].map(issued))];
  const caCerts = identities.map(({ cert }) => cert);
  let isOver = false;
  let shaken = 0;
  const ask = async (to: SocketAddress, alpn: string) => {
    while (!isOver) {
      using client = await Deno.connectTls({ ...to, caCerts, alpnProtocols: [alpn] });
      await client.handshake();
      shaken++;
    }
  };
  const asking = Promise.all([
    ...[1, 2, 3, 4].map(() => ask(server.tls, "dot")),
    ...[1, 2].map(() => ask(server.https, "h2")),
  ]);
  for (const identity of identities.slice(1)) {
    fleet.certify(identity);
    // Whoever trusts only the new one gets in.
    const isServed = (to: SocketAddress, alpn: string) =>
      Deno.connectTls({ ...to, caCerts: [identity.cert], alpnProtocols: [alpn] })
        .then((client) => client.handshake().then(() => true, () => false).finally(() => client.close()));
    while (!await isServed(server.tls, "dot") || !await isServed(server.https, "h2"));
  }
  const before = shaken;
  while (shaken < before + 50) await turnEventLoop();
  isOver = true;
  await asking; // rejects with the first that failed
  await old.write(framed(WWW));
  assert.equal(show(await readMessage(old)), ANSWER);
});

Deno.test("a worker that takes the place of another has its ports and its last certificate", async () => {
  let replaced = 0;
  await using server = await Encrypted.start({ onReplace: () => replaced++ });
  const { fleet, world } = server.node;
  const renewed = await issued();
  fleet.certify(renewed);
  fleet.publish(fatal(world.snapshot), world.board).catch(() => {}); // every worker dies of it
  await fleet.publish({ ...world.snapshot, epoch: world.snapshot.epoch + 2 }, world.board);
  assert.equal(replaced, 2);
  using client = await Deno.connectTls({ ...server.tls, caCerts: [renewed.cert], alpnProtocols: ["dot"] });
  await client.write(framed(WWW));
  assert.equal(show(await readMessage(client)), ANSWER);
});

/** Asks over HTTPS as a browser would. */
class Browser implements Disposable {
  readonly #client: Deno.HttpClient;
  readonly #origin: string;

  constructor({ identity, https }: Encrypted, { http2 = true } = {}) {
    this.#client = Deno.createHttpClient({ caCerts: [identity.cert], http2, http1: !http2 });
    this.#origin = `https://localhost:${https.port}`;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.#origin}${path}`, { ...init, client: this.#client });
  }

  post(body: BodyInit, type = "application/dns-message"): Promise<Response> {
    return this.fetch("/dns-query", { method: "POST", body, headers: { "content-type": type } });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

const encoded = (message: Uint8Array) => message.toBase64({ alphabet: "base64url", omitPadding: true });

for (const http2 of [true, false]) {
  Deno.test(`GET and POST are answered alike over HTTP/${http2 ? 2 : 1.1}`, async () => {
    await using server = await Encrypted.start();
    using browser = new Browser(server, { http2 });
    const ways = [
      () => browser.fetch(`/dns-query?dns=${encoded(WWW)}`),
      () => browser.post(new Uint8Array(WWW)),
    ];
    for (const ask of ways) {
      const response = await ask();
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("content-type"), "application/dns-message");
      assert.equal(response.headers.get("cache-control"), "private, max-age=30");
      assert.equal(show(await response.bytes()), ANSWER);
    }
    assert.equal(server.statuses(200), 2);
  });
}

Deno.test("requests that carry no DNS get the status that says why, and are counted", async () => {
  await using server = await Encrypted.start();
  using browser = new Browser(server);
  const get = (dns: string) => browser.fetch(`/dns-query${dns}`);
  const wrong: readonly (readonly [typeof HTTPS_STATUSES[number], () => Promise<Response>])[] = [
    [400, () => get("")],
    [400, () => get("?dns=")],
    [400, () => get(`?dns=${encoded(WWW)}&dns=${encoded(WWW)}`)],
    [400, () => get(`?dns=${encoded(WWW)}=`)],
    [400, () => get("?dns=AAA+")],
    [400, () => get(`?dns=${encoded(WWW).replace(/^..../, "$&%20")}`)],
    [400, () => get("?dns=A")],
    [400, () => get(`?dns=${encoded(WWW.with(2, 0x80))}`)], // a response
    [400, () => browser.post(new Uint8Array(0))],
    [400, () => browser.post(new Uint8Array(11))],
    [404, () => browser.fetch("/")],
    [405, () => browser.fetch("/dns-query", { method: "PUT", body: "x" })],
    [413, () => browser.post(new Uint8Array(65_536))],
    [413, () => browser.post(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(60_000)) }))],
    [415, () => browser.post("x", "text/plain")],
    [415, () => browser.post("x", "application/dns-messages")],
  ];
  for (const [status, ask] of wrong) {
    const before = server.statuses(status);
    const response = await ask();
    assert.deepEqual([response.status, response.headers.get("cache-control")], [status, "no-store"]);
    await response.text();
    assert.equal(server.statuses(status), before + 1);
  }
  const response = await browser.post(new Uint8Array(WWW), "Application/DNS-message; charset=x");
  assert.equal(show(await response.bytes()), ANSWER);
});

Deno.test("a message whose rest doesn't come is answered 408", async () => {
  await using server = await Encrypted.start({ tcp: { queryTimeout: 1_000 } });
  using browser = new Browser(server);
  const response = await browser.post(new ReadableStream({ start: (to) => to.enqueue(new Uint8Array(12)) }));
  assert.equal(response.status, 408);
  await response.text();
  await server.hasCut("https", "half_query", 1);
});

Deno.test("of a connection over HTTPS a hundred requests are under way at most, and one more is answered 503", async () => {
  await using server = await Encrypted.start();
  using browser = new Browser(server);
  const ask = async () => {
    const response = await browser.post(new Uint8Array(WWW));
    await response.bytes();
    return response.status;
  };
  assert.equal(await ask(), 200); // one connection, on which all others go
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = [];
  const waiting = Array.from({ length: 100 }, async () => {
    const start = (body: ReadableStreamDefaultController<Uint8Array>) => void bodies.push(body);
    const response = await browser.post(new ReadableStream({ start }));
    return show(await response.bytes());
  });
  while (await ask() !== 503);
  for (const body of bodies) {
    body.enqueue(new Uint8Array(WWW));
    body.close();
  }
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set([ANSWER]));
});

Deno.test("over HTTPS silence after an answer and half a request end a connection", async () => {
  await using server = await Encrypted.start({ tcp: { queryTimeout: 300, idleTimeout: 300 } });
  const request = `GET /dns-query?dns=${encoded(WWW)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  for (const [why, text] of [["idle", request], ["no_query", request.slice(0, -2)]] as const) {
    using client = await server.connect("http/1.1");
    await client.write(new TextEncoder().encode(text));
    const answered = await readToEnd(client);
    assert.equal(answered.startsWith("HTTP/1.1 200"), why === "idle");
    await server.hasCut("https", why, 1);
  }
});

Deno.test("a client at its limit of connections over HTTPS loses the one that is idle for longest", async () => {
  await using server = await Encrypted.start({ tcp: { maxConnectionsPerClient: 1 } });
  using silent = await server.connect("h2");
  await silent.handshake();
  using browser = new Browser(server);
  assert.equal(show(await (await browser.post(new Uint8Array(WWW))).bytes()), ANSWER);
  await readToEnd(silent);
  assert.equal(server.total(COUNTER.tcpEvicted), 1);
});

/** A frame of HTTP/2 (RFC 9113 §4.1). */
function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length << 8 | type);
  bytes[4] = flags;
  view.setUint32(5, stream);
  bytes.set(payload, 9);
  return bytes;
}

const [HEADERS, RST_STREAM, SETTINGS, CONTINUATION] = [1, 3, 4, 9];
const [END_STREAM, END_HEADERS] = [1, 4];
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** GET https://a/ in HPACK (RFC 7541): three entries of the static table, and an authority. */
const GET = Uint8Array.of(0x82, 0x87, 0x84, 0x41, 1, 0x61);

const FLOODS: Record<string, (number: number) => Uint8Array[]> = {
  "streams that are reset at once": (number) => [
    frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, GET),
    frame(RST_STREAM, 0, 2 * number + 1, new Uint8Array(4)),
  ],
  // Each goes on with a field of 1,000 bytes.
  "a head without an end": (number) => [
    number === 0 ? frame(HEADERS, END_STREAM, 1, GET) : frame(
      CONTINUATION,
      0,
      1,
      Uint8Array.of(0, 1, 0x61, 0x7f, 0xe9, 0x06, ...new Uint8Array(1000).fill(0x61)),
    ),
  ],
};
for (const [what, flood] of Object.entries(FLOODS)) {
  Deno.test(`a client that sends ${what} loses its connection, and others are answered`, async () => {
    await using server = await Encrypted.start();
    using client = await server.connect("h2");
    const closed = readToEnd(client);
    let isOpen = true;
    closed.then(() => isOpen = false);
    const write = async (frames: Uint8Array[]) => {
      let rest = Uint8Array.from(frames.flatMap((each) => [...each]));
      while (rest.length > 0) rest = rest.subarray(await client.write(rest));
    };
    await write([PREFACE, frame(SETTINGS, 0, 0, new Uint8Array(0))]);
    for (let number = 0; isOpen;) {
      const frames = Array.from({ length: 20 }, () => flood(number++)).flat();
      await write(frames).catch(() => isOpen = false);
    }
    await closed;
    using browser = new Browser(server);
    assert.equal(show(await (await browser.post(new Uint8Array(WWW))).bytes()), ANSWER);
  });
}

Deno.test("the workers stop although clients stay connected, half way through a handshake or a request", async () => {
  const server = await Encrypted.start();
  using idle = await server.connect();
  using shaking = await Deno.connect(server.tls);
  await shaking.write(new Uint8Array([22, 3, 1, 2, 0, 1]));
  using asking = await server.connect("http/1.1");
  await idle.handshake();
  await asking.write(new TextEncoder().encode("POST /dns-query HTTP/1.1\r\nHost: localhost\r\n"));
  await server[Symbol.asyncDispose]();
  for (const client of [idle, shaking, asking]) await readToEnd(client);
});

/** Whatever comes until the other side closes, however it does. */
async function readToEnd(connection: Deno.Conn): Promise<string> {
  const chunk = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const count = await connection.read(chunk).catch(() => null);
    if (count === null || count === 0) return text;
    text += new TextDecoder().decode(chunk.subarray(0, count));
  }
}
