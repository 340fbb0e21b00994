/**
 * Sums over the lanes of a board.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import { Tally } from "../../src/dns/tally.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";

const SIZE = { healthSlots: 1, ticketSlots: 1 };

Deno.test("a total is the sum over all lanes", () => {
  const board = LiveBoard.create(SIZE);
  board.lane(0)[COUNTER.queriesUdp] = 5;
  board.lane(63)[COUNTER.queriesUdp] = 7;
  board.lane(63)[COUNTER.queriesTcp] = 100;
  const tally = new Tally();
  tally.update(board);
  assert.equal(tally.total(COUNTER.queriesUdp), 12);
});

Deno.test("a total doesn't wrap when a lane does", () => {
  const board = LiveBoard.create(SIZE);
  const lane = board.lane(0);
  const tally = new Tally();
  lane[COUNTER.bytesOut] = 0xffff_fff0;
  tally.update(board);
  lane[COUNTER.bytesOut]! += 0x20;
  tally.update(board);
  assert.equal(tally.total(COUNTER.bytesOut), 0x1_0000_0010);
});

Deno.test("a total goes on when the board grows", () => {
  const board = LiveBoard.create(SIZE);
  board.lane(0)[COUNTER.queriesUdp] = 5;
  const tally = new Tally();
  tally.update(board);
  const grown = board.grownTo({ healthSlots: 100_000, ticketSlots: 100_000 });
  tally.update(grown);
  grown.lane(0)[COUNTER.queriesUdp]! += 3;
  tally.update(grown);
  assert.equal(tally.total(COUNTER.queriesUdp), 8);
});
