/**
 * The probe against real sockets: what is healthy, and what is said about what isn't.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { seededRng, systemClock } from "../../src/clock.ts";
import { type CheckTarget, checkTargetOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../../src/model/model.ts";
import { createProbe, parseStatusSet, statusMatches } from "../../src/health/probe.ts";
import { HealthChecker } from "../../src/health/health_checker.ts";
import type { ProbeResult } from "../../src/health/verdict.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Backend, type Behaviour, closedPort, readRequest, responding, send, silent } from "./backend.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const MIB = 1024 * 1024;

Deno.test("a TCP check succeeds when the port opens, and closes it again", async () => {
  const closed = Promise.withResolvers<void>();
  await using backend = new Backend(async (connection) => {
    await silent(connection);
    closed.resolve();
  });
  const result = await probe(backend.port, { type: "tcp" });
  assert.ok(result.ok && result.latencyMs > 0 && result.latencyMs < 60_000, JSON.stringify(result));
  await closed.promise;
});

Deno.test("a refused connection is said so", async () => {
  const port = closedPort();
  for (const type of ["tcp", "http", "https"] as const) {
    assert.deepEqual(await probe(port, { type }), { ok: false, error: "connection refused" });
  }
  const insecure = await probe(port, { type: "https", insecureSkipVerify: true });
  assert.deepEqual(insecure, { ok: false, error: "connection refused" });
});

Deno.test("the request names host, path, method and user agent, and asks for no other connection", async () => {
  const requests: string[] = [];
  await using backend = new Backend(async (connection) => {
    requests.push(await readRequest(connection));
    await send(connection, `${OK}\r\n`);
  });
  await probe(backend.port, { httpPath: "/healthz?deep=1", httpHost: "www.example.org" });
  await probe(backend.port, { httpMethod: "POST" });
  assert.deepEqual(requests[0]!.split("\r\n"), [
    "GET /healthz?deep=1 HTTP/1.1",
    "Host: www.example.org",
    "User-Agent: pleiades-health/1.2.3",
    "Accept: */*",
    "Accept-Encoding: identity",
    "Connection: close",
    "",
    "",
  ]);
  assert.match(requests[1]!, new RegExp(`^POST / HTTP/1\\.1\r\nHost: 127\\.0\\.0\\.1:${backend.port}\r\n`));
  assert.match(requests[1]!, /\r\nContent-Length: 0\r\n/);
});

/** What the backend sends → what the probe says; `null` = healthy. */
const RESPONSES: [
  name: string,
  pieces: (string | Uint8Array)[],
  check: Partial<HealthCheck>,
  error: string | null,
][] = [
  ["a plain 200", [`${OK}Content-Length: 2\r\n\r\nok`], {}, null],
  ["a status without a reason", ["HTTP/1.1 204\r\n\r\n"], {}, null],
  ["HTTP/1.0", ["HTTP/1.0 200 OK\r\n\r\n"], {}, null],
  [
    "line feeds without carriage returns",
    ["HTTP/1.1 200 OK\nX: y\n\nready"],
    { httpContains: "ready" },
    null,
  ],
  ["a head in small pieces", [..."HTTP/1.1 200 OK\r\nX: y\r\n\r\n"], {}, null],
  ["a redirect counts by its status", ["HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"], {}, null],
  ["503", ["HTTP/1.1 503 No\r\n\r\n"], {}, "status 503, expected 200-399"],
  [
    "302 where 200 is expected",
    ["HTTP/1.1 302 Found\r\n\r\n"],
    { httpExpectedStatus: "200,204" },
    "status 302, expected 200,204",
  ],
  ["100 Continue before the answer", ["HTTP/1.1 100 Continue\r\n\r\n", `${OK}\r\n`], {}, null],
  [
    "103 twice before the answer",
    ["HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(2) + "HTTP/1.1 500 No\r\n\r\n"],
    {},
    "status 500, expected 200-399",
  ],
  ["101 is final", ["HTTP/1.1 101 Switching Protocols\r\n\r\n"], {}, "status 101, expected 200-399"],
  [
    "a garbage status line",
    ["SSH-2.0-OpenSSH_9.2p1\r\n"],
    {},
    'not an HTTP response: "SSH-2.0-OpenSSH_9.2p1"',
  ],
  ["a long garbage line", [`${"x".repeat(100)}\n`], {}, `not an HTTP response: "${"x".repeat(40)}…"`],
  ["control characters in garbage", ["\x1b[2J\x00\x80\n"], {}, 'not an HTTP response: "?[2J???"'],
  ["a status out of range", ["HTTP/1.1 999 Odd\r\n\r\n"], {}, 'not an HTTP response: "HTTP/1.1 999 Odd"'],
  ["HTTP/2 without TLS", ["HTTP/2 200\r\n\r\n"], {}, 'not an HTTP response: "HTTP/2 200"'],
  ["nothing", [], {}, "connection closed before the end of the response head"],
  [
    "half a head",
    ["HTTP/1.1 200 OK\r\nX: y\r\n"],
    {},
    "connection closed before the end of the response head",
  ],
  ["one huge header", [OK, `X: ${"y".repeat(70_000)}\r\n\r\n`], {}, "response head is longer than 64 KiB"],
  ["many headers", [OK, "X: y\r\n".repeat(12_000), "\r\n"], {}, "response head is longer than 64 KiB"],
  [
    "endless interim responses",
    ["HTTP/1.1 100 Continue\r\n\r\n".repeat(3_000)],
    {},
    "response head is longer than 64 KiB",
  ],
  ["a body with the text", [`${OK}Content-Length: 9\r\n\r\nall is ok`], { httpContains: "is ok" }, null],
  [
    "a body without it",
    [`${OK}Content-Length: 4\r\n\r\ndown`],
    { httpContains: "ok" },
    'body does not contain "ok"',
  ],
  [
    "the status is judged before the body",
    ["HTTP/1.1 500 No\r\n\r\nok"],
    { httpContains: "ok" },
    "status 500, expected 200-399",
  ],
  [
    "the text beyond Content-Length",
    [`${OK}Content-Length: 4\r\n\r\ndownok`],
    { httpContains: "ok" },
    'body does not contain "ok"',
  ],
  [
    "a body that ends with the connection",
    [`${OK}\r\n`, "it is ", "ready"],
    { httpContains: "is ready" },
    null,
  ],
  ["the text split over pieces", [`${OK}\r\n`, "re", "a", "dy"], { httpContains: "ready" }, null],
  ["a text that begins twice", [`${OK}\r\n`, "rere", "ady"], { httpContains: "ready" }, null],
  ["UTF-8 split inside a character", [`${OK}\r\n`, Uint8Array.of(0xc3), Uint8Array.of(0xa9)], {
    httpContains: "é",
  }, null],
  ["chunks", [`${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2;x=y\r\ndy\r\n0\r\n\r\n`], {
    httpContains: "ready",
  }, null],
  ["chunk sizes are not part of the body", [`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`], {
    httpContains: "2",
  }, 'body does not contain "2"'],
  [
    "chunked wins over Content-Length",
    [`${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n`],
    { httpContains: "ready" },
    null,
  ],
  [
    "a bad chunk size",
    [`${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    { httpContains: "x" },
    'bad chunk size: "zz"',
  ],
  ["an endless chunk line", [`${OK}Transfer-Encoding: chunked\r\n\r\n`, "1".repeat(5_000)], {
    httpContains: "x",
  }, `bad chunk size: "${"1".repeat(40)}…"`],
  [
    "chunks cut short",
    [`${OK}Transfer-Encoding: chunked\r\n\r\n9\r\nrea`],
    { httpContains: "ready" },
    'body does not contain "ready"',
  ],
  ["a bad Content-Length", [`${OK}Content-Length: -1\r\n\r\n`], {}, 'bad Content-Length: "-1"'],
  [
    "the text at the end of the first MiB",
    [`${OK}\r\n`, body(MIB, "ok", MIB - 2)],
    { httpContains: "ok" },
    null,
  ],
  ["a 10 MB body, the text behind the first MiB", [`${OK}\r\n`, body(10 * MIB, "ok", MIB - 1)], {
    httpContains: "ok",
  }, 'first 1 MiB of the body does not contain "ok"'],
  [
    "HEAD has no body",
    [`${OK}Content-Length: 2\r\n\r\nok`],
    { httpMethod: "HEAD", httpContains: "ok" },
    'body does not contain "ok"',
  ],
  [
    "a 10 MB body that nobody looks at",
    [`${OK}Content-Length: ${10 * MIB}\r\n\r\n`, body(10 * MIB, "ok", 0)],
    {},
    null,
  ],
];

for (const [name, pieces, check, error] of RESPONSES) {
  Deno.test(`an HTTP check judges ${name}`, async () => {
    await using backend = new Backend(responding(...pieces));
    assert.equal(errorOf(await probe(backend.port, check)), error);
  });
}

Deno.test("a reset connection is said so", async () => {
  // The kernel resets what waits to be accepted when a listener is closed. The second connection is there once
  // the first, which was begun before it, is there too.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const run = probe(listener.addr.port, {});
  using _second = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  listener.close();
  assert.equal(errorOf(await run), "connection reset");
});

Deno.test("the connection is made to the member's address, whatever httpHost says", async () => {
  await using backend = new Backend(responding(`${OK}\r\n`));
  assert.equal(errorOf(await probe(backend.port, { httpHost: "no-such-host.invalid" })), null);
  assert.equal(backend.accepted, 1);
});

const HANGS: [name: string, behaviour: Behaviour][] = [
  ["before the head", silent],
  ["inside the head", async (connection) => {
    await send(connection, "HTTP/1.1 200 OK\r\nX:");
    await silent(connection);
  }],
  ["inside the body", async (connection) => {
    await send(connection, `${OK}Content-Length: 5\r\n\r\nre`);
    await silent(connection);
  }],
];

for (const [name, behaviour] of HANGS) {
  Deno.test(`a backend that hangs ${name} is a time-out, and its connection is closed`, async () => {
    const gone = Promise.withResolvers<void>();
    await using backend = new Backend(async (connection) => {
      await behaviour(connection).finally(gone.resolve);
    });
    assert.equal(await verdictError(backend.port, { httpContains: "ready" }), "timeout after 100 ms");
    await gone.promise;
  });
}

Deno.test("a body that drips is a time-out, however lively it is", async () => {
  await using backend = new Backend(async (connection) => {
    await send(connection, `${OK}\r\n`);
    for (;;) {
      await send(connection, "x");
      // Time is the subject: without the pause the body would soon be longer than what is read of it.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  assert.equal(await verdictError(backend.port, { httpContains: "ready" }), "timeout after 100 ms");
});

Deno.test("a TLS handshake that hangs is a time-out, verified or not", async () => {
  for (const insecureSkipVerify of [false, true]) {
    await using backend = new Backend(silent);
    const error = await verdictError(backend.port, { type: "https", insecureSkipVerify });
    assert.equal(error, "timeout after 100 ms");
  }
});

Deno.test({
  name: "a TLS handshake that hangs leaves no file descriptor open, though the backend never lets go",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const script = fileURLToPath(new URL("hung_handshakes.ts", import.meta.url));
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", script],
      signal: AbortSignal.timeout(120_000),
    }).output();
    assert.ok(success, `a descriptor was never let go ${new TextDecoder().decode(stderr)}`);
  },
});

Deno.test({
  name: "a probe that this process has no descriptors for blames no target, and keeps none of them",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const script = fileURLToPath(new URL("no_descriptors.ts", import.meta.url));
    const { success, stderr } = await new Deno.Command("prlimit", {
      args: ["--nofile=80:80", Deno.execPath(), "run", "-A", "--no-check", script],
      signal: AbortSignal.timeout(120_000),
    }).output();
    const said = new TextDecoder().decode(stderr);
    // Newer run times break down by themselves where there are so few descriptors (ext/signals, seen with 2.9.6).
    assert.ok(success || said.includes("Deno has panicked"), said);
  },
});

Deno.test("a probe ends soon when it is aborted before or while it runs", async () => {
  const accepted = Promise.withResolvers<void>();
  await using backend = new Backend((connection) => {
    accepted.resolve();
    return silent(connection);
  });
  const controller = new AbortController();
  const run = probe(backend.port, {}, controller.signal);
  await accepted.promise;
  controller.abort();
  assert.deepEqual(await run, { ok: false, error: "probe was stopped" });
  assert.deepEqual(await probe(backend.port, {}, controller.signal), {
    ok: false,
    error: "probe was stopped",
  });
});

Deno.test("statusMatches() takes codes and ranges", () => {
  const set = parseStatusSet("200, 204,300-399");
  for (
    const [status, matches] of [[200, true], [201, false], [204, true], [300, true], [399, true], [
      400,
      false,
    ]]
  ) {
    assert.equal(statusMatches(set, status as number), matches, String(status));
  }
  assert.throws(() => parseStatusSet("2xx"), /Cannot parse status "2xx"/);
});

function target(port: number, check: Partial<HealthCheck>): CheckTarget {
  const complete: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, type: "http", timeoutMs: 100, ...check };
  return checkTargetOf({ ipAddress: "127.0.0.1", port }, complete);
}

/** Probes once, without a time-out of its own. */
async function probe(
  port: number,
  check: Partial<HealthCheck>,
  signal: AbortSignal = new AbortController().signal,
): Promise<ProbeResult> {
  return await createProbe({ version: "1.2.3", clock: systemClock, caCerts: [] })(
    target(port, check),
    signal,
  );
}

function errorOf(result: ProbeResult): string | null {
  return result.ok ? null : result.error;
}

/** What a real checker says after its first round. */
async function verdictError(port: number, check: Partial<HealthCheck>): Promise<string | null> {
  await using checker = new HealthChecker({
    clock: systemClock,
    rng: seededRng(1),
    probe: createProbe({ version: "1.2.3", clock: systemClock, caCerts: [] }),
    log: createLogger({ level: "error", format: "text", clock: systemClock, write: () => {} }),
    onVerdicts: () => {},
  });
  const it = target(port, check);
  checker.use([it]);
  await checker.firstRound(AbortSignal.timeout(60_000));
  return checker.verdict(it.key).lastError;
}

/** A body of `x`, with the text at the offset. */
function body(size: number, text: string, offset: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(0x78);
  bytes.set(new TextEncoder().encode(text), offset);
  return bytes;
}
