/**
 * HTTP at a unix socket: what stands in its place, and clients that are slow, many, or without end.
 *
 * @module
 */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import type { App, Patience } from "../../src/api/http_connection.ts";
import { type ConnectionFate, PATIENCE } from "../../src/api/server.ts";
import { UNIX_CONNECTIONS_MAX, UnixServer } from "../../src/api/unix_server.ts";
import { systemClock } from "../../src/clock.ts";
import { raiseDescriptorLimit } from "../../src/node/descriptors.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { testWith } from "../programs.ts";

const ECHO: App = {
  fetch: async (request) => new Response(String((await request.arrayBuffer()).byteLength)),
};
/** Short enough for a test. */
const IMPATIENT: Patience = { headMs: 150, idleMs: 150, body: { stallMs: 150, sumMs: 300 }, writeMs: 150 };

/** A folder, and servers in it. */
class Place implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "pleiades-socket-" });
  readonly fates: ConnectionFate[] = [];
  readonly logged: string[] = [];
  readonly #servers = new AsyncDisposableStack();

  get path(): string {
    return `${this.folder}/s.sock`;
  }

  serve(patience: Patience = PATIENCE): UnixServer {
    return this.#servers.use(
      new UnixServer({
        ...{ path: this.path, app: ECHO, patience, clock: systemClock },
        log: createLogger({
          ...{ level: "info", format: "json", clock: systemClock },
          write: (line) => this.logged.push(line),
        }),
        observe: (fate) => this.fates.push(fate),
      }),
    );
  }

  connect(): Promise<Deno.UnixConn> {
    return Deno.connect({ transport: "unix", path: this.path });
  }

  /** What comes back for a text until the server ends the connection. */
  async exchange(text: string): Promise<string> {
    using connection = await this.connect();
    await send(connection, text);
    return await rest(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#servers[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function send(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

async function rest(connection: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(4096);
  for (;;) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) return text;
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
}

const ASK = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const IGNORED = Deno.build.os === "windows";

Deno.test({
  name:
    "a socket that a killed process has left is replaced; whatever else is in its place stays, and is named",
  ignore: IGNORED,
  fn: async () => {
    await using place = new Place();
    const { path } = place;
    const foreign: readonly (readonly [make: () => void, at: string])[] = [
      [() => Deno.writeTextFileSync(path, "theirs"), path],
      [() => Deno.mkdirSync(path), path],
      [() => Deno.symlinkSync("nowhere", path), path],
      [() => new Deno.Command("mkfifo", { args: [path] }).outputSync(), path],
      [() => {
        Deno.mkdirSync(`${path}.d`);
        Deno.writeTextFileSync(`${path}.d/s`, "theirs");
      }, `${path}.d`],
    ];
    for (const [make, at] of foreign) {
      make();
      const before = Deno.lstatSync(at);
      throws(
        () => place.serve(),
        /Cannot listen at the socket .*s\.sock: something else is (?:there|at .*\.d)/,
      );
      equal(Deno.lstatSync(at).ino, before.ino);
      Deno.removeSync(at, { recursive: true });
    }
    // As kill -9 leaves them: no one listens, the one in its place, the other not yet.
    for (const left of [path, `${path}.d/s`]) {
      if (left !== path) Deno.mkdirSync(`${path}.d`);
      const gone = Deno.listen({ transport: "unix", path: `${place.folder}/gone` });
      Deno.linkSync(`${place.folder}/gone`, left);
      gone.close();
    }
    place.serve();
    match(await place.exchange(ASK), /^HTTP\/1\.1 200 /);
    deepEqual([...Deno.readDirSync(place.folder)].map(({ name }) => name), ["s.sock"]);
    equal(Deno.statSync(path).mode! & 0o777, 0o600);
  },
});

Deno.test({
  name: "five thousand silent connections are cut to the most that there may be, and others are answered",
  ignore: IGNORED,
  fn: async () => {
    const silent = 5_000;
    raiseDescriptorLimit(); // this process holds the other ends
    await using place = new Place();
    const server = place.serve();
    using connections = new DisposableStack();
    for (let i = 0; i < silent; i++) connections.use(await place.connect());
    match(await place.exchange(ASK), /^HTTP\/1\.1 200 /);
    ok(server.connections <= UNIX_CONNECTIONS_MAX);
    const { accepted, evicted } = Object.groupBy(place.fates, (fate) => fate);
    equal(accepted?.length, silent + 1);
    equal(evicted?.length, silent + 1 - UNIX_CONNECTIONS_MAX);
    deepEqual(place.logged, []);
  },
});

Deno.test({
  name: "heads and bodies that don't end or don't come are refused, and others are answered meanwhile",
  ignore: IGNORED,
  fn: async () => {
    await using place = new Place();
    place.serve(IMPATIENT);
    const begun = "PUT / HTTP/1.1\r\nHost: localhost\r\n";
    using slow = await place.connect();
    await send(slow, `${begun}Content-Length: 100000000\r\n\r\n{`);
    using silent = await place.connect();
    await send(silent, "PUT / HT");
    match(await place.exchange(ASK), /^HTTP\/1\.1 200 /);
    match(await place.exchange(`${begun}X: ${"x".repeat(100_000)}`), /^HTTP\/1\.1 431 /);
    match(await rest(silent), /^HTTP\/1\.1 408 /);
    match(await rest(slow), /^HTTP\/1\.1 500 /, "the application has heard of it");
    match(await place.exchange(ASK), /^HTTP\/1\.1 200 /);
  },
});

testWith(["setpriv", "curl"], "another user can't connect", async () => {
  await using place = new Place();
  place.serve();
  Deno.chmodSync(place.folder, 0o755);
  const ask = async (...as: string[]) => {
    const [program = "", ...args] = [...as, "curl", "-sf", "--unix-socket", place.path, "http://localhost/"];
    return (await new Deno.Command(program, { args, stderr: "null" }).output()).code;
  };
  equal(await ask(), 0);
  if (Deno.uid() !== 0) return;
  // "Couldn't connect", as curl says.
  equal(await ask("setpriv", "--reuid=65534", "--clear-groups"), 7);
});
