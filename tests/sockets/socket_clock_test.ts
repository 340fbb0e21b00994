/** @module Turns of the event loop in each of which sockets are looked at. */
import { equal, notEqual, ok } from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { SocketClock, turnWithSockets } from "../../src/sockets/socket_clock.ts";
import { ManualClock } from "../clock.ts";
import { turnsUntilConnected } from "./connecting.ts";

const { signal } = new AbortController();

async function opened(): Promise<SocketClock & AsyncDisposable> {
  const clock = new SocketClock(new ManualClock());
  await clock.opened;
  return clock;
}

Deno.test("sockets are looked at in each turn, also where there is always something to do", async () => {
  await using clock = await opened();
  let isOver = false;
  const busy = (async () => {
    while (!isOver) await setImmediate();
  })();
  for (let time = 0; time < 10; time++) {
    for (const turn of [() => clock.sleep(0, signal), turnWithSockets]) {
      const turns = await turnsUntilConnected(turn);
      ok(turns <= 3, `${turns} turns`);
    }
  }
  isOver = true;
  await busy;
});

Deno.test("who sleeps for no time at all wakes in the next turn, all together, and whoever is given up at once", async () => {
  await using clock = await opened();
  const woken: string[] = [];
  const sleep = (name: string, signal: AbortSignal) =>
    clock.sleep(0, signal).then(() => void woken.push(name));
  const ending = new AbortController();
  const all = [sleep("a", signal), sleep("b", ending.signal), sleep("c", signal)];
  ending.abort();
  await null;
  equal(woken.join(""), "b");
  await Promise.all(all);
  equal(woken.join(""), "bac");
  await sleep("d", ending.signal);
  for (let turn = 0; turn < 100; turn++) await sleep("", signal);
  equal(woken.join(""), "bacd");
});

Deno.test("the rest of the clock is the given one's", async () => {
  const manual = new ManualClock();
  await using clock = new SocketClock(manual);
  await clock.opened;
  const { monotonicMs, unixMs } = clock;
  let isAwake = false;
  const asleep = clock.sleep(5, signal).then(() => isAwake = true);
  await manual.advance(4);
  equal(monotonicMs(), manual.monotonicMs());
  equal(unixMs(), manual.unixMs());
  equal(isAwake, false);
  await manual.advance(1);
  await asleep;
});

Deno.test("as long as there is no connection, and when there is none any more, timers make the turns", async () => {
  const manual = new ManualClock();
  const clock = new SocketClock(manual);
  const early = clock.sleep(0, signal);
  await manual.advance(0);
  await early;
  await clock.opened;
  const last = clock.sleep(0, signal);
  await Promise.all([last, clock[Symbol.asyncDispose]()]);
  const late = clock.sleep(0, signal);
  await manual.advance(0);
  await late;
  await turnWithSockets();
});

Deno.test("a connection that breaks wakes who sleeps, and where none can be had timers make the turns", async () => {
  const { connect, listen } = Deno;
  const connections: Deno.TcpConn[] = [];
  try {
    Deno.connect = (async (options: Deno.ConnectOptions) => {
      connections.push(await connect(options));
      return connections.at(-1)!;
    }) as typeof Deno.connect;
    const manual = new ManualClock();
    await using broken = new SocketClock(manual);
    await broken.opened;
    // The end that asks is shut for writing: it closes behind the last byte.
    await connections[0]!.closeWrite();
    let isAwake = false;
    const asleep = broken.sleep(0, signal).then(() => isAwake = true);
    while (!isAwake) {
      await setImmediate();
      await manual.advance(0);
    }
    await asleep;
    Deno.listen = (() => {
      throw new Deno.errors.AddrNotAvailable("none");
    }) as typeof Deno.listen;
    await using none = new SocketClock(manual);
    await none.opened;
    const turn = none.sleep(0, signal);
    await manual.advance(0);
    await turn;
  } finally {
    Object.assign(Deno, { connect, listen });
  }
});

Deno.test("what is swallowed on its way doesn't keep anything waiting for ever", async () => {
  const { connect } = Deno;
  try {
    Deno.connect = (async (options: Deno.ConnectOptions) => {
      const connection = await connect(options);
      connection.write = (bytes) => Promise.resolve(bytes.length);
      return connection;
    }) as typeof Deno.connect;
    const manual = new ManualClock();
    await using clock = new SocketClock(manual);
    await clock.opened;
    for (let turn = 0; turn < 3; turn++) {
      let isAwake = false;
      const asleep = clock.sleep(0, signal).then(() => isAwake = true);
      await manual.advance(249);
      equal(isAwake, false);
      await manual.advance(1);
      await asleep;
    }
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("whoever connects first isn't taken for the process itself", async () => {
  const { connect } = Deno;
  let stranger: Deno.TcpConn | undefined;
  try {
    Deno.connect = (async (options: Deno.ConnectOptions) => {
      stranger ??= await connect(options) as Deno.TcpConn;
      return await connect(options);
    }) as typeof Deno.connect;
    await using clock = await opened();
    notEqual(stranger, undefined);
    equal(await stranger!.read(new Uint8Array(1)), null);
    await clock.sleep(0, signal);
  } finally {
    stranger?.close();
    Deno.connect = connect;
  }
});
