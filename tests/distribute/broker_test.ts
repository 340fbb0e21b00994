/**
 * What the connections of services leave behind when they end: nothing, whatever the server does meanwhile. Timers and
 * sockets that were left would fail these tests.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import type { NatsConnection } from "@nats-io/nats-core";
import { seededRng, systemClock } from "../../src/clock.ts";
import { Broker } from "../../src/distribute/broker.ts";
import { createLogger } from "../../src/telemetry/log.ts";

/** What a server does. */
interface Behaviour {
  /** Whether it says who it is. */
  readonly isGreeting: boolean;
  /** How many pings it answers; the first one is that of the connecting. */
  readonly pongs: number;
  /** Whether it closes the connection after its last pong. */
  readonly closes: boolean;
}

/** A server on loopback that behaves so; on which connection it is told. */
class Server implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.TcpConn>();
  readonly #serving: Promise<void>;
  /** Pings of all connections. */
  pings = 0;
  /** What was published, on all connections. */
  readonly said: string[] = [];
  connections = 0;

  constructor(behaviour: Behaviour) {
    this.#serving = this.#accept(behaviour);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#listener.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) this.#end(connection);
    await this.#serving;
  }

  async #accept(behaviour: Behaviour): Promise<void> {
    const under: Promise<void>[] = [];
    try {
      for await (const connection of this.#listener) {
        this.connections++;
        this.#open.add(connection);
        under.push(this.#serve(connection, behaviour).catch(() => {}).finally(() => this.#end(connection)));
      }
    } finally {
      await Promise.all(under);
    }
  }

  async #serve(connection: Deno.TcpConn, { isGreeting, pongs, closes }: Behaviour): Promise<void> {
    const say = (text: string) => connection.write(new TextEncoder().encode(text));
    if (isGreeting) await say('INFO {"version":"2.15.0","proto":1,"max_payload":1048576,"headers":true}\r\n');
    let answered = 0;
    let text = "";
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const size = await connection.read(buffer);
      if (size === null) return;
      text += new TextDecoder().decode(buffer.subarray(0, size));
      this.said.push(...[...text.matchAll(/PUB \S+ \d+\r\n(.*?)\r\n/g)].map(([, payload]) => payload!));
      text = text.replaceAll(/PUB \S+ \d+\r\n.*?\r\n/g, "");
      for (let at = text.indexOf("PING\r\n"); at >= 0; at = text.indexOf("PING\r\n")) {
        text = text.slice(at + 6);
        this.pings++;
        if (answered < pongs) await say("PONG\r\n");
        if (++answered === pongs && closes) return;
      }
    }
  }

  #end(connection: Deno.TcpConn): void {
    if (this.#open.delete(connection)) connection.close();
  }
}

/** A broker with pings every 20 ms, of that server; what it hears is not of interest. */
function brokerOf(
  { url }: Server,
  onConnect: (connection: NatsConnection, broker: Broker) => void = () => {},
): Broker {
  const broker = new Broker(
    {
      terms: {
        ...{ servers: [url], name: "test", inboxPrefix: "_INBOX_test", pingIntervalMs: 20 },
        tls: { ca: null, client: null, handshakeFirst: false },
        auth: { user: null, password: null, token: null, nkeySeed: null, creds: null },
      },
      ...{ clock: systemClock, rng: seededRng(1) },
      log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
    },
    [{ subject: "zone.modified", hear: () => {} }],
    (connection) => onConnect(connection, broker),
  );
  return broker;
}

const reached = async (isReached: () => boolean) => {
  while (!isReached()) await new Promise((resolve) => setTimeout(resolve, 2)); // Time is the subject: another side's.
};

const ROWS: readonly (readonly [
  what: string,
  behaviour: Behaviour,
  until: (server: Server, broker: Broker) => boolean,
])[] = [
  [
    "while it connects to a server that says nothing",
    { isGreeting: false, pongs: 0, closes: false },
    ({ connections }) => connections > 0,
  ],
  [
    "while a server doesn't let it in",
    { isGreeting: true, pongs: 0, closes: false },
    ({ pings }) => pings > 0,
  ],
  [
    "when a server has let it in and closed, again and again",
    { isGreeting: true, pongs: 1, closes: true },
    ({ connections }) => connections > 1,
  ],
  [
    "while its subscriptions aren't taken yet",
    { isGreeting: true, pongs: 1, closes: false },
    ({ pings }) => pings > 1,
  ],
  [
    "when it is in, and pings are answered",
    { isGreeting: true, pongs: Infinity, closes: false },
    ({ pings }, { isConnected }) => isConnected && pings > 4,
  ],
  [
    "while a server is silent, and what is to be said last isn't taken",
    { isGreeting: true, pongs: 4, closes: false },
    ({ pings }, { isConnected }) => isConnected && pings > 4,
  ],
  [
    "when a server has become silent and was given up",
    { isGreeting: true, pongs: 4, closes: false },
    ({ connections }) => connections > 1,
  ],
];

Deno.test("a connection of a service that ends leaves nothing behind, whatever the server does", async () => {
  // At the same time: to be let in is waited for as long as five seconds.
  await Promise.all(ROWS.map(async ([what, behaviour, until]) => {
    await using server = new Server(behaviour);
    const broker = brokerOf(server);
    await reached(() => until(server, broker));
    await broker[Symbol.asyncDispose]();
    equal(broker.isConnected, false, what);
    const { connections } = server;
    await new Promise((resolve) => setTimeout(resolve)); // Time is the subject: a turn in which it might connect again.
    equal(server.connections, connections, what);
  }));
});

Deno.test("on a connection that has just closed nothing is asked, and what is said waits for the next one", async () => {
  await using server = new Server({ isGreeting: true, pongs: Infinity, closes: false });
  const asked = Promise.withResolvers<boolean>();
  let connections = 0;
  await using _broker = brokerOf(server, (connection, broker) => {
    if (++connections > 1) return;
    // Before its session has ended.
    connection.closed().then(() => {
      const terms = { timeoutMs: 60_000, isWhole: () => true, signal: new AbortController().signal };
      broker.publish("zone.add", new TextEncoder().encode("waits"));
      broker.publishNow("zone.add", new TextEncoder().encode("is dropped"));
      asked.resolve(broker.request("zonestate", new Uint8Array(0), terms));
    }).catch(asked.reject);
    void connection.close();
  });
  equal(await asked.promise, false);
  await reached(() => server.said.length > 0);
  deepEqual(server.said, ["waits"]);
});
