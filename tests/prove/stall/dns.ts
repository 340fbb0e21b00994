/**
 * Asks one name over UDP, so many times a second: `dns.ts HOST PORT NAME PER_SECOND`. A value is the time from sending a
 * query until its answer is in the kernel; a query that isn't answered within five seconds counts as that.
 *
 * What is measured is the node, on machines where all processors have work: for how long an answer waits until this process
 * gets a processor doesn't count.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { takeShortSlices } from "../../../src/sockets/scheduling.ts";
import { parseIp } from "../../../src/ip.ts";
import { BatchSockets } from "../../../src/sockets/batch_socket.ts";
import { encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { measureUntilAsked, nowMs, type TimedSample } from "./process.ts";

/** After which a query counts as lost. */
const LOST_MS = 5_000;
/** Between two looks at how many queries are due, and at what came. */
const TICK_MS = 1;
/** After the last query answers are waited for. */
const DRAIN_MS = 100;
/** In turn: the kernel tells the time of the last datagram of a socket only. */
const SOCKETS = 32;
const SLICE_NS = 100_000;

const [hostname, port, name, perSecond] = Deno.args;

await measureUntilAsked("ready", async (signal) => {
  takeShortSlices(SLICE_NS);
  const library = new BatchSockets();
  const sockets = Array.from({ length: SOCKETS }, () => {
    const socket = library.bind({ hostname: "127.0.0.1", port: 0 }, {
      ...{ reusePort: false, receiveMax: 1500, sendMax: 512 },
    });
    const server = socket.createPeer();
    server.set(parseIp(hostname!)!, Number(port));
    socket.ageMs(nowMs()); // from now on the kernel stamps what comes
    return { socket, server };
  });
  const query = encodeQuery({ id: 0, name: name!, type: TYPE.A });
  /** By id; 0 = it isn't under way. */
  const sentMs = new Float64Array(0x10000);
  const samples: TimedSample[] = [];
  const receive = () => {
    for (const { socket } of sockets) {
      const count = socket.receive();
      const atMs = nowMs();
      const cameMs = count > 0 ? atMs - socket.ageMs(atMs) : atMs;
      for (let slot = 0; slot < count; slot++) {
        const answer = socket.packet(slot);
        const id = answer[0]! << 8 | answer[1]!;
        if (sentMs[id] !== 0) samples.push([sentMs[id]!, Math.max(0, cameMs - sentMs[id]!)]);
        sentMs[id] = 0;
      }
    }
  };
  const startMs = nowMs();
  for (let sent = 0; !signal.aborted;) {
    for (const due = (nowMs() - startMs) / 1000 * Number(perSecond); sent < due; sent++) {
      const id = sent & 0xffff;
      if (sentMs[id] !== 0) samples.push([sentMs[id]!, LOST_MS]);
      query.set([id >> 8, id & 255]);
      const { socket, server } = sockets[sent % SOCKETS]!;
      sentMs[id] = nowMs();
      socket.queue(server, query);
      socket.flush();
    }
    receive();
    await wait(TICK_MS);
  }
  await wait(DRAIN_MS);
  receive();
  for (const at of sentMs) if (at !== 0) samples.push([at, LOST_MS]);
  return samples;
});
