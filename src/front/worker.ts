/**
 * A thread of the balancer: one forwards datagrams and knows backends and clients, the other relays connections and asks the
 * first for each connection's backend. Messages in: `FrontOrder`; out: `FrontReport`; between the two: `StreamQuestion` and
 * `StreamAnswer`.
 *
 * @module
 */
import { systemClock, systemRng } from "../clock.ts";
import { parseIp, type SocketAddress } from "../ip.ts";
import { BatchSockets } from "../sockets/batch_socket.ts";
import { turnUntil } from "../sockets/polling.ts";
import { takeShortSlices } from "../sockets/scheduling.ts";
import { type Poller, StreamSockets } from "../sockets/stream_sockets.ts";
import { FEATURE } from "../wire/balancer_frames.ts";
import { type ForwardCounts, Forwarder } from "./forwarder.ts";
import { type FrontEvent, type FrontLevel, frontLog } from "./front_log.ts";
import { Relay, RELAY_BACKLOG, type RelayCounts, type StreamTarget } from "./relay.ts";
import type { RemoteRow } from "./remotes.ts";

/** What a thread does. */
export type FrontDuty = "udp" | "tcp";

/** To a thread. */
export type FrontOrder =
  | {
    readonly kind: "start";
    readonly duty: FrontDuty;
    /** Port 0 = any free one. */
    readonly address: SocketAddress;
    readonly level: FrontLevel;
    /** To the other thread. */
    readonly peer: MessagePort;
  }
  /** UDP only: what is in the directory. */
  | { readonly kind: "names"; readonly directory: string; readonly names: readonly string[] }
  /** What has happened; UDP: and a part of the clients. */
  | { readonly kind: "report"; readonly from: number; readonly most: number }
  | { readonly kind: "stop" };

/** From a thread. */
export type FrontReport =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "failed"; readonly message: string; readonly isTaken: boolean }
  | { readonly kind: "log"; readonly event: FrontEvent }
  | { readonly kind: "udp"; readonly state: UdpState }
  | { readonly kind: "tcp"; readonly counts: RelayCounts }
  | { readonly kind: "stopped" };

/** What the UDP thread knows. */
export interface UdpState {
  /** Its clock, which the times of clients are of. */
  readonly nowMs: number;
  /** What has happened; with the datagrams that the system dropped. */
  readonly counts: ForwardCounts & { readonly overflowed: number };
  /** Of the table of clients. */
  readonly clients: {
    readonly count: number;
    readonly expired: number;
    readonly rebalanced: number;
    readonly unrecorded: number;
  };
  /** In the order of ids. */
  readonly backends: readonly BackendRow[];
  /** A part of the clients. */
  readonly remotes: readonly RemoteRow[];
}

/** One backend. */
export interface BackendRow {
  /** Its number. */
  readonly id: number;
  /** Its socket. */
  readonly path: string;
  /** Whether it takes datagrams. */
  readonly ok: boolean;
  /** Whether its socket is gone. */
  readonly removed: boolean;
  /** Bits of `FEATURE` that it has announced. */
  readonly features: number;
  /** Clients that belong to it. */
  readonly remotes: number;
  /** Sessions begun. */
  readonly connected: number;
  /** Sessions and tries that failed. */
  readonly faults: number;
  /** Datagrams handed over. */
  readonly udp: number;
  /** Datagrams that came back. */
  readonly answered: number;
  /** Connections handed over. */
  readonly tcp: number;
  /** Datagrams dropped while it didn't read. */
  readonly stuck: number;
  /** Datagrams that another one was asked when its sessions ended. */
  readonly moved: number;
  /** Datagrams lost with its sessions. */
  readonly lost: number;
  /** Datagrams that it hasn't answered for so long that they are forgotten. */
  readonly forgotten: number;
  /** Datagrams handed over and not answered yet. */
  readonly inFlight: number;
  /** Timers that run, by name: milliseconds until they are due. */
  readonly timers: Readonly<Record<string, number>>;
}

/** From the relay to the forwarder. */
export type StreamQuestion =
  | { readonly kind: "choose"; readonly connection: number; readonly address: Uint8Array }
  | { readonly kind: "silent"; readonly backend: number };

/** From the forwarder to the relay. */
export interface StreamAnswer {
  /** Which connection it is about. */
  readonly connection: number;
  /** Where it goes; `null` = nowhere. */
  readonly target: StreamTarget | null;
}

/** Most bytes of a datagram that is looked at: a byte more than is forwarded would do. */
const RECEIVE_MAX = 2048;
/** Most bytes of a datagram that is sent. */
const SEND_MAX = 1500;
/** A slice of the thread that forwards datagrams, as that of a DNS worker. */
const UDP_SLICE_NS = 300_000;

interface WorkerScope {
  onmessage: ((event: MessageEvent<FrontOrder>) => void) | null;
  postMessage(report: FrontReport): void;
  close(): void;
}
const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data: order }) => {
  if (order.kind === "start") void start(order);
  else if (order.kind === "stop") end();
};

function end(): void {
  scope.postMessage({ kind: "stopped" });
  scope.close();
}

async function start(order: FrontOrder & { readonly kind: "start" }): Promise<void> {
  const stopping = new AbortController();
  try {
    using resources = new DisposableStack();
    const sockets = resources.use(new StreamSockets());
    const poller = resources.use(sockets.poller());
    const served = order.duty === "udp"
      ? startForwarding(order, { sockets, poller, resources })
      : startRelaying(order, { sockets, poller, resources });
    scope.onmessage = ({ data }) => {
      if (data.kind === "stop") stopping.abort();
      else served.obey(data);
    };
    scope.postMessage({ kind: "listening", port: served.port });
    await turnUntil(stopping.signal, poller, (ready) => {
      served.serve(ready);
      return false;
    });
    order.peer.close();
  } catch (error) {
    if (stopping.signal.aborted) throw error;
    const message = error instanceof Error ? error.message : String(error);
    scope.postMessage({ kind: "failed", message, isTaken: error instanceof Deno.errors.AddrInUse });
  }
  end();
}

/** What a thread serves. */
interface Served {
  readonly port: number;
  serve(ready: number): void;
  obey(order: FrontOrder): void;
}

interface Ground {
  readonly sockets: StreamSockets;
  readonly poller: Poller;
  readonly resources: DisposableStack;
}

function startForwarding(
  { address, level, peer }: FrontOrder & { readonly kind: "start" },
  { sockets, poller, resources }: Ground,
): Served {
  takeShortSlices(UDP_SLICE_NS);
  const batches = resources.use(new BatchSockets());
  const socket = resources.use(
    batches.bind(address, { reusePort: false, receiveMax: RECEIVE_MAX, sendMax: SEND_MAX }),
  );
  const log = frontLog(level, (event) => scope.postMessage({ kind: "log", event }));
  const forwarder = resources.use(
    new Forwarder({
      ...{ socket, address: parseIp(address.hostname)!, sockets, poller, log },
      ...{ seed: systemRng(), clock: systemClock },
    }),
  );
  peer.onmessage = ({ data }: MessageEvent<StreamQuestion>) => {
    if (data.kind === "silent") return forwarder.onSilentStream(data.backend);
    const backend = forwarder.chooseForStream(data.address);
    const target = backend && { id: backend.id, path: backend.path };
    peer.postMessage({ connection: data.connection, target } satisfies StreamAnswer);
  };
  return {
    port: socket.port,
    serve: (ready) => void forwarder.serve(ready),
    obey: (order) => {
      if (order.kind === "names") forwarder.discover(order.directory, order.names);
      else if (order.kind === "report") scope.postMessage({ kind: "udp", state: stateOf(forwarder, order) });
    },
  };
}

function startRelaying(
  { address, level, peer }: FrontOrder & { readonly kind: "start" },
  { sockets, poller, resources }: Ground,
): Served {
  const { fd: listener, port } = sockets.listenTcp(address, RELAY_BACKLOG);
  resources.defer(() => sockets.close(listener));
  const log = frontLog(level, (event) => scope.postMessage({ kind: "log", event }));
  const relay = resources.use(
    new Relay({
      ...{ sockets, poller, listener, log, clock: systemClock },
      ask: (connection, address) =>
        peer.postMessage({ kind: "choose", connection, address } satisfies StreamQuestion),
      onSilent: (backend) => peer.postMessage({ kind: "silent", backend } satisfies StreamQuestion),
    }),
  );
  peer.onmessage = ({ data }: MessageEvent<StreamAnswer>) => relay.direct(data.connection, data.target);
  return {
    port,
    serve: (ready) => void relay.serve(ready),
    obey: (order) => {
      if (order.kind === "report") scope.postMessage({ kind: "tcp", counts: { ...relay.counts } });
    },
  };
}

function stateOf(
  { counts, overflowed, remotes, affinity, backends }: Forwarder,
  { from, most }: { readonly from: number; readonly most: number },
): UdpState {
  const nowMs = performance.now();
  const { expired, rebalanced, unrecorded } = affinity;
  return {
    nowMs,
    counts: { ...counts, overflowed },
    clients: { count: remotes.count, expired, rebalanced, unrecorded },
    backends: backends.all.map((backend) => {
      const { id, path, ok, removed, features, connected, faults, session } = backend;
      const { udp, answered, tcp, stuck, moved, lost } = backend;
      const timers = {
        connect: backend.connectAtMs,
        hello: backend.helloByMs,
        heartbeat: backend.beatAtMs,
        heartbeatAnswer: backend.beatByMs,
      };
      return {
        ...{ id, path, ok, removed, features: features & (FEATURE.address16 | FEATURE.going) },
        ...{ remotes: backend.remotes, connected, faults, udp, answered, tcp, stuck, moved, lost },
        forgotten: backend.forgotten + (session?.forgotten ?? 0),
        inFlight: session?.inFlight ?? 0,
        timers: Object.fromEntries(
          Object.entries(timers).filter(([, atMs]) => atMs < Infinity)
            .map(([name, atMs]) => [name, Math.round(atMs - nowMs)]),
        ),
      };
    }),
    remotes: remotes.rows(from, most),
  };
}
