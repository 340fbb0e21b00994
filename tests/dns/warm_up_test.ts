/**
 * What a worker does before it opens its sockets.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { UDP_SIZE_MAX } from "../../src/dns/engine.ts";
import { warmUp } from "../../src/dns/warm_up.ts";
import { query } from "./packets.ts";
import { World } from "./world.ts";

const WORLD = {
  pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11", "192.0.2.12"] }],
  services: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`n${i}.example`, "web"])),
};

Deno.test("warming up an engine draws no turn, counts nothing, and leaves it ready to answer", () => {
  const world = new World(WORLD);
  world.health({ "192.0.2.11": false });
  const before = new Uint8Array(world.board.buffer.slice(0));

  warmUp(world.engine, world.snapshot, world.board, () => 0);

  deepEqual(new Uint8Array(world.board.buffer.slice(0)), before);
  const out = new Uint8Array(UDP_SIZE_MAX);
  const packet = query("n7.example", "A");
  const client = { stream: false, address: () => new Uint8Array(4) };
  ok(world.engine.answer(packet, packet.length, client, out, out.length) > 0);
});

Deno.test("warming up ends when its time is over, however many names there are", () => {
  const world = new World(WORLD);
  let looks = 0;

  warmUp(world.engine, world.snapshot, world.board, () => looks++ * 1_000_000);

  equal(looks, 2);
});

Deno.test("a name that can't be answered ends the warming up, and not the start", () => {
  const world = new World(WORLD);
  const engine = world.engine;
  let asked = 0;
  engine.answer = () => {
    asked++;
    throw new Error("broken table");
  };

  warmUp(engine, world.snapshot, world.board, () => 0);

  equal(asked, 1);
});
