/**
 * How `pleiades serve` starts, fails to start, and ends: through a real process and its signals.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { pause } from "../clock.ts";
import { TestAuthority } from "../health/certificates.ts";
import { pleiades, type ServeOptions, ServeProcess } from "../serve_process.ts";

/** What a start that fails says on its last line, and its exit code; one that hangs is killed by the disposal. */
async function failedStart(options: ServeOptions): Promise<{ code: number; message: string }> {
  await using node = ServeProcess.spawn(options);
  const { code } = await node.ended();
  const line = node.lines.at(-1) ?? "";
  return { code, message: line.startsWith("{") ? JSON.parse(line).message : line };
}

/** A folder of its own, gone at the end. */
async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "pleiades-serve-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

const MEMORY = ["--db", ":memory:"];

Deno.test("a start whose API port is taken ends with exit code 1 and says which flag chooses another", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  deepEqual(await failedStart({ args: [...MEMORY, "--api", `127.0.0.1:${port}`] }), {
    code: 1,
    message: `Cannot listen on 127.0.0.1:${port}: the port is taken (see who holds it: ` +
      `ss -ltnp 'sport = :${port}'; or choose another with --api ADDR:PORT)`,
  });
});

Deno.test("a start whose metrics port is taken ends likewise and names the key", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using folder = await temporaryFolder();
  const { port } = taken.addr;
  const file = `${folder.path}/pleiades.yaml`;
  await Deno.writeTextFile(file, `metrics: { listenAddr: 127.0.0.1, port: ${port} }\n`);
  deepEqual(await failedStart({ args: [...MEMORY, "-c", file] }), {
    code: 1,
    message: `Cannot listen on 127.0.0.1:${port}: the port is taken (see who holds it: ` +
      `ss -ltnp 'sport = :${port}'; or choose another with metrics.port)`,
  });
});

Deno.test("a file of api.tls that isn't PEM, or a key of another certificate, fails validate and start alike", async () => {
  await using folder = await temporaryFolder();
  const authority = await TestAuthority.create("api");
  const [own, other] = [
    await authority.issue({ ipAddresses: ["127.0.0.1"] }),
    await authority.issue({ ipAddresses: ["127.0.0.1"] }),
  ];
  const file = `${folder.path}/pleiades.yaml`;
  await Deno.writeTextFile(file, "api:\n  tls:\n    certFile: api.crt\n    keyFile: api.key\n");
  for (
    const [cert, key, expected] of [
      ["nonsense", own.key, /:3:15: api\.crt is no PEM certificate/],
      [own.cert, "nonsense", /:4:14: api\.key is no PEM private key/],
      [own.cert, other.key, /:4:14: api\.key is not the key of the certificate/],
      [
        own.cert.replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA"),
        own.key,
        /:3:15: api\.crt holds a certificate/,
      ],
    ] as const
  ) {
    await Deno.writeTextFile(`${folder.path}/api.crt`, cert);
    await Deno.writeTextFile(`${folder.path}/api.key`, key);
    const { code, message } = await failedStart({ args: [...MEMORY, "-c", file] });
    equal(code, 1);
    match(message, expected);
    const validated = await pleiades(["config", "validate", file], { stdout: "piped" }).output();
    equal(validated.code, 1);
    match(new TextDecoder().decode(validated.stdout), expected);
  }
});

Deno.test("an address that isn't one is wrong usage: exit code 2", async () => {
  for (const flag of ["--dns", "--api"]) {
    const { code, message } = await failedStart({ args: [...MEMORY, flag, "foo"] });
    equal(code, 2);
    match(message, new RegExp(`^${flag}: .*foo`));
  }
});

Deno.test("SIGHUP while a node starts doesn't end it, and is honoured when it has started", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/pleiades.yaml`;
  await Deno.writeTextFile(file, "log: { level: debug }\n");
  await using node = ServeProcess.spawn({ args: [...MEMORY, "-c", file] });
  await untilSignalsAreHeard(node);
  node.kill("SIGHUP");
  await node.ready();
  await node.line((line) => line.includes("Reloaded the settings"));
});

Deno.test("a reload that is refused is counted, and keys that wait for a start are named", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/pleiades.yaml`;
  await Deno.writeTextFile(file, "dns: { ttl: 30 }\n");
  await using node = await ServeProcess.start({ args: [...MEMORY, "-c", file] });
  await Deno.writeTextFile(file, "dns: { tll: 30 }\n");
  node.kill("SIGHUP");
  await node.line((line) => line.includes("Not reloaded"));
  const metrics = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
  match(metrics, /pleiades_config_reloads_total\{[^}]*result="error"[^}]*\} 1/);
  await Deno.writeTextFile(file, "dns: { ttl: 30, ecs: { enabled: false } }\nqueryLog: { sample: 7 }\n");
  node.kill("SIGHUP");
  match(
    await node.line((line) => line.includes("next start only")),
    /"keys":\["dns.ecs.enabled","queryLog.sample"\]/,
  );
});

Deno.test("SIGTERM while a node starts ends it in good order", async () => {
  await using node = ServeProcess.spawn({ args: MEMORY });
  await untilSignalsAreHeard(node);
  node.kill("SIGTERM");
  deepEqual(await node.ended(), { success: true, code: 0, signal: null });
});

Deno.test("a second SIGTERM or SIGINT ends a node at once, whatever it waits for", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using node = await ServeProcess.start({ args: MEMORY });
    // A request whose body doesn't come keeps the API from stopping for a while.
    using client = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(node.api).port) });
    await client.write(
      new TextEncoder().encode(
        "POST /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
          "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
      ),
    );
    await client.read(new Uint8Array(100));
    const stopping = node.line((line) => line.includes('"Stopping"'));
    node.kill("SIGTERM");
    await stopping;
    node.kill(signal);
    equal((await node.ended()).signal, signal);
    ok(!node.lines.some((line) => line.includes('"Stopped"')), "the second signal came after the end");
  }
});

Deno.test("SIGUSR1 and SIGUSR2 change nothing", async () => {
  await using node = await ServeProcess.start({ args: MEMORY, env: { PLEIADES_LOG_LEVEL: "debug" } });
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
    const heard = node.line((line) => line.includes("Ignored a signal") && line.includes(signal));
    node.kill(signal);
    await heard;
  }
  equal((await (await fetch(`${node.api}/health`)).json()).status, "ok");
});

Deno.test("the service manager hears of the start, of a reload and of the end", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/notify`;
  const manager = Deno.listenDatagram({ transport: "unixpacket", path });
  const told = async () => new TextDecoder().decode((await manager.receive())[0]);
  try {
    await using node = ServeProcess.spawn({ args: MEMORY, env: { NOTIFY_SOCKET: path } });
    match(await told(), /^READY=1\nSTATUS=Answering on 127\.0\.0\.1:\d+$/);
    node.kill("SIGHUP");
    deepEqual([await told(), await told()], ["RELOADING=1", "READY=1"]);
    node.kill("SIGTERM");
    equal(await Promise.race([told(), node.ended().then(() => "nothing")]), "STOPPING=1");
    equal((await node.ended()).code, 0);
  } finally {
    manager.close();
  }
});

Deno.test("what is lacking is said at the start, each with what to do about it", async () => {
  await using node = await ServeProcess.start({ args: ["--db", "none"] });
  node.kill("SIGTERM");
  await node.ended();
  const hints = node.lines.flatMap((line) => /"message":"Hint: ([^"]+)"/.exec(line)?.[1] ?? []);
  deepEqual(
    hints.map((hint) => /^nothing is served|tokens create|dns\.port|database\.path: none/.exec(hint)?.[0]),
    [
      "nothing is served",
      "tokens create",
      "dns.port",
      "database.path: none",
    ],
  );
});

Deno.test("a pipe in the place of any file is refused, or passed over, instead of waited for", async () => {
  await using folder = await temporaryFolder();
  const pipe = `${folder.path}/pipe`;
  equal((await new Deno.Command("mkfifo", { args: [pipe] }).output()).code, 0);
  const file = `${folder.path}/pleiades.yaml`;
  equal((await failedStart({ args: [...MEMORY, "-c", pipe] })).code, 1);
  for (
    const text of [
      "geoip: { database: pipe }",
      "mapFile: { path: pipe }",
      "dns: { zones: [ { domain: example.org, file: pipe } ] }",
      "api: { tls: { certFile: pipe, keyFile: pipe } }",
      "database: { path: pipe }",
    ]
  ) {
    await Deno.writeTextFile(file, `${text}\n`);
    const { code, message } = await failedStart({ args: ["-c", file] });
    equal(code, 1, text);
    match(message, /it is no regular file/, text);
  }
});

Deno.test("a damaged database is named, with what to do about it", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/node.db`;
  {
    await using node = await ServeProcess.start({ args: ["--db", path] });
    const response = await fetch(`${node.api}/apply`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pools: [{ name: "web", members: [{ ipAddress: "192.0.2.1", port: 443 }] }] }),
    });
    equal(response.status, 200, await response.text());
    node.kill("SIGTERM");
    await node.ended();
  }
  {
    using database = new DatabaseSync(path);
    database.exec("UPDATE members SET ip_address = 'nonsense'");
  }
  const { code, message } = await failedStart({ args: ["--db", path] });
  equal(code, 1);
  match(
    message,
    /^Cannot start from the database \S+node\.db, which seems to be damaged: .*pleiades restore COPY --db/,
  );
});

Deno.test("a database with a damaged page is named on one line, with what to do about it", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/node.db`;
  {
    await using node = await ServeProcess.start({ args: ["--db", path] });
    node.kill("SIGTERM");
    await node.ended();
  }
  {
    using file = await Deno.open(path, { write: true });
    const { size } = await file.stat();
    // Behind the header of the file, which would make it no database at all.
    await file.seek(DATABASE_HEADER_SIZE, Deno.SeekMode.Start);
    await file.write(new Uint8Array(size - DATABASE_HEADER_SIZE).fill(0xff));
  }
  await using node = ServeProcess.spawn({ args: ["--db", path] });
  equal((await node.ended()).code, 1);
  const said = node.lines.filter((line) => line.includes(path));
  equal(said.length, 1, node.lines.join("\n"));
  match(said[0]!, /damaged: .*pleiades restore COPY --db/);
});

/** <https://www.sqlite.org/fileformat.html> §1.3 */
const DATABASE_HEADER_SIZE = 100;

Deno.test("SIGHUP with a pipe in the place of the settings changes nothing, and nothing waits", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/pleiades.yaml`;
  await Deno.writeTextFile(file, "dns: { ttl: 30 }\n");
  await using node = await ServeProcess.start({ args: [...MEMORY, "-c", file] });
  await Deno.remove(file);
  equal((await new Deno.Command("mkfifo", { args: [file] }).output()).code, 0);
  node.kill("SIGHUP");
  match(await node.line((line) => line.includes("Not reloaded")), /it is no regular file/);
  equal((await (await fetch(`${node.api}/health`)).json()).status, "ok");
  node.kill("SIGTERM");
  equal((await node.ended()).code, 0);
});

for (const command of ["validate", "apply"]) {
  Deno.test(`config ${command} refuses a pipe, alone or among the files of a model, and doesn't wait for it`, async () => {
    await using folder = await temporaryFolder();
    const pipe = `${folder.path}/model.yaml`;
    equal((await new Deno.Command("mkfifo", { args: [pipe] }).output()).code, 0);
    for (const path of [folder.path, pipe]) {
      const { code, stdout, stderr } = await pleiades(["config", command, path], { stdout: "piped" })
        .output();
      equal(code, 1);
      match(new TextDecoder().decode(new Uint8Array([...stdout, ...stderr])), /it is no regular file/);
    }
  });
}

/** SIGUSR2 is the last that a process begins to hear; the kernel says so, bit by bit, in SigCgt (`proc(5)`). */
async function untilSignalsAreHeard({ pid }: ServeProcess): Promise<void> {
  const bit = 1n << BigInt(SIGUSR2 - 1);
  for (;;) {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1];
    if ((BigInt(`0x${caught ?? "0"}`) & bit) !== 0n) return;
    await pause();
  }
}

/** Its number, `signal(7)`. */
const SIGUSR2 = 12;
