/**
 * The client of PowerDNS's API against a server that says exactly what it is told to.
 *
 * @module
 */
import { deepEqual, rejects } from "node:assert/strict";
import { PowerDns, PowerDnsError } from "../../src/distribute/powerdns.ts";
import { makeAuthority, makeServer } from "../../src/tls/certificate.ts";

/** Answers each connection with the next of these and ends it; keeps what was asked. */
class Server implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;

  constructor(listener: Deno.Listener, answers: readonly string[]) {
    this.#listener = listener;
    this.#serving = this.#serve(answers);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving.catch(() => {}); // it waits for a connection
  }

  async #serve(answers: readonly string[]): Promise<void> {
    for (const answer of answers) {
      using conn = await this.#listener.accept();
      const buffer = new Uint8Array(4_096);
      const size = await conn.read(buffer) ?? 0;
      this.asked.push(new TextDecoder().decode(buffer.subarray(0, size)));
      await conn.write(new TextEncoder().encode(answer));
    }
  }
}

const ZONE = '{"name":"A.test.","kind":"Slave","serial":7,"masters":["127.0.0.1:20102"],"last_check":5}';
const read = { name: "a.test.", kind: "Slave", serial: 7, dnssec: false, lastCheck: 5 };
const framed = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
const plain = (...answers: string[]) => new Server(Deno.listen({ hostname: "127.0.0.1", port: 0 }), answers);
const clientOf = (url: string, onCall?: (what: string, isDone: boolean) => void) =>
  new PowerDns({ url, apiToken: "key-of-the-api", serverId: "localhost" }, onCall);

Deno.test("an answer is taken whether it has a length, comes in chunks or ends with its connection", async () => {
  const chunked = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${
    ZONE.length.toString(16)
  }\r\n${ZONE}\r\n0\r\n\r\n`;
  await using server = plain(
    framed("200 OK", ZONE),
    `HTTP/1.1 100 Continue\r\n\r\n${chunked}`,
    `HTTP/1.1 200 OK\r\n\r\n${ZONE}`,
  );
  const client = clientOf(`http://localhost:${server.port}/behind/`);
  for (let i = 0; i < 3; i++) {
    deepEqual(await client.zone("a.test."), { ...read, masters: ["127.0.0.1:20102"] });
  }
  const [first = ""] = server.asked;
  deepEqual(first.split("\r\n").slice(0, 3), [
    "GET /behind/api/v1/servers/localhost/zones/a.test.?rrsets=false HTTP/1.1",
    `Host: localhost:${server.port}`,
    "X-API-Key: key-of-the-api",
  ]);
});

Deno.test("a refusal says its status and its reason, and none is where nothing is asked for", async () => {
  const calls: unknown[] = [];
  await using server = plain(
    framed("422 Unprocessable Entity", '{"error":"not a slave domain"}'),
    framed("401 Unauthorized", "Unauthorized"),
    framed("404 Not Found", "Not Found"),
    framed("302 Found", ""),
    "HTTP/1.1 204 No Content\r\n\r\n",
  );
  const client = clientOf(`http://127.0.0.1:${server.port}`, (what, isDone) => calls.push([what, isDone]));
  await rejects(client.retrieve("a.test."), {
    name: "PowerDnsError",
    status: 422,
    message: /: not a slave domain$/,
  });
  await rejects(client.retrieve("a.test."), { status: 401, message: /: Unauthorized$/ });
  deepEqual(await client.zone("a.test."), null);
  await rejects(client.flush("a.test."), { status: 302 });
  await client.deleteZone("a.test.");
  deepEqual(calls, [
    ["axfr_retrieve", false],
    ["axfr_retrieve", false],
    ["get_zone", true],
    ["flush_cache", false],
    ["delete_zone", true],
  ]);
});

Deno.test("an answer that is cut is none, and neither is what isn't HTTP, or nothing at all", async () => {
  const list = `[${ZONE}]`;
  let client: PowerDns;
  {
    await using server = plain(
      `HTTP/1.1 200 OK\r\nContent-Length: ${list.length + 1}\r\n\r\n${list}`,
      "SSH-2.0-OpenSSH_9.2\r\n\r\n",
      "",
    );
    client = clientOf(`http://127.0.0.1:${server.port}`);
    for (let i = 0; i < 3; i++) await rejects(client.zones(), { name: "PowerDnsError", status: null });
  }
  await rejects(client.zones(), PowerDnsError);
});

Deno.test("an API with a certificate of nobody that is known isn't spoken to", async () => {
  const validity = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
  const authority = { ...await makeAuthority("Authority of a test", validity), name: "Authority of a test" };
  const { cert, key } = await makeServer("127.0.0.1", { authority, validity });
  await using server = new Server(Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }), [
    framed("200 OK", ZONE),
  ]);
  await rejects(clientOf(`https://127.0.0.1:${server.port}`).zone("a.test."), {
    name: "PowerDnsError",
    message: /UnknownIssuer|certificate/,
  });
  deepEqual(server.asked, []);
});
