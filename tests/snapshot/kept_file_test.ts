/**
 * Tables that outlive a process in a file.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Engine } from "../../src/dns/engine.ts";
import { readKept, writeKept } from "../../src/snapshot/kept_file.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import { toEnd } from "../../src/slices.ts";
import { Slots } from "../../src/snapshot/slots.ts";
import { Tables } from "../../src/snapshot/tables.ts";
import { query, show } from "../dns/packets.ts";
import { desiredOf, PLAIN, World } from "../dns/world.ts";

const DECLARED = {
  pools: [{ name: "web", maxAnswers: 0, members: ["192.0.2.1", "2001:db8::1"] }],
  services: { "www.example.com": "web", "own.example.org": "web" },
  zones: { "example.com": null },
};

async function withFile(fn: (path: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-kept-" });
  try {
    fn(`${folder}/tables`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Answers from tables that were read from a file. */
function answersFrom(path: string): (name: string, type: string) => string {
  const kept = readKept(path, () => "same")!;
  const tables = Tables.load(desiredOf(DECLARED), { epoch: 1, healthSlots: new Slots(1) }, kept);
  const engine = new Engine(PLAIN, () => 0);
  engine.use(tables.snapshot, LiveBoard.create({ healthSlots: 1, ticketSlots: tables.ticketSlots }));
  return (name, type) => {
    const out = new Uint8Array(1232);
    const packet = query(name, type);
    const client = { stream: false, address: () => new Uint8Array(4) };
    return show(out.slice(0, engine.answer(packet, packet.length, client, out, 1232)));
  };
}

Deno.test("tables from a file answer as those that were written to it, and can be changed like them", () =>
  withFile((path) => {
    const world = new World(DECLARED);
    toEnd(writeKept(path, world.tables!.keep(7), "same"));
    const ask = answersFrom(path);
    for (
      const [name, type] of [["www.example.com", "A"], ["own.example.org", "AAAA"], ["x.example.com", "A"], [
        "example.com",
        "SOA",
      ]] as const
    ) {
      assert.equal(ask(name, type), show(world.ask(query(name, type))));
    }
    const kept = readKept(path, (generation) => generation === 7 ? "same" : "other")!;
    const tables = Tables.load(desiredOf(DECLARED), { epoch: 1, healthSlots: new Slots(1) }, kept);
    tables.putService({ domain: "new.example.com", poolId: "web", ttl: 5, minTtl: 0, ecs: true });
    tables.removeService("www.example.com");
    world.tables!.putService({ domain: "new.example.com", poolId: "web", ttl: 5, minTtl: 0, ecs: true });
    world.tables!.removeService("www.example.com");
    toEnd(writeKept(path, tables.keep(8), "same"));
    const changed = answersFrom(path);
    for (const name of ["new.example.com", "www.example.com"]) {
      assert.equal(changed(name, "A"), show(world.ask(query(name, "A"))));
    }
  }));

Deno.test("health slots mean the same targets after a restart", () =>
  withFile((path) => {
    const healthSlots = new Slots(1);
    const tables = Tables.of(desiredOf(DECLARED), { epoch: 1, healthSlots });
    toEnd(writeKept(path, tables.keep(1), "same"));
    const loaded = new Slots(1);
    Tables.load(desiredOf(DECLARED), { epoch: 1, healthSlots: loaded }, readKept(path, () => "same")!);
    assert.deepEqual([...loaded.each()], [...healthSlots.each()]);
    assert.equal(loaded.of("a new one"), healthSlots.size);
  }));

Deno.test("a file that is missing, cut, changed, empty or of another state is no file", () =>
  withFile((path) => {
    assert.equal(readKept(path, () => "same"), null);
    toEnd(writeKept(path, new World(DECLARED).tables!.keep(1), "same"));
    assert.notEqual(readKept(path, () => "same"), null);
    assert.equal(readKept(path, () => "other"), null);
    const bytes = Deno.readFileSync(path);
    for (
      const wrong of [
        bytes.subarray(0, bytes.length - 1),
        bytes.subarray(0, 40),
        new Uint8Array(0),
        bytes.with(bytes.length - 9, 0xff),
      ]
    ) {
      Deno.writeFileSync(path, wrong);
      assert.equal(readKept(path, () => "same"), null);
    }
  }));
