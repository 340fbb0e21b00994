/**
 * A balancer on this thread: real sockets, and a clock that stands still until a test moves it.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { Forwarder } from "../../src/front/forwarder.ts";
import { type FrontEvent, frontLog } from "../../src/front/front_log.ts";
import { Relay, RELAY_BACKLOG } from "../../src/front/relay.ts";
import { BatchSockets } from "../../src/sockets/batch_socket.ts";
import { StreamSockets } from "../../src/sockets/stream_sockets.ts";
import { parseIp } from "../../src/ip.ts";
import { ManualClock } from "../clock.ts";
import { freePort } from "../free_port.ts";

/** A forwarder and a relay that share a port and turn for as long as they live. */
export class ManualFront implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly directory = Deno.makeTempDirSync({ prefix: "front-" });
  readonly events: FrontEvent[] = [];
  readonly forwarder: Forwarder;
  readonly relay: Relay;
  readonly port: number;
  /** Descriptors of connections for which there was something to do in the last turn. */
  readyStreams = 0;
  readonly #resources = new DisposableStack();
  readonly #turning: Promise<void>;
  #isOver = false;

  constructor(hostname = "127.0.0.1") {
    const resources = this.#resources;
    const sockets = resources.use(new StreamSockets());
    const poller = resources.use(sockets.poller());
    const streams = resources.use(sockets.poller());
    const { fd: listener, port } = listenAlone(sockets, hostname);
    resources.defer(() => sockets.close(listener));
    const batches = resources.use(new BatchSockets());
    const socket = resources.use(
      batches.bind({ hostname, port }, { reusePort: false, receiveMax: 2048, sendMax: 1500 }),
    );
    this.port = port;
    const log = frontLog("trace", (event) => this.events.push(event));
    const { clock } = this;
    this.forwarder = resources.use(
      new Forwarder({ socket, address: parseIp(hostname)!, sockets, poller, log, seed: 1, clock }),
    );
    this.relay = resources.use(
      new Relay({
        ...{ sockets, poller: streams, listener, log, clock },
        ask: (connection, address) => {
          const backend = this.forwarder.chooseForStream(address);
          this.relay.direct(connection, backend && { id: backend.id, path: backend.path });
        },
        onSilent: (backend) => this.forwarder.onSilentStream(backend),
      }),
    );
    this.#turning = this.#turn(
      () => this.forwarder.serve(poller.nap(0)),
      () => this.readyStreams = this.relay.serve(streams.nap(0)),
    );
  }

  /** Where a backend of this name listens. */
  path(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** Looks into the directory, and does what is due at once. */
  async discover(): Promise<void> {
    this.forwarder.discover(this.directory, [...Deno.readDirSync(this.directory)].map(({ name }) => name));
    await this.seconds(1);
  }

  /** Lets time go by, a tick a second. */
  async seconds(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.clock.advance(1_000);
      await this.turns(3);
    }
  }

  /** Lets the balancer turn. */
  async turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve));
  }

  /** Turns until something is so. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.turns(1);
  }

  /** The backend with this number. */
  backend(id: number) {
    return this.forwarder.backends.byId(id)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#turning;
    this.#resources.dispose();
    Deno.removeSync(this.directory, { recursive: true });
  }

  async #turn(...serve: readonly (() => unknown)[]): Promise<void> {
    while (!this.#isOver) {
      for (const each of serve) each();
      await this.turns(1);
    }
  }
}

/** A client at an address of its own. */
export class UdpClient implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.NetAddr;

  constructor(port: number, hostname = "127.0.0.1", to = "127.0.0.1") {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.#to = { transport: "udp", hostname: to, port };
  }

  /** As a frame has it: low byte first, 4 bytes. */
  get portHex(): string {
    const { port } = this.#socket.addr as Deno.NetAddr;
    return new Uint8Array(new Uint32Array([port]).buffer).toHex();
  }

  async send(hex: string): Promise<void> {
    await this.#socket.send(Uint8Array.fromHex(hex), this.#to);
  }

  async receive(): Promise<string> {
    return (await this.#socket.receive())[0].toHex();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** At a port that no other test's datagrams get meanwhile. */
function listenAlone(sockets: StreamSockets, hostname: string): ReturnType<StreamSockets["listenTcp"]> {
  for (;;) {
    try {
      return sockets.listenTcp({ hostname, port: freePort() }, RELAY_BACKLOG);
    } catch (error) {
      // Another test may have found it as well.
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
