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
        if (turns.mustWait()) await turns.next();
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
  assert.equal(looked, 0);
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
