/**
 * Tests of `src/cli/query.ts` and its command line, against scripted servers on the loopback.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import dnsPacket from "dns-packet";
import { run } from "../../main.ts";
import { type QueryOptions, runQuery } from "../../src/dns_client.ts";
import { formatPrefix, parsePrefix } from "../../src/ip.ts";
import { decodeMessage, encodeQuery, type Message } from "../../src/wire/message.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { capturedTerminal } from "./captured_terminal.ts";

/** What a scripted server sends for a query, one datagram or segment each. */
type Script = (query: Message) => Uint8Array[];

/** Answers over UDP, and over TCP on the same port, until it is disposed. */
class ScriptedServer implements AsyncDisposable {
  readonly address: { readonly hostname: string; readonly port: number };
  readonly queries: Message[] = [];
  readonly #tcp: Deno.TcpListener;
  readonly #udp: Deno.DatagramConn;
  readonly #loops: Promise<void>[];

  constructor(
    { udp, tcp = () => [] }: { readonly udp: Script; readonly tcp?: Script },
    hostname = "127.0.0.1",
  ) {
    this.#tcp = Deno.listen({ hostname, port: 0 });
    const { port } = this.#tcp.addr;
    this.#udp = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.address = { hostname, port };
    this.#loops = [this.#serveUdp(udp), this.#serveTcp(tcp)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tcp.close();
    this.#udp.close();
    await Promise.all(this.#loops);
  }

  async #serveUdp(script: Script): Promise<void> {
    for await (const [bytes, client] of this.#udp) {
      for (const datagram of script(this.#note(bytes))) await this.#udp.send(datagram, client);
    }
  }

  async #serveTcp(script: Script): Promise<void> {
    for await (const connection of this.#tcp) {
      const bytes = new Uint8Array(600);
      const size = await connection.read(bytes);
      for (const segment of script(this.#note(bytes.subarray(2, size ?? 2)))) await connection.write(segment);
      connection.close();
    }
  }

  #note(bytes: Uint8Array): Message {
    const query = decodeMessage(bytes);
    this.queries.push(query);
    return query;
  }
}

interface Reply {
  readonly id?: number;
  readonly name?: string;
  readonly flags?: number;
  readonly address?: string;
}

/** A response with one A record, made by another program's encoder. */
function reply({ id, questions }: Message, change: Reply = {}): Uint8Array {
  const name = change.name ?? questions[0]!.name;
  return new Uint8Array(dnsPacket.encode({
    type: "response",
    id: change.id ?? id,
    flags: dnsPacket.AUTHORITATIVE_ANSWER | (change.flags ?? 0),
    questions: [{ type: "A", name }],
    answers: [{ type: "A", name, ttl: 30, data: change.address ?? "192.0.2.1" }],
  }));
}

function framed(message: Uint8Array): Uint8Array {
  return Uint8Array.of(message.length >> 8, message.length & 255, ...message);
}

function listenUdp(): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
}

function ask(server: ScriptedServer, options: Partial<QueryOptions> = {}): QueryOptions {
  return {
    server: server.address,
    name: "www.example.com",
    type: TYPE.A,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: 1232,
    timeoutMs: 5000,
    ...options,
  };
}

Deno.test("runQuery() asks over UDP and returns the answer", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query)] });
  const { message, bytes, transport, elapsedMs } = await runQuery(
    ask(server, { ecs: parsePrefix("192.0.2.0/24") }),
  );
  assert.deepEqual(message.answers.map(({ data }) => data), ["192.0.2.1"]);
  assert.deepEqual(decodeMessage(bytes), message);
  assert.equal(transport, "udp");
  assert.ok(elapsedMs >= 0);
  const [query] = server.queries;
  assert.deepEqual(query!.questions, [{ name: "www.example.com", type: TYPE.A, class: CLASS.IN }]);
  assert.equal(query!.edns!.udpSize, 1232);
  assert.equal(formatPrefix(query!.edns!.ecs!.prefix), "192.0.2.0/24");
});

Deno.test("runQuery() asks a server on IPv6", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query)] }, "::1");
  assert.equal((await runQuery(ask(server))).message.answers.length, 1);
});

Deno.test("runQuery() sends no OPT record for a UDP size of 0", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query)] });
  await runQuery(ask(server, { udpSize: 0 }));
  assert.equal(server.queries[0]!.edns, null);
});

Deno.test("runQuery() passes over datagrams that are no answer to its query", async () => {
  await using server = new ScriptedServer({
    udp: (query) => [
      new Uint8Array(3),
      reply(query, { id: query.id ^ 1, address: "192.0.2.66" }),
      reply(query, { name: "www.example.net", address: "192.0.2.66" }),
      encodeQuery({ id: query.id, name: "www.example.com", type: TYPE.A }),
      reply(query, { name: "WWW.example.com" }),
    ],
  });
  const { message } = await runQuery(ask(server));
  assert.deepEqual(message.answers.map(({ data }) => data), ["192.0.2.1"]);
});

Deno.test("runQuery() passes over an answer from another port than the one asked", async () => {
  using sockets = new DisposableStack();
  const stranger = sockets.adopt(listenUdp(), (socket) => socket.close());
  const front = sockets.adopt(listenUdp(), (socket) => socket.close());
  const { hostname, port } = front.addr as Deno.NetAddr;
  const answered = front.receive().then(async ([bytes, client]) => {
    const query = decodeMessage(bytes);
    await stranger.send(reply(query, { address: "192.0.2.66" }), client);
    await front.send(reply(query), client);
  });
  const options = {
    name: "a.b",
    type: TYPE.A,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: 0,
    timeoutMs: 5000,
  };
  const { message } = await runQuery({ ...options, server: { hostname, port } });
  await answered;
  assert.deepEqual(message.answers.map(({ data }) => data), ["192.0.2.1"]);
});

Deno.test("runQuery() takes an error without a question, but no data without one", async () => {
  const bare = (id: number, rcode: number) =>
    new Uint8Array([id >> 8, id & 255, 0x80, rcode, 0, 0, 0, 0, 0, 0, 0, 0]);
  await using server = new ScriptedServer({ udp: ({ id }) => [bare(id, 0), bare(id, 1)] });
  assert.equal((await runQuery(ask(server))).message.rcode, 1);
});

Deno.test("runQuery() asks again over TCP when the answer is truncated", async () => {
  await using server = new ScriptedServer({
    udp: (query) => [reply(query, { flags: dnsPacket.TRUNCATED_RESPONSE })],
    tcp: (query) => {
      const bytes = framed(reply(query, { address: "192.0.2.2" }));
      return [bytes.subarray(0, 1), bytes.subarray(1, 20), bytes.subarray(20)];
    },
  });
  const { message, transport } = await runQuery(ask(server));
  assert.equal(transport, "tcp");
  assert.deepEqual(message.answers.map(({ data }) => data), ["192.0.2.2"]);
  assert.equal(server.queries.length, 2);
});

Deno.test("runQuery() leaves UDP out when TCP is asked for", async () => {
  await using server = new ScriptedServer({ udp: () => [], tcp: (query) => [framed(reply(query))] });
  assert.equal((await runQuery(ask(server, { tcp: true }))).transport, "tcp");
});

Deno.test("runQuery() rejects with TimedOut when no answer comes, over UDP and over TCP", async () => {
  await using server = new ScriptedServer({ udp: () => [] });
  await assert.rejects(runQuery(ask(server, { timeoutMs: 20 })), Deno.errors.TimedOut);
  // The kernel accepts this connection; nobody ever reads from it.
  using deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = deaf.addr;
  const options = ask(server, { server: { hostname, port }, tcp: true, timeoutMs: 20 });
  await assert.rejects(runQuery(options), Deno.errors.TimedOut);
});

Deno.test("runQuery() rejects with SyntaxError when the answer is malformed, over TCP also when it is another's", async () => {
  await using server = new ScriptedServer({
    udp: (query) => [reply(query).subarray(0, 40)],
    tcp: (query) => [framed(reply(query, { name: "other.example" }))],
  });
  await assert.rejects(runQuery(ask(server)), SyntaxError);
  await assert.rejects(runQuery(ask(server, { tcp: true })), /something else/);
});

Deno.test("runQuery() rejects when the server closes the connection in mid-answer", async () => {
  await using server = new ScriptedServer({ udp: () => [], tcp: () => [Uint8Array.of(0, 30, 1, 2)] });
  await assert.rejects(runQuery(ask(server, { tcp: true })), Deno.errors.UnexpectedEof);
});

Deno.test("query prints what dig prints, whatever the order of its words", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query)] });
  const at = `@127.0.0.1:${server.address.port}`;
  for (
    const words of [["www.example.com", "A", at], [at, "a", "in", "www.example.com"], [
      "www.example.com.",
      at,
    ]]
  ) {
    const terminal = capturedTerminal();
    assert.equal(await run(["query", ...words], terminal), 0);
    assert.match(terminal.stdout(), /status: NOERROR, id: \d+\n;; flags: qr aa; QUERY: 1, ANSWER: 1/);
    assert.match(terminal.stdout(), /\n;; ANSWER SECTION:\nwww\.example\.com\.\t30\tIN\tA\t192\.0\.2\.1\n/);
    assert.match(
      terminal.stdout(),
      /\n;; Query time: \d+ msec\n;; SERVER: 127\.0\.0\.1#\d+ \(UDP\)\n;; MSG SIZE {2}rcvd: 64\n$/,
    );
    assert.equal(terminal.stderr(), "");
  }
});

Deno.test("query -o short prints the data alone, and -o json an object", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query)] });
  const words = ["query", "www.example.com", `@127.0.0.1:${server.address.port}`, "-o"];
  const short = capturedTerminal();
  assert.equal(await run([...words, "short"], short), 0);
  assert.equal(short.stdout(), "192.0.2.1\n");
  const json = capturedTerminal();
  assert.equal(await run([...words, "json"], json), 0);
  const { status, flags, answer, transport, size } = JSON.parse(json.stdout());
  assert.deepEqual({ status, flags, answer, transport, size }, {
    status: "NOERROR",
    flags: ["qr", "aa"],
    answer: [{ name: "www.example.com", ttl: 30, class: "IN", type: "A", data: "192.0.2.1" }],
    transport: "udp",
    size: 64,
  });
});

Deno.test("query says that it asked again over TCP", async () => {
  await using server = new ScriptedServer({
    udp: (query) => [reply(query, { flags: dnsPacket.TRUNCATED_RESPONSE })],
    tcp: (query) => [framed(reply(query))],
  });
  const terminal = capturedTerminal();
  await run(["query", "www.example.com", `@127.0.0.1:${server.address.port}`], terminal);
  assert.match(terminal.stdout(), /^;; Truncated over UDP, asked again over TCP\n/);
  assert.match(terminal.stdout(), /\(TCP\)/);
});

Deno.test("query ends with 0 for an answer of any rcode", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query, { flags: 5 })] });
  const terminal = capturedTerminal();
  assert.equal(await run(["query", "www.example.com", `@127.0.0.1:${server.address.port}`], terminal), 0);
  assert.match(terminal.stdout(), /status: REFUSED/);
});

Deno.test("query ends with 1 and one line when there is no answer", async () => {
  await using server = new ScriptedServer({ udp: () => [] });
  const terminal = capturedTerminal();
  const at = `@127.0.0.1:${server.address.port}`;
  assert.equal(await run(["query", "www.example.com", at, "--timeout", "20ms"], terminal), 1);
  assert.equal(
    terminal.stderr(),
    `error: No answer from 127.0.0.1:${server.address.port} within 20 ms; does the server run there?\n`,
  );
  assert.equal(terminal.stdout(), "");
});

Deno.test("query ends with 1 and one line when the server can't be reached", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const terminal = capturedTerminal();
  assert.equal(await run(["query", "www.example.com", `@127.0.0.1:${port}`, "--tcp"], terminal), 1);
  assert.match(terminal.stderr(), /^error: Cannot ask 127\.0\.0\.1:\d+: [^\n]*refused[^\n]*\n$/i);
});

Deno.test("a type or a class is the name when nothing else can be", async () => {
  await using server = new ScriptedServer({ udp: (query) => [reply(query)] });
  const at = `@127.0.0.1:${server.address.port}`;
  await run(["query", "mx", at, "--timeout", "50ms"], capturedTerminal());
  await run(["query", "ch", "a", at, "--timeout", "50ms"], capturedTerminal());
  assert.deepEqual(server.queries.map(({ questions }) => questions[0]), [
    { name: "mx", type: TYPE.A, class: CLASS.IN },
    { name: "ch", type: TYPE.A, class: CLASS.IN },
  ]);
});

const WRONG: ReadonlyArray<readonly [string, RegExp]> = [
  ["query", /missing required argument 'words'/],
  ["query @127.0.0.1", /which name\?/],
  ["query www.example.com AAA", /"AAA" is no record type, and www\.example\.com is the name already/],
  ["query www.example.com A MX", /two type words, A and MX; keep one/],
  ["query www.example.com @::1 @127.0.0.1", /two server words/],
  ["query a..b", /a label is empty/],
  ["query www.example.com @localhost", /write ADDRESS:PORT/],
  ["query www.example.com @127.0.0.1:70000", /port must be 0–65535/],
  ["query www.example.com +short", /"\+short" isn't known here; flags begin with --/],
  ["query www.example.com --ecs 192.0.2.1/24", /did you mean 192\.0\.2\.0\/24\?/],
  ["query www.example.com --ecs 192.0.2.0/24 --bufsize 0", /--ecs needs EDNS/],
  ["query www.example.com --bufsize 100", /must be 512–65535, or 0/],
  ["query www.example.com --timeout 2", /duration such as 250ms/],
  ["query www.example.com --timeout 0s", /from 1ms to 1h/],
  ["query www.example.com -o xml", /Allowed choices are text, json, short/],
  ["query www.example.com --udp", /unknown option '--udp'/],
];

for (const [line, expected] of WRONG) {
  Deno.test(`wrong usage is one line and exit code 2: ${line}`, async () => {
    const terminal = capturedTerminal();
    assert.equal(await run(line.split(" "), terminal), 2);
    assert.match(terminal.stderr(), expected);
    assert.match(terminal.stderr(), /^error: [^\n]+\n$/);
    assert.equal(terminal.stdout(), "");
  });
}

Deno.test("dns-packet reads the query that runQuery() sends", async () => {
  using sockets = new DisposableStack();
  const socket = sockets.adopt(listenUdp(), (socket) => socket.close());
  const { hostname, port } = socket.addr as Deno.NetAddr;
  const received = socket.receive();
  const options = {
    name: "a.b",
    type: TYPE.MX,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: 4096,
    timeoutMs: 20,
  };
  await assert.rejects(runQuery({ ...options, server: { hostname, port } }), Deno.errors.TimedOut);
  const packet = dnsPacket.decode(Buffer.from((await received)[0]));
  assert.deepEqual(packet.questions, [{ name: "a.b", type: "MX", class: "IN" }]);
});
