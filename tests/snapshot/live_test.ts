/** @module Tests of the live board and of the slots that outlive epochs. */
import assert from "node:assert/strict";
import { LiveBoard } from "../../src/snapshot/live.ts";
import { Slots } from "../../src/snapshot/slots.ts";

Deno.test("a new board has everything up", () => {
  const board = LiveBoard.create({ healthSlots: 10, ticketSlots: 10 });
  assert.ok([0, 1, 31, 32, 65_535].every((slot) => board.isUp(slot)));
});

Deno.test("setHealth() moves the generation once for all verdicts of a step", () => {
  const board = LiveBoard.create({ healthSlots: 10, ticketSlots: 10 });
  const before = board.healthGeneration;
  board.setHealth([{ slot: 31, up: false }, { slot: 32, up: false }], 1_000);
  assert.deepEqual([30, 31, 32, 33].map((slot) => board.isUp(slot)), [true, false, false, true]);
  assert.equal(board.healthGeneration, before + 1);
  assert.equal(board.downAt[31], board.downAt[32]);
});

Deno.test("setHealth() keeps the time at which a slot went down when it is said again", () => {
  const board = LiveBoard.create({ healthSlots: 10, ticketSlots: 10 });
  board.setHealth([{ slot: 1, up: false }], 1_000);
  const downAt = board.downAt[1];
  board.setHealth([{ slot: 1, up: false }], 1_000);
  assert.equal(board.downAt[1], downAt);
});

Deno.test("grownTo() keeps verdicts, tickets and counters", () => {
  const board = LiveBoard.create({ healthSlots: 10, ticketSlots: 10 });
  board.setHealth([{ slot: 5, up: false }], 1_000);
  board.tickets[7] = 3;
  board.lane(2)[1] = 9;
  for (let beats = 0; beats < 4; beats++) board.beat(63);
  board.beatMain();
  const grown = board.grownTo({ healthSlots: 100_000, ticketSlots: 100_000 });
  assert.ok(grown.holds({ healthSlots: 100_000, ticketSlots: 100_000 }));
  assert.ok(!board.holds({ healthSlots: 100_000, ticketSlots: 100_000 }));
  assert.deepEqual([grown.isUp(5), grown.isUp(99_999), grown.tickets[7], grown.lane(2)[1]], [
    false,
    true,
    3,
    9,
  ]);
  assert.deepEqual([grown.beatsOf(62), grown.beatsOf(63), grown.mainBeats], [0, 4, 1]);
  assert.notEqual(grown.healthGeneration, board.healthGeneration);
});

Deno.test("a key keeps its number as long as it is asked for in every round", () => {
  const slots = new Slots(1);
  const round = (...keys: string[]) => {
    slots.beginRound();
    const numbers = keys.map((key) => slots.of(key));
    slots.endRound();
    return numbers;
  };
  assert.deepEqual(round("a", "b"), [1, 2]);
  assert.deepEqual(round("b", "c"), [2, 3]);
  assert.equal(slots.find("a"), undefined);
});

Deno.test("a number that was given up rests for two rounds", () => {
  const slots = new Slots(0);
  const round = (...keys: string[]) => {
    slots.beginRound();
    const numbers = keys.map((key) => slots.of(key));
    slots.endRound();
    return numbers;
  };
  round("a");
  round(); // given up here
  assert.deepEqual(round("b"), [1], "still resting");
  assert.deepEqual(round("b", "c"), [1, 0], "free again");
  assert.equal(slots.size, 2);
});
