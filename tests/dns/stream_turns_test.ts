/**
 * Turns for streams: together they leave the event loop its turn, and among each other they are fair.
 *
 * @module
 */
import assert from "node:assert/strict";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { StreamTurns } from "../../src/dns/stream_turns.ts";

/** What one message costs, and how many fit between two turns of the event loop then, the last one over the time. */
const MESSAGE_MS = 1;
const MESSAGES_PER_TURN = 3;

/** Lets connections answer so many messages each; `order` gets them as they are answered. */
async function answer(
  turns: StreamTurns,
  { connections, messages, order, onMessage = () => {} }: {
    readonly connections: number;
    readonly messages: number;
    readonly order: number[];
    readonly onMessage?: () => void;
  },
): Promise<void> {
  await Promise.all(
    Array.from({ length: connections }, async (_, connection) => {
      for (let message = 0; message < messages; message++) {
        if (turns.mustWait()) await turns.next(0);
        const untilMs = performance.now() + MESSAGE_MS;
        while (performance.now() < untilMs);
        order.push(connection);
        onMessage();
      }
    }),
  );
}

Deno.test("however many connections have something to be answered, the event loop turns after 2 ms", async () => {
  const order: number[] = [];
  let most = 0;
  let isDone = false;
  const counting = (async () => {
    for (let before = 0; !isDone; before = order.length) {
      await turnEventLoop();
      most = Math.max(most, order.length - before);
    }
  })();
  await answer(new StreamTurns(), { connections: 100, messages: 2, order });
  isDone = true;
  await counting;
  assert.equal(order.length, 200);
  assert(most <= 2 * MESSAGES_PER_TURN, `${most} messages in one turn`);
});

Deno.test("as long as there is a line, sockets are looked at in each turn; who is alone waits for none of it", async () => {
  let looked = 0;
  const turns = new StreamTurns(null, () => {
    looked++;
    return turnEventLoop();
  });
  await answer(turns, { connections: 100, messages: 2, order: [] });
  // Those of the first turn are answered before there is a line.
  assert(looked >= 200 / MESSAGES_PER_TURN - 1, `${looked} turns`);
  await turnEventLoop();
  looked = 0;
  for (let message = 0; message < 10; message++) {
    await answer(turns, { connections: 1, messages: 1, order: [] });
    await turnEventLoop();
  }
  // None, but where other threads have had the processor for as long as a turn is.
  assert(looked < 5, `${looked} turns`);
});

Deno.test("each message is in a turn that was begun, and each turn that was begun is ended", async () => {
  const calls: string[] = [];
  const turns = new StreamTurns({
    beginTurn: () => calls.push("begin"),
    endTurn: () => calls.push("end"),
  });
  const onMessage = () => calls.push("message");
  await answer(turns, { connections: 20, messages: 3, order: [], onMessage });
  await turnEventLoop();
  await turnEventLoop();
  assert.match(calls.join(" "), /^(?:begin(?: message)+ end ?){2,}$/);
});

Deno.test("connections are served in line", async () => {
  const order: number[] = [];
  await answer(new StreamTurns(), { connections: 20, messages: 5, order });
  // Before anybody has to wait, the first ones answer what fits.
  const rest = order.slice(MESSAGES_PER_TURN);
  for (let at = 20; at < rest.length - 20; at++) {
    assert(new Set(rest.slice(at - 10, at)).size >= 9, `in the order ${rest}`);
  }
  assert.equal(order.length, 100);
});

Deno.test("a connection alone waits for nobody, and one that comes later goes on at once", async () => {
  const turns = new StreamTurns();
  const order: number[] = [];
  await answer(turns, { connections: 1, messages: 10, order });
  assert.equal(order.length, 10);
  await turnEventLoop();
  await turnEventLoop();
  assert.equal(turns.mustWait(), false);
});

/** What connections that pipeline answer of what they have read at a time. */
const PIPELINED = 25;

/** A connection that has more and more to be answered; it reads so many messages at a time, until it is told that no more are wanted. */
async function pipeline(
  turns: StreamTurns,
  messages: number,
  onMessage: () => boolean,
  messageMs: number = MESSAGE_MS,
): Promise<void> {
  for (let isWanted = true; isWanted;) {
    await turnEventLoop(); // it reads
    for (let answered = 0; answered < messages && isWanted; answered++) {
      if (answered === 0 ? turns.mustWait() : turns.isOver(answered)) await turns.next(answered);
      const untilMs = performance.now() + messageMs;
      while (performance.now() < untilMs);
      isWanted = onMessage();
    }
  }
}

Deno.test("who comes with one question goes before those who pipeline", async () => {
  const turns = new StreamTurns();
  let answered = 0;
  let isAsked = false;
  const pipelining = Array.from({ length: 40 }, () =>
    pipeline(turns, PIPELINED, () => {
      answered++;
      return !isAsked;
    }));
  const between: number[] = [];
  for (let question = 0; question < 3; question++) {
    // When each has had its first few messages, most wait with the rest.
    while (answered < 400 + 100 * question) await turnEventLoop();
    const before = answered;
    await pipeline(turns, 1, () => false);
    between.push(answered - before);
  }
  isAsked = true;
  await Promise.all(pipelining);
  // In one line it is what 40 others answer in a turn each.
  assert(between.every((others) => others <= 40), `${between} messages of others before its own`);
});

Deno.test("however many come with something new, one of those who pipeline is served in each turn", async () => {
  const turns = new StreamTurns();
  const order: string[] = [];
  const record = (what: string) => () => order.push(what) < 400;
  await Promise.all([
    ...Array.from({ length: 20 }, () => pipeline(turns, 1, record("new"))),
    pipeline(turns, PIPELINED, record("rest")),
  ]);
  const rest = order.filter((what) => what === "rest").length;
  assert(rest >= 400 / (2 * (MESSAGES_PER_TURN + 1)), `${rest} of ${order.length}`);
});

Deno.test("where another waits, a connection goes to the end of the line behind its first few messages", async () => {
  const turns = new StreamTurns();
  const order: number[] = [];
  await Promise.all([
    // The turn that all three come in is over when the other two do.
    pipeline(turns, 1, () => false, 5),
    ...[1, 2].map((connection) => {
      let left = PIPELINED;
      return pipeline(turns, PIPELINED, () => {
        order.push(connection);
        return --left > 0;
      }, 0);
    }),
  ]);
  const ninthOfFirst = order.indexOf(1, order.indexOf(1) + 8);
  assert.equal(
    order.slice(0, ninthOfFirst).filter((connection) => connection === 2).length,
    8,
    order.join(""),
  );
});
