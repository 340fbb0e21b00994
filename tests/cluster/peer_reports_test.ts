/** @module What other nodes said of each address. */
import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { PeerReports } from "../../src/cluster/peer_reports.ts";
import { type AddressReport, seqDigest } from "../../src/cluster/wire_format.ts";

const TCP = "tcp:443:4f53cda1";
const HTTPS = "https:443:2b435658";

function report(
  boot: string,
  seq: number,
  states: Readonly<Record<string, "healthy" | "unhealthy">>,
): AddressReport {
  return {
    ...{ boot, seq },
    targets: Object.entries(states).map(([target, state]) => ({
      target,
      state,
      since: "2026-01-01T00:00:00.000Z",
    })),
  };
}

function bed() {
  const boots = new Map([["b", "b1"]]);
  const reports = new PeerReports((node) => boots.get(node) ?? null);
  const states = (target = TCP) =>
    reports.reports("192.0.2.1", target).map(({ node, state }) => `${node} ${state}`).sort();
  return { boots, reports, states };
}

const keysOf = (changed: ReturnType<PeerReports["put"]>) =>
  changed?.map(({ target }) => target).sort() ?? null;

Deno.test("a report counts as long as its node's boot does", () => {
  const { boots, reports, states } = bed();
  deepEqual(keysOf(reports.put("b", "192.0.2.1", report("b1", 1, { [TCP]: "healthy" }))), [TCP]);
  deepEqual(states(), ["b healthy"]);
  boots.set("b", "b2");
  deepEqual(states(), []);
  boots.delete("b");
  deepEqual(states(), []);
  boots.set("b", "b1");
  deepEqual(states(), ["b healthy"]);
});

Deno.test("put() says what differs of that which counts", () => {
  const { reports } = bed();
  const put = (of: AddressReport, node = "b") => keysOf(reports.put(node, "192.0.2.1", of));
  deepEqual(put(report("b1", 1, { [TCP]: "healthy", [HTTPS]: "healthy" })), [HTTPS, TCP]);
  deepEqual(put(report("b1", 2, { [TCP]: "unhealthy", [HTTPS]: "healthy" })), [TCP]);
  deepEqual(put(report("b1", 3, { [HTTPS]: "healthy" })), [TCP]);
  deepEqual(put(report("b1", 4, { [HTTPS]: "healthy" })), []);
  deepEqual(put(report("c1", 1, { [TCP]: "healthy" }), "c"), [], "c isn't there");
});

Deno.test("a report of a run that isn't known yet waits for it, and takes the place of none that counts", () => {
  const { boots, reports, states } = bed();
  reports.put("b", "192.0.2.1", report("b1", 9, { [TCP]: "healthy" }));
  equal(reports.put("b", "192.0.2.1", report("b2", 1, { [TCP]: "unhealthy" })), null);
  deepEqual(states(), ["b healthy"]);
  deepEqual(latestOf(reports), { boot: "b1", seq: 9 });
  boots.set("b", "b2");
  deepEqual(reports.put("b", "192.0.2.1", report("b2", 1, { [TCP]: "unhealthy" }))?.length, 1);
  deepEqual(states(), ["b unhealthy"]);
  equal(
    reports.put("b", "192.0.2.1", report("b1", 10, { [TCP]: "healthy" })),
    null,
    "late, of the run before",
  );
});

Deno.test("however reports are repeated, delayed and reordered, the last of each run counts", () => {
  const states = ["healthy", "unhealthy"] as const;
  const sent = fc.array(fc.constantFrom(...states), { minLength: 1, maxLength: 8 }).chain((said) =>
    fc.record({
      said: fc.constant(said),
      // Every report comes once at least, and any of them again, in any order.
      arriving: fc.tuple(
        fc.shuffledSubarray(said.map((_, i) => i), { minLength: said.length }),
        fc.array(fc.nat(said.length - 1), { maxLength: 8 }),
      ).map(([all, again]) => [...all, ...again]),
    })
  );
  fc.assert(
    fc.property(sent, ({ said, arriving }) => {
      const { reports, states } = bed();
      for (const i of arriving) {
        const arrived = report("b1", i + 1, { [TCP]: said[i]! });
        const latest = latestOf(reports);
        const isKnown = latest?.boot === arrived.boot && arrived.seq <= latest.seq;
        equal(reports.put("b", "192.0.2.1", arrived) === null, isKnown, "what is known needn't be put");
      }
      deepEqual(states(), [`b ${said.at(-1)}`]);
    }),
    { numRuns: 200 },
  );
});

Deno.test("all of a node is here when the last report on each address is, and none on others", () => {
  const steps = fc.array(
    fc.record({ address: fc.integer({ min: 1, max: 4 }), isFound: fc.boolean(), isLost: fc.boolean() }),
  );
  fc.assert(fc.property(steps, fc.array(fc.nat({ max: 100 }), { maxLength: 3 }), (steps, late) => {
    const { reports } = bed();
    const said = steps.map(({ address, isFound, isLost }, i) => {
      const one = report("b1", i + 1, isFound ? { [TCP]: "healthy" } : {});
      return { address: `192.0.2.${address}`, one, isLost };
    });
    const arriving = said.filter(({ isLost }) => !isLost);
    for (const { address, one } of [...arriving, ...late.flatMap((i) => arriving[i] ?? [])]) {
      reports.put("b", address, one);
    }
    reports.put("b", "192.0.2.9", report("b0", 1, { [TCP]: "healthy" }));
    const last = new Map(said.map(({ address, one }) => [address, one]));
    const found = [...last.values()].filter(({ targets }) => targets.length > 0);
    const here = new Map(arriving.map(({ address, one }) => [address, one]));
    const isEqual = [...new Set([...last.keys(), ...here.keys()])].every((address) => {
      const [a, b] = [last.get(address), here.get(address)];
      return a === b || (a?.targets.length ?? 0) + (b?.targets.length ?? 0) === 0;
    });
    const digest = found.reduce((sum, { seq }) => sum + seqDigest(seq), 0);
    equal(reports.hasAll("b", "b1", { addresses: found.length, digest }), isEqual);
  }));
});

Deno.test("forget() drops a node's reports, and no other's", () => {
  const { boots, reports, states } = bed();
  boots.set("c", "c1");
  reports.put("b", "192.0.2.1", report("b1", 1, { [TCP]: "healthy" }));
  reports.put("b", "192.0.2.2", report("b1", 2, { [TCP]: "healthy" }));
  reports.put("c", "192.0.2.1", report("c1", 1, { [TCP]: "unhealthy" }));
  equal(reports.size, 3);
  reports.forget("b");
  equal(reports.size, 1);
  deepEqual(states(), ["c unhealthy"]);
  deepEqual([...reports.nodes()], ["c"]);
});

/** Which report it is that was taken last. */
function latestOf(reports: PeerReports) {
  const latest = reports.latest("b", "192.0.2.1");
  return latest && { boot: latest.boot, seq: latest.seq };
}
