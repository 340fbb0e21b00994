/**
 * Asks one name over UDP, so many times a second: `dns.ts HOST PORT NAME PER_SECOND`. A value is the time from sending a
 * query to its answer; a query that isn't answered within five seconds counts as that.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { measureUntilAsked, nowMs, type TimedSample } from "./process.ts";

/** After which a query counts as lost. */
const LOST_MS = 5_000;
/** Between two looks at how many queries are due. */
const TICK_MS = 2;

const [hostname, port, name, perSecond] = Deno.args;

await measureUntilAsked("ready", async (signal) => {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const server = { transport: "udp", hostname: hostname!, port: Number(port) } as const;
  const query = encodeQuery({ id: 0, name: name!, type: TYPE.A });
  /** By id; 0 = it isn't under way. */
  const sentMs = new Float64Array(0x10000);
  const samples: TimedSample[] = [];
  const receiving = (async () => {
    const buffer = new Uint8Array(4096);
    for (;;) {
      const [answer] = await socket.receive(buffer);
      const id = answer[0]! << 8 | answer[1]!;
      if (sentMs[id] !== 0) samples.push([sentMs[id]!, nowMs() - sentMs[id]!]);
      sentMs[id] = 0;
    }
  })().catch(() => {}); // the socket is closed in the end
  const startMs = nowMs();
  for (let sent = 0; !signal.aborted;) {
    for (const due = (nowMs() - startMs) / 1000 * Number(perSecond); sent < due; sent++) {
      const id = sent & 0xffff;
      if (sentMs[id] !== 0) samples.push([sentMs[id]!, LOST_MS]);
      query.set([id >> 8, id & 255]);
      sentMs[id] = nowMs();
      await socket.send(query, server);
    }
    await wait(TICK_MS);
  }
  await wait(TICK_MS * 50);
  socket.close();
  await receiving;
  for (const at of sentMs) if (at !== 0) samples.push([at, LOST_MS]);
  return samples;
});
