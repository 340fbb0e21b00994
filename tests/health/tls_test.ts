/**
 * HTTPS checks against real TLS servers with good and wrong certificates.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../../src/model/model.ts";
import { createProbe } from "../../src/health/probe.ts";
import { Backend, closedPort, responding, send } from "./backend.ts";
import { type CertificateRequest, type Identity, selfSigned, TestAuthority } from "./certificates.ts";

const READY = responding("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready");
const HOST = "www.example.org";
const DAY_MS = 86_400_000;

const authority = await TestAuthority.create("Test authority");
const stranger = await TestAuthority.create("Stranger");
const impostor = await TestAuthority.create("Test authority");

const issued = (request: CertificateRequest) => authority.issue(request);

/** The server's certificate → what a verifying check says of it; without verification all are fine. */
const CERTIFICATES: [
  name: string,
  identify: () => Promise<Identity>,
  httpHost: string | null,
  error: string | null,
][] = [
  ["a good certificate", () => issued({ dnsNames: [HOST] }), HOST, null],
  ["a wildcard", () => issued({ dnsNames: ["*.example.org"] }), HOST, null],
  ["a good one for httpHost with a port", () => issued({ dnsNames: [HOST] }), `${HOST}:8443`, null],
  ["a good one for the address", () => issued({ ipAddresses: ["127.0.0.1"] }), null, null],
  [
    "an expired one",
    () => issued({ dnsNames: [HOST], notBefore: daysFromNow(-60), notAfter: daysFromNow(-30) }),
    HOST,
    "certificate expired",
  ],
  [
    "one that isn't valid yet",
    () => issued({ dnsNames: [HOST], notBefore: daysFromNow(30), notAfter: daysFromNow(60) }),
    HOST,
    "certificate is not valid yet",
  ],
  [
    "one with a wrong name",
    () => issued({ dnsNames: ["other.example"] }),
    HOST,
    "certificate is for other.example, not www.example.org",
  ],
  [
    "one with many wrong names",
    () => issued({ dnsNames: ["a.example", "b.example", "c.example", "d.example"] }),
    HOST,
    "certificate is for a.example, b.example, c.example, …, not www.example.org",
  ],
  [
    "one for a name where the address is asked for",
    () => issued({ dnsNames: [HOST] }),
    null,
    "certificate is for www.example.org, not 127.0.0.1",
  ],
  ["one without names", () => issued({}), HOST, "certificate names no host, not even www.example.org"],
  [
    "a self-signed one",
    () => selfSigned({ dnsNames: [HOST] }),
    HOST,
    "certificate is not signed by a trusted authority",
  ],
  [
    "one of an authority of the same name with another key",
    () => impostor.issue({ dnsNames: [HOST] }),
    HOST,
    "certificate is not signed by a trusted authority",
  ],
  [
    "one of an unknown authority",
    () => stranger.issue({ dnsNames: [HOST] }),
    HOST,
    "certificate is not signed by a trusted authority",
  ],
];

for (const [name, identify, httpHost, error] of CERTIFICATES) {
  Deno.test(`an HTTPS check judges ${name}`, async () => {
    await using backend = new Backend(READY, await identify());
    assert.equal(await complaint(backend.port, { httpHost, httpContains: "ready" }), error);
  });

  Deno.test(`insecureSkipVerify accepts ${name}`, async () => {
    await using backend = new Backend(READY, await identify());
    const check = { httpHost, httpContains: "ready", insecureSkipVerify: true };
    assert.equal(await complaint(backend.port, check), null);
  });
}

for (const insecureSkipVerify of [false, true]) {
  const how = insecureSkipVerify ? "without" : "with";

  Deno.test(`${how} verification the status and the body are judged as over plain HTTP`, async () => {
    const identity = await issued({ dnsNames: [HOST] });
    await using down = new Backend(responding("HTTP/1.1 503 No\r\n\r\n"), identity);
    await using big = new Backend(responding("HTTP/1.1 200 OK\r\n\r\n", new Uint8Array(3_000_000)), identity);
    const check = { httpHost: HOST, insecureSkipVerify };
    assert.equal(await complaint(down.port, check), "status 503, expected 200-399");
    const error = await complaint(big.port, { ...check, httpContains: "ok" });
    assert.equal(error, 'first 1 MiB of the body does not contain "ok"');
  });

  Deno.test(`${how} verification a server that doesn't speak TLS is said so`, async () => {
    await using backend = new Backend(async (connection) => {
      await connection.read(new Uint8Array(1024));
      await send(connection, "HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    const error = await complaint(backend.port, { httpHost: HOST, insecureSkipVerify });
    assert.equal(error, "the server does not speak TLS");
  });

  Deno.test(`${how} verification a connection closed in the handshake is said so`, async () => {
    await using backend = new Backend(async (connection) => void await connection.read(new Uint8Array(1024)));
    const error = await complaint(backend.port, { httpHost: HOST, insecureSkipVerify });
    assert.equal(error, "connection closed");
  });

  Deno.test(`${how} verification a connection closed after the handshake is said so`, async () => {
    await using backend = new Backend(responding(), await issued({ dnsNames: [HOST] }));
    const error = await complaint(backend.port, { httpHost: HOST, insecureSkipVerify });
    assert.match(error!, /^connection closed/);
  });

  Deno.test(`${how} verification a refused connection is said so`, async () => {
    const error = await complaint(closedPort(), { httpHost: HOST, insecureSkipVerify });
    assert.equal(error, "connection refused");
  });
}

const ENDINGS: [name: string, pieces: (string | Uint8Array)[]][] = [
  ["in one write", ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"]],
  ["in two writes", ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "ready"]],
  ["without a length", ["HTTP/1.1 200 OK\r\n\r\nready"]],
  ["longer than any buffer", ["HTTP/1.1 200 OK\r\n\r\n", new Uint8Array(1_000_000), "ready"]],
];
for (const [name, pieces] of ENDINGS) {
  for (const insecureSkipVerify of [false, true]) {
    const how = insecureSkipVerify ? "without" : "with";
    Deno.test(`${how} verification a response ${name} counts, though TCP ends without TLS's goodbye`, async () => {
      await using backend = new Backend(responding(...pieces), await issued({ dnsNames: [HOST] }));
      await using rude = new WithoutGoodbye(backend.port);
      for (const httpContains of ["ready", null]) {
        const check = { httpHost: HOST, httpContains, insecureSkipVerify };
        for (let round = 0; round < 3; round++) assert.equal(await complaint(rude.port, check), null);
      }
      // A probe that looks for nothing doesn't wait for the end.
      assert.ok(rude.swallowed >= 3, `${rude.swallowed} goodbyes swallowed`);
    });
  }
}

Deno.test("without verification what is missing from a response that is cut off is said", async () => {
  await using backend = new Backend(
    responding("HTTP/1.1 200 OK\r\n\r\nrea"),
    await issued({ dnsNames: [HOST] }),
  );
  await using rude = new WithoutGoodbye(backend.port);
  const check = { httpHost: HOST, httpContains: "ready", insecureSkipVerify: true };
  assert.equal(await complaint(rude.port, check), 'body does not contain "ready"');
});

Deno.test("httpHost is sent as SNI, verified or not, and an address is not", async () => {
  const identity = await issued({ dnsNames: [HOST], ipAddresses: ["127.0.0.1"] });
  for (const insecureSkipVerify of [false, true]) {
    assert.equal(await serverNameSent({ httpHost: HOST, insecureSkipVerify }), HOST);
    assert.equal(await serverNameSent({ httpHost: null, insecureSkipVerify }), null);
  }
  assert.ok(identity.cert.startsWith("-----BEGIN"));
});

/** Stands before a TLS backend and closes TCP where the backend says close_notify (RFC 8446 §6.1). */
class WithoutGoodbye implements AsyncDisposable {
  readonly #front: Backend;
  readonly #asking: Promise<void>[] = [];
  swallowed = 0;

  constructor(port: number) {
    this.#front = new Backend(async (client) => {
      using server = await Deno.connect({ hostname: "127.0.0.1", port });
      this.#asking.push(copy(client, server));
      await this.#passRecords(server, client);
    });
  }

  get port(): number {
    return this.#front.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#front[Symbol.asyncDispose]();
    await Promise.all(this.#asking);
  }

  async #passRecords(server: Deno.Conn, client: Deno.Conn): Promise<void> {
    let held = new Uint8Array(0);
    const buffer = new Uint8Array(65_536);
    for (let size = await server.read(buffer); size !== null; size = await server.read(buffer)) {
      held = Uint8Array.of(...held, ...buffer.subarray(0, size));
      let end = 0;
      for (let next = 0; next + 5 <= held.length;) {
        next += 5 + (held[next + 3]! << 8 | held[next + 4]!);
        if (next <= held.length && !isGoodbye(held.subarray(end, next))) end = next;
        else break;
      }
      await send(client, held.slice(0, end));
      held = held.slice(end);
    }
    if (isGoodbye(held)) this.swallowed++;
    else await send(client, held);
  }
}

async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
      await send(to, buffer.subarray(0, size));
    }
  } catch {
    // Either end is closed when the response is over.
  }
}

/** An alert in TLS 1.3 looks like data: 2 bytes, its type and 16 bytes that authenticate them. */
function isGoodbye(record: Uint8Array): boolean {
  return record[0] === 0x17 && record.length === 5 + 2 + 1 + 16;
}

/** What the client's first message says about the server's name: RFC 6066 §3. */
async function serverNameSent(check: Partial<HealthCheck>): Promise<string | null> {
  let hello = "";
  await using backend = new Backend(async (connection) => {
    const buffer = new Uint8Array(4096);
    const size = await connection.read(buffer) ?? 0;
    hello = String.fromCharCode(...buffer.subarray(0, size));
  });
  await complaint(backend.port, check);
  assert.equal(hello.charCodeAt(0), 0x16, "a TLS handshake record");
  return hello.includes(HOST) ? HOST : /127\.0\.0\.1|localhost/.exec(hello)?.[0] ?? null;
}

Deno.test("an httpHost that TLS can't ask for is said so, before anything is sent", async () => {
  await using backend = new Backend(READY);
  for (const httpHost of ["a..b", "-a.example", ".", `${"x".repeat(64)}.example`]) {
    for (const insecureSkipVerify of [false, true]) {
      const error = await complaint(backend.port, { httpHost, insecureSkipVerify });
      assert.equal(error, `"${httpHost}" isn't a host name that TLS can ask for; fix httpHost`);
    }
  }
  assert.equal(backend.accepted, 0);
});

Deno.test("a backend that finished its handshake is probed without the relay, until it hangs", async () => {
  const identity = await issued({ dnsNames: [HOST] });
  await using backend = new Backend(READY, identity);
  const probe = createProbe({ version: "1.2.3", clock: systemClock, caCerts: [authority.cert] });
  const check: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, type: "https", httpHost: HOST };
  const target = checkTargetOf({ ipAddress: "127.0.0.1", port: backend.port }, check);
  for (let round = 0; round < 3; round++) {
    const result = await probe(target, new AbortController().signal);
    assert.ok(result.ok, JSON.stringify(result));
  }
  const aborted = await probe(target, AbortSignal.abort());
  assert.deepEqual(aborted, { ok: false, error: "probe was stopped" });
  assert.ok((await probe(target, new AbortController().signal)).ok);
});

async function complaint(port: number, check: Partial<HealthCheck>): Promise<string | null> {
  const probe = createProbe({ version: "1.2.3", clock: systemClock, caCerts: [authority.cert] });
  const complete: HealthCheck = { ...HEALTH_CHECK_DEFAULTS, type: "https", ...check };
  const target = checkTargetOf({ ipAddress: "127.0.0.1", port }, complete);
  const result = await probe(target, new AbortController().signal);
  return result.ok ? null : result.error;
}

function daysFromNow(days: number): Date {
  return new Date(Date.now() + days * DAY_MS);
}
