/**
 * A thread of the bench of workers: an engine without sockets. Messages in: `EngineOrder`; out: `EngineReport`.
 *
 * @module
 */
import { Engine, UDP_SIZE_MAX } from "../../src/dns/engine.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import type { Snapshot } from "../../src/snapshot/view.ts";
import { PLAIN } from "../../tests/dns/world.ts";

/** What a thread is told. */
export type EngineOrder =
  | {
    readonly kind: "prepare";
    readonly snapshot: Snapshot;
    readonly board: SharedArrayBuffer;
    /** Of the board; each thread has its own. */
    readonly lane: number;
    readonly packets: readonly Uint8Array[];
  }
  | { readonly kind: "answer"; readonly count: number }
  /** Draws tickets and does nothing else, from as many slots in turn. */
  | { readonly kind: "draw"; readonly count: number; readonly slots: number };

/** How it went. */
export interface EngineReport {
  /** Questions that got no answer. */
  readonly silent: number;
}

/** Answers before anything is measured: the compiler has done its work by then. */
const WARM_UP = 500_000;

/** The worker's global scope, as far as it is used here. */
interface ThreadScope {
  onmessage: ((event: MessageEvent<EngineOrder>) => void) | null;
  postMessage(report: EngineReport): void;
}
const scope = globalThis as unknown as ThreadScope;
const out = new Uint8Array(UDP_SIZE_MAX);
const address = new Uint8Array([192, 0, 2, 53]);
const client = { stream: false, address: () => address };
let engine: Engine;
let tickets: Uint32Array;
let packets: readonly Uint8Array[];
/** Where in the questions the next one is. */
let at = 0;

/** Threads only: whoever else imports this, such as the list of all benches, wants no messages. */
if ("WorkerGlobalScope" in globalThis) {
  scope.onmessage = ({ data: order }) => {
    if (order.kind === "prepare") prepare(order);
    if (order.kind === "draw") draw(order);
    else ask(order.kind === "prepare" ? WARM_UP : order.count);
  };
}

function prepare(order: EngineOrder & { readonly kind: "prepare" }): void {
  engine = new Engine({ ...PLAIN, lane: order.lane }, Date.now);
  const board = new LiveBoard(order.board);
  engine.use(order.snapshot, board);
  tickets = board.tickets;
  packets = order.packets;
  // Clients of two workers don't ask the same at the same time.
  at = Math.floor(order.lane * packets.length * 0.382) % packets.length;
}

/** Slots come in an order that no cache foresees, another one in each thread. */
function draw({ count, slots }: { readonly count: number; readonly slots: number }): void {
  let slot = at % slots;
  for (let i = 0; i < count; i++) {
    Atomics.add(tickets, slot, 1);
    slot = (slot + STRIDE) % slots;
  }
  scope.postMessage({ silent: 0 });
}

/** Prime, so that every slot gets its turn. */
const STRIDE = 7919;

function ask(count: number): void {
  let silent = 0;
  for (let i = 0; i < count; i++) {
    const packet = packets[at]!;
    at = at + 1 === packets.length ? 0 : at + 1;
    if (engine.answer(packet, packet.length, client, out, out.length) === 0) silent++;
  }
  scope.postMessage({ silent });
}
