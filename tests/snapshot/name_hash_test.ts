/** @module Hashes of names: what shares a slot in one table doesn't in the next. */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import {
  firstSlot,
  hashAsterisk,
  hashLabel,
  hashSuffix,
  LABELS_MAX,
  labelStarts,
} from "../../src/snapshot/name_hash.ts";
import { nameToWire } from "../../src/wire/name.ts";
import { addresses, query } from "../dns/packets.ts";
import { desiredOf, World } from "../dns/world.ts";
import { Slots } from "../../src/snapshot/slots.ts";
import { Tables } from "../../src/snapshot/tables.ts";

function hashOf(seed: number, name: string): number {
  const wire = nameToWire(name);
  const starts = new Uint8Array(LABELS_MAX);
  const count = labelStarts(wire, starts);
  let hash = seed;
  for (let label = count - 2; label >= 0; label--) {
    hash = hashSuffix(hash, hashLabel(seed, wire, starts[label]!));
  }
  return hash;
}

Deno.test("names made to share a slot under one seed are strewn under another", () => {
  const mask = 0x3ff;
  const names = Array.from({ length: 100_000 }, (_, i) => `n${i}.example.com`);
  const chosen = names.filter((name) => firstSlot(hashOf(1, name), mask) === 7);
  const slotsOf = (seed: number) => new Set(chosen.map((name) => firstSlot(hashOf(seed, name), mask))).size;
  equal(slotsOf(1), 1);
  for (const seed of [0, 2, -1, 0x40000000]) ok(slotsOf(seed) > 80, `${slotsOf(seed)} slots`);
});

Deno.test("the hash of a wildcard is that of its name", () => {
  for (const seed of [0, 1, -5]) {
    equal(hashSuffix(hashOf(seed, "example.com"), hashAsterisk(seed)), hashOf(seed, "*.example.com"));
  }
});

Deno.test("every table draws a seed, and readers take it from there", () => {
  const declared = {
    pools: [{ name: "web", members: ["192.0.2.1"] }],
    services: { "www.example.com": "web", "*.apps.example.com": "web" },
  };
  const world = new World(declared);
  const slots = () =>
    new Int32Array(world.snapshot.names).filter((_, i) => i % 2 === 0).filter((hash) => hash !== 0);
  const before = slots();
  world.declare(declared);
  notEqual(before.toSorted().join(), slots().toSorted().join());
  for (const name of ["www.example.com", "x.apps.example.com"]) {
    deepEqual(addresses(world.ask(query(name, "A"))), ["192.0.2.1"]);
  }
});

Deno.test("tables that are taken over keep their seed", () => {
  const desired = desiredOf({
    pools: [{ name: "web", members: [] }],
    services: { "www.example.com": "web" },
  });
  const options = { epoch: 1, healthSlots: new Slots(1) };
  const kept = Tables.of(desired, { ...options, seed: 1 }).keep(1);
  ok(
    Tables.load(desired, { ...options, seed: 2 }, kept).ticketOf(nameToWire("www.example.com")) !== undefined,
  );
});
