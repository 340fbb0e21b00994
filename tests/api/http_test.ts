/**
 * HTTP/1.1 on the wire: framing (RFC 9112), clients that are slow, silent, many or gone.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { type App, HttpConnection, type Patience } from "../../src/api/http_connection.ts";
import { type ConnectionFate, HttpServer, type HttpServerOptions, PATIENCE } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { TestAuthority } from "../health/certificates.ts";

/** Tells what it was asked, with the body's length. */
const ECHO: App = {
  fetch: async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/unread") return new Response("no", { status: 404 });
    if (pathname === "/long") {
      return new Response("x".repeat(200_000), { headers: { "content-type": "text/plain" } });
    }
    if (pathname === "/pieces") return new Response(ReadableStream.from(pieces()));
    const size = (await request.arrayBuffer()).byteLength;
    return new Response(`${request.method} ${pathname} ${size}`);
  },
};

async function* pieces() {
  for (const piece of ["one ", "two ", "three"]) {
    await new Promise<void>((resolve) => setTimeout(resolve, 5)); // Time is the subject: pieces that come late.
    yield new TextEncoder().encode(piece);
  }
}

/** Short enough for a test. */
const IMPATIENT: Patience = { headMs: 150, idleMs: 150, body: { stallMs: 150, sumMs: 300 }, writeMs: 150 };

function server(options: Partial<HttpServerOptions> = {}, app: App = ECHO) {
  const fates: ConnectionFate[] = [];
  const logged: string[] = [];
  const served = HttpServer.bind({
    address: { hostname: "127.0.0.1", port: 0 },
    choice: "--api ADDR:PORT",
    tls: null,
    limits: { maxConnections: 100, maxConnectionsPerClient: 100 },
    log: createLogger({
      level: "info",
      format: "json",
      clock: systemClock,
      write: (line) => logged.push(line),
    }),
    clock: systemClock,
    observe: (fate) => fates.push(fate),
    ...options,
  });
  served.serve(app);
  return { served, fates, logged, [Symbol.asyncDispose]: () => served.close() };
}

type Served = ReturnType<typeof server>;

/** A client that says exactly what it is told to. */
class Client implements Disposable {
  readonly #socket: Deno.TcpConn;
  #text = "";

  constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
  }

  /** @param hostname where a server on all addresses is asked, and so the client's own address */
  static async connect({ served }: Served, hostname: string = served.address.hostname): Promise<Client> {
    return new Client(await Deno.connect({ ...served.address, hostname }));
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.#socket.write(bytes.subarray(sent));
  }

  /** Reads until the text so far matches. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#text)) ok(await this.#read(), `ended after ${JSON.stringify(this.#text)}`);
    return this.#text;
  }

  /** Everything up to the end, which the server makes. */
  async rest(): Promise<string> {
    while (await this.#read());
    return this.#text;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #read(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    const count = await this.#socket.read(buffer).catch(() => null);
    this.#text += Buffer.from(buffer.subarray(0, count ?? 0)).toString("latin1");
    return count !== null;
  }
}

/** What comes back for these bytes until the server ends the connection. */
async function exchange(served: Served, text: string): Promise<string> {
  using client = await Client.connect(served);
  await client.send(text);
  return await client.rest();
}

const HOST = "Host: localhost\r\n";
const LAST = "Connection: close\r\n";

Deno.test("requests on one connection are answered in their order, however they are cut", async () => {
  await using served = server();
  const text = `GET /a HTTP/1.1\r\n${HOST}\r\n` +
    `POST /b HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc\r\n` +
    `POST /c HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: x\r\n\r\n` +
    `HEAD /d HTTP/1.1\r\n${HOST}${LAST}\r\n`;
  const whole = bodiesOf(await exchange(served, text));
  deepEqual(whole, ["GET /a 0", "POST /b 3", "POST /c 13", ""]);
  using client = await Client.connect(served);
  for (const char of text) await client.send(char);
  deepEqual(bodiesOf(await client.rest()), whole);
  deepEqual(served.logged, []);
});

Deno.test("what two readers could take for two things is refused, and the connection ends", async () => {
  await using served = server();
  for (
    const [status, head] of [
      [400, `GET /\r\n${HOST}`],
      [400, `GET / HTTP/1.1\r\n`],
      [400, `GET / HTTP/1.1\r\n${HOST}${HOST}`],
      [400, `GET / HTTP/1.1\r\n${HOST}A : b\r\n`],
      [400, `GET / HTTP/1.1\r\n${HOST}A: b\r\n c\r\n`],
      [400, `GET / HTTP/1.1\r\n${HOST}A: b\nC: d\r\n`],
      [400, `GET / HTTP/1.1\r\n${HOST}A: \0\r\n`],
      [400, `GET http://user@localhost/ HTTP/1.1\r\n${HOST}`],
      [400, `GET localhost HTTP/1.1\r\n${HOST}`],
      [400, `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n`],
      [400, `POST / HTTP/1.1\r\n${HOST}Content-Length: +3\r\n`],
      [400, `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n`],
      [400, `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n`],
      [501, `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n`],
      [505, `GET / HTTP/2.0\r\n${HOST}`],
      [431, `GET / HTTP/1.1\r\n${HOST}A: ${"b".repeat(17_000)}\r\n`],
      [431, `GET / HTTP/1.1\r\n${HOST}${"A: b\r\n".repeat(200)}`],
    ] as const
  ) {
    const answer = await exchange(served, `${head}\r\nGET /second HTTP/1.1\r\n${HOST}\r\n`);
    match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close[^]*"status":${status}`), head);
    equal(bodiesOf(answer).length, 1, "one answer");
  }
  deepEqual(served.logged, []);
});

Deno.test("a body that wasn't read ends the connection, and the answer says so; one that is there already doesn't", async () => {
  await using served = server();
  const unread = (body: string, length: number) =>
    `POST /unread HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\n${body}`;
  match(await exchange(served, unread("abc", 1_000)), /^HTTP\/1\.1 404 [^]*connection: close\r\n/);
  const next = `GET /next HTTP/1.1\r\n${HOST}${LAST}\r\n`;
  const answers = await exchange(served, unread("abc", 3) + next);
  deepEqual(bodiesOf(answers), ["no", "GET /next 0"]);
});

Deno.test("a client that was promised that its connection goes on is answered once more when another process takes over", async () => {
  const rest = Promise.withResolvers<void>();
  const app: App = {
    fetch: () =>
      Promise.resolve(
        new Response(ReadableStream.from((async function* () {
          yield new TextEncoder().encode("begun ");
          await rest.promise;
          yield new TextEncoder().encode("done");
        })())),
      ),
  };
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using client = new Client(await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }));
  const connection = new HttpConnection(await listener.accept(), {
    ...{ app, scheme: "http", patience: PATIENCE, onRequest: () => {}, onStalled: () => {} },
    log: createLogger({ level: "info", format: "json", clock: systemClock, write: () => {} }),
  });
  await client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  match(await client.until(/begun/), /^HTTP\/1\.1 200 (?![\s\S]*connection: close)/i);
  connection.leave();
  rest.resolve();
  await client.until(/done\r\n0\r\n\r\n$/);
  await client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  match(
    await client.rest(),
    /done\r\n0\r\n\r\nHTTP\/1\.1 200 [\s\S]*connection: close\r\n[\s\S]*begun done$/i,
  );
  await connection.ended;
});

Deno.test("what a client asks when it has been told that it is asked elsewhere isn't done", async () => {
  let asked = 0;
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using client = new Client(await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }));
  const connection = new HttpConnection(await listener.accept(), {
    app: { fetch: () => Promise.resolve(new Response(`number ${++asked}`)) },
    ...{ scheme: "http", patience: PATIENCE, onRequest: () => {}, onStalled: () => {} },
    log: createLogger({ level: "info", format: "json", clock: systemClock, write: () => {} }),
  });
  await client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await client.until(/number 1$/);
  connection.leave();
  await client.rest();
  await client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await connection.ended;
  equal(asked, 1);
});

Deno.test("a client that waits for 100 Continue gets it when its body is wanted", async () => {
  await using served = server();
  using client = await Client.connect(served);
  await client.send(`POST /c HTTP/1.1\r\n${HOST}${LAST}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n`);
  await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  await client.send("abc");
  match(await client.rest(), /HTTP\/1\.1 200 OK[^]*POST \/c 3$/);
});

Deno.test("answers have their length, or come in chunks, or end with the connection of an old client", async () => {
  await using served = server();
  const ask = (path: string, version: string, more = "") =>
    exchange(served, `GET ${path} HTTP/${version}\r\n${HOST}${LAST}${more}\r\n`);
  match(await ask("/a", "1.1"), /content-length: 8\r\n[^]*\r\n\r\nGET \/a 0$/);
  match(await ask("/long", "1.1"), /\r\n\r\n[^]*x{1000}/);
  match(
    await ask("/pieces", "1.1"),
    /transfer-encoding: chunked\r\n[^]*4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n$/,
  );
  const old = await ask("/pieces", "1.0");
  match(old, /connection: close\r\n[^]*\r\n\r\none two three$/);
  ok(!old.includes("chunked"));
  const packed = await ask("/long", "1.1", "Accept-Encoding: gzip\r\n");
  match(packed, /content-encoding: gzip\r\n[^]*vary: Accept-Encoding\r\n/);
  const body = Uint8Array.from(packed.slice(packed.indexOf("\r\n\r\n") + 4), (char) => char.charCodeAt(0));
  equal(gunzipSync(body).toString(), "x".repeat(200_000));
  ok(!(await ask("/long", "1.1", "Accept-Encoding: gzip;q=0\r\n")).includes("gzip\r\n"));
});

Deno.test("no client is waited for without end: silent, half a head, half a body, byte by byte, idle, not reading", async () => {
  const huge: App = { fetch: () => new Response("x".repeat(64 << 20)) };
  await using served = server({ patience: IMPATIENT });
  await using generous = server({ patience: IMPATIENT }, huge);
  const post = `POST /b HTTP/1.1\r\n${HOST}Content-Length: 9\r\n\r\n`;
  const [silent, head, body, idle] = await Promise.all(
    ["", `GET / HTTP/1.1\r\nHo`, `${post}abc`, `GET / HTTP/1.1\r\n${HOST}\r\n`].map((text) =>
      exchange(served, text)
    ),
  );
  equal(silent, "");
  match(head!, /^HTTP\/1\.1 408 /);
  match(body!, /^HTTP\/1\.1 500 |^HTTP\/1\.1 408 /);
  match(idle!, /^HTTP\/1\.1 200 /);
  {
    using dripping = await Client.connect(served);
    await dripping.send("GET /");
    const rest = dripping.rest();
    let isOver = false;
    rest.finally(() => isOver = true);
    while (!isOver) await dripping.send("x").catch(() => {});
    match(await rest, /^(?:HTTP\/1\.1 4\d\d |$)/);
  }
  using deaf = await Client.connect(generous);
  await deaf.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await untilEqual(() => generous.fates.length, 1);
});

for (const scheme of ["http", "https"] as const) {
  Deno.test({
    name: `a client of ${scheme} that doesn't read loses its place after the time for writes`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const huge: App = { fetch: () => new Response("x".repeat(64 << 20)) };
      const { tls, caCerts } = await certificate();
      const limits = { maxConnections: 1, maxConnectionsPerClient: 1 };
      await using served = server({ patience: IMPATIENT, limits, ...(scheme === "https" && { tls }) }, huge);
      const { address } = served.served;
      using deaf = scheme === "https"
        ? await Deno.connectTls({ ...address, caCerts })
        : await Deno.connect(address);
      await deaf.write(new TextEncoder().encode(`GET / HTTP/1.1\r\n${HOST}\r\n`));
      await deaf.read(new Uint8Array(1)); // and so the answer is under way
      await untilEqual(() => served.served.connections, 0);
      deepEqual(served.logged, []);
    },
  });
}

Deno.test({
  name: "a client that never finishes its TLS handshake loses its place and its descriptor",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { tls } = await certificate();
    await using served = server({ patience: IMPATIENT, tls });
    using silent = await Client.connect(served);
    await untilEqual(() => served.fates.length, 1);
    equal(await silent.rest(), "");
    await untilEqual(() => served.served.connections, 0);
    deepEqual(served.logged, []);
  },
});

async function certificate() {
  const authority = await TestAuthority.create("api");
  return { tls: await authority.issue({ ipAddresses: ["127.0.0.1"] }), caCerts: [authority.cert] };
}

Deno.test("a client that goes away in the middle of its body, or before its answer, is no error", async () => {
  const aborted = Promise.withResolvers<void>();
  const app: App = {
    fetch: async (request, source) => {
      if (new URL(request.url).pathname === "/slow") {
        await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        aborted.resolve();
      }
      return await ECHO.fetch(request, source);
    },
  };
  await using served = server({}, {
    fetch: async (request, source) => {
      try {
        return await app.fetch(request, source);
      } catch {
        return new Response("broken", { status: 400 });
      }
    },
  });
  {
    using client = await Client.connect(served);
    await client.send(`POST /b HTTP/1.1\r\n${HOST}Content-Length: 9\r\n\r\nabc`);
  }
  {
    using client = await Client.connect(served);
    await client.send(`GET /slow HTTP/1.1\r\n${HOST}\r\n`);
  }
  await aborted.promise;
  await untilEqual(() => served.served.connections, 0);
  deepEqual(served.logged, []);
});

Deno.test("where all connections are taken the one that was idle for longest gives way, and busy ones don't", async () => {
  const busy = Promise.withResolvers<void>();
  const app: App = {
    fetch: async (request) => {
      if (request.url.endsWith("/busy")) await busy.promise;
      return new Response("ok");
    },
  };
  await using served = server({ limits: { maxConnections: 2, maxConnectionsPerClient: 2 } }, app);
  using first = await Client.connect(served);
  await first.send(`GET /busy HTTP/1.1\r\n${HOST}\r\n`);
  await untilEqual(() => served.fates.length, 1);
  using silent = await Client.connect(served);
  await untilEqual(() => served.fates.length, 2);
  using third = await Client.connect(served);
  await third.send(`GET /busy HTTP/1.1\r\n${HOST}\r\n`);
  equal(await silent.rest(), "");
  using fourth = await Client.connect(served);
  equal(await fourth.rest(), "");
  deepEqual(served.fates, ["accepted", "accepted", "evicted", "accepted", "refused"]);
  busy.resolve();
  match(await first.until(/ok$/), /200 OK/);
  match(await third.until(/ok$/), /200 OK/);
});

Deno.test("where all connections are busy one whose body doesn't come gives way", async () => {
  await using served = server({ limits: { maxConnections: 2, maxConnectionsPerClient: 2 } });
  // 100 is sent when the body is waited for; before, the connection is idle and would give way as such.
  const half = `POST /half HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 9\r\n\r\nabc`;
  using first = await Client.connect(served);
  await first.send(half);
  await first.until(/100 Continue/);
  using second = await Client.connect(served);
  await second.send(half);
  await second.until(/100 Continue/);
  using third = await Client.connect(served);
  await third.send(`GET /whole HTTP/1.1\r\n${HOST}\r\n`);
  match(await third.until(/whole/), /200 OK/);
  await first.rest();
  deepEqual(served.fates, ["accepted", "accepted", "evicted", "accepted"]);
});

Deno.test("a client with more than its share of the connections loses one, another its only one not", async () => {
  await using served = server({
    address: { hostname: "::", port: 0 },
    limits: { maxConnections: 3, maxConnectionsPerClient: 3 },
  });
  const ask = async (client: Client) => {
    await client.send(`GET /here HTTP/1.1\r\n${HOST}\r\n`);
    match(await client.until(/here/), /200 OK/);
  };
  using only = await Client.connect(served, "::1");
  await untilEqual(() => served.fates.length, 1);
  using busy = await Client.connect(served, "127.0.0.1");
  await untilEqual(() => served.fates.length, 2);
  using silent = await Client.connect(served, "127.0.0.1");
  await untilEqual(() => served.fates.length, 3);
  await ask(busy);
  using third = await Client.connect(served, "127.0.0.1");
  equal(await silent.rest(), "");
  for (const client of [only, busy, third]) await ask(client);
});

function bodiesOf(answers: string): string[] {
  return answers.split(/(?=HTTP\/1\.1 \d)/).map((answer) => answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

/** Waits for what the other side of a socket sees a moment later. */
async function untilEqual<Value>(get: () => Value, wanted: Value): Promise<void> {
  while (get() !== wanted) await new Promise<void>((resolve) => setTimeout(resolve, 1)); // Time is the subject: another side's.
}
