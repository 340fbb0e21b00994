/**
 * What a worker does before it opens its sockets: it asks itself for names of the tables, for clients from anywhere, so
 * that code is compiled and much of what answers by place depend on is made out when the first client asks.
 *
 * @module
 */
import { ENTRY } from "../snapshot/layout.ts";
import { LiveBoard } from "../snapshot/live.ts";
import { type Snapshot, SnapshotView } from "../snapshot/view.ts";
import { CLASS, TYPE } from "../wire/record_type.ts";
import { type Engine, UDP_SIZE_MAX } from "./engine.ts";
import { HEADER_SIZE } from "./query.ts";

/** A start is put off by no more than that, milliseconds, … */
const WARM_UP_MS = 150;
/** … nor by more answers, … */
const ANSWERS_MAX = 20_000;
/** … nor by more for each slot of the name table: few names have little to make out. */
const ANSWERS_A_SLOT = 8;
/** Answers between two looks at the clock. */
const ANSWERS_A_LOOK = 64;
/** Strides through the name table and through addresses: odd, so that they come to all. */
const STRIDE = 0x9e3779b1;
/** The client subnet option of a /24 (RFC 7871 §6), up to its address. */
const SUBNET = [0, 8, 0, 7, 0, 1, 24, 0];
/** Bytes of the longest name, its type and class, and of the OPT record. */
const REST_SIZE_MAX = 255 + 4 + 11 + SUBNET.length + 3;

/**
 * Has an engine answer; it then uses the snapshot and the board. No turn is drawn and nothing counted: that is done on a
 * copy of the board.
 *
 * @param now milliseconds that only grow
 */
export function warmUp(engine: Engine, snapshot: Snapshot, board: LiveBoard, now: () => number): void {
  const view = new SnapshotView(snapshot);
  const packet = new Uint8Array(HEADER_SIZE + REST_SIZE_MAX);
  const out = new Uint8Array(UDP_SIZE_MAX);
  const address = new Uint8Array(4);
  const client = { stream: false, address: () => address };
  const end = now() + WARM_UP_MS;
  const most = Math.min(ANSWERS_MAX, view.slots * ANSWERS_A_SLOT);
  engine.use(snapshot, new LiveBoard(board.buffer.slice(0) as SharedArrayBuffer));
  for (let i = 0; i < most; i++) {
    if (i % ANSWERS_A_LOOK === 0 && now() > end) break;
    const entry = view.entryAt(Math.imul(i, STRIDE) >>> 0);
    if (entry === 0 || view.records[entry + ENTRY.service] === 0) continue;
    const bits = Math.imul(i + 1, STRIDE) >>> 0;
    address.set([1 + (bits >>> 24) % 223, bits >>> 16 & 255, bits >>> 8 & 255, 1]);
    try {
      engine.answer(packet, writeQuery(packet, view, entry, address), client, out, out.length);
    } catch {
      break; // who asks for that name is told; a start must not fail for it
    }
  }
  engine.use(snapshot, board);
}

/** Asks for the addresses of an entry's name, for the client's /24; returns how long the query is. */
function writeQuery(packet: Uint8Array, view: SnapshotView, entry: number, address: Uint8Array): number {
  const from = view.records[entry + ENTRY.nameAt]!;
  const length = view.records[entry + ENTRY.nameLength]!;
  packet.fill(0, 0, HEADER_SIZE);
  packet[5] = 1;
  packet[11] = 1;
  packet.set(view.heap.subarray(from, from + length), HEADER_SIZE);
  const rest = [
    ...[0, TYPE.A, 0, CLASS.IN],
    ...[0, 0, TYPE.OPT, UDP_SIZE_MAX >>> 8, UDP_SIZE_MAX & 255, 0, 0, 0, 0, 0, SUBNET.length + 3],
    ...SUBNET,
    ...address.subarray(0, 3),
  ];
  packet.set(rest, HEADER_SIZE + length);
  return HEADER_SIZE + length + rest.length;
}
