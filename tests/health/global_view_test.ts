/** @module What a node makes of its peers' reports, from probe to eligibility. */
import assert from "node:assert/strict";
import { checkTargetOf, wireTargetOf } from "../../src/desired/check_target.ts";
import { BED_CHECK, targetsTo, ViewBed } from "./view_bed.ts";

/** Three rounds of the bed's check, and what is in between. */
const DETECTED_MS = 4_000;

Deno.test("until peers join, verdicts pass as they are", async () => {
  await using bed = new ViewBed();
  await bed.clock.advance(100);
  bed.joined[Symbol.dispose]();
  bed.fail(...bed.targets);
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, "x");
  assert.equal(bed.member().views, undefined);
  assert.equal(bed.health.peers(), null);
});

Deno.test("a member by name may be answered as long as one of its addresses may", async () => {
  await using bed = new ViewBed({ targets: targetsTo(2) });
  const addresses = bed.targets.map(({ ipAddress }) => ipAddress);
  bed.fail(bed.targets[0]!);
  await bed.clock.advance(DETECTED_MS);
  assert.deepEqual([addresses, addresses.slice(0, 1), []].map((each) => bed.isNamedEligible(each)), [
    ...[true, false, false],
  ]);
});

Deno.test("the states of all targets are those that count, also before and after peers", async () => {
  await using bed = new ViewBed({ terms: { policy: "global-any-healthy" }, targets: targetsTo(3) });
  const [first, second, third] = bed.targets;
  const states = () => [...bed.health.states()].sort();
  assert.deepEqual(states(), ["unknown", "unknown", "unknown"], "no sweep has come to them");
  bed.fail(...bed.targets);
  bed.peers.come("b");
  bed.peers.say("b", "healthy", [first!]);
  await bed.clock.advance(DETECTED_MS);
  assert.deepEqual(states(), ["healthy", "unhealthy", "unhealthy"]);
  bed.health.eligibility.follow({ added: [], gone: [second!.key] });
  assert.deepEqual(states(), ["healthy", "unhealthy"]);
  bed.joined[Symbol.dispose]();
  bed.health.eligibility.follow({ added: [second!], gone: [third!.key] });
  bed.succeed(second!);
  await bed.clock.advance(DETECTED_MS);
  assert.equal(states().length, 2);
  assert.ok(states().includes("healthy"));
});

Deno.test("prefer-local takes peers' word while a target's first probe is under way, and its own afterwards", async () => {
  await using bed = new ViewBed({ targets: targetsTo(2, { timeoutMs: 1_000 }) });
  const [first] = bed.targets;
  bed.hung.add(first!.ipAddress);
  bed.peers.come("b");
  bed.peers.say("b", "unhealthy", bed.targets);
  await bed.clock.advance(500);
  assert.equal(bed.up, "x.");
  assert.equal(bed.member().why, "down: b finds it unhealthy (prefer-local)");
  bed.hung.clear();
  await bed.clock.advance(2_000);
  assert.equal(bed.up, "..");
  assert.equal(bed.member().views?.[0]?.by, "own");
});

Deno.test("global-any-healthy answers what only a peer sees, until that peer isn't heard of any more", async () => {
  await using bed = new ViewBed({ terms: { policy: "global-any-healthy" } });
  bed.fail(...bed.targets);
  bed.peers.come("b");
  bed.peers.say("b", "healthy", bed.targets);
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, ".");
  const { state, why, lastError, views } = bed.member();
  assert.deepEqual([state, lastError], ["healthy", "refused"]);
  assert.equal(why, "b finds it healthy (global-any-healthy), but not this one: refused");
  assert.deepEqual(views, [{
    check: "tcp 80",
    policy: "global-any-healthy",
    state: "healthy",
    by: "peers",
    own: "unhealthy",
    isBlind: false,
    reports: [{ node: "b", region: "region of b", state: "healthy" }],
    why: "b finds it healthy (global-any-healthy)",
  }]);
  bed.peers.leave("b");
  await bed.clock.advance(10);
  assert.equal(bed.up, "x");
  bed.peers.come("b", "2");
  bed.peers.say("b", "healthy", bed.targets);
  await bed.clock.advance(10);
  assert.equal(bed.up, ".");
  assert.deepEqual(bed.turns.map(({ differs, own, state }) => [differs, own, state]), [
    [true, "unhealthy", "healthy"],
    [false, "unhealthy", "unhealthy"],
    [true, "unhealthy", "healthy"],
  ]);
  const words = "b finds it healthy (global-any-healthy)";
  assert.deepEqual(bed.turns.map((turn) => turn.why), [words, null, words]);
});

Deno.test("global-quorum of 67 % asks three of three", async () => {
  await using bed = new ViewBed({ terms: { policy: "global-quorum", quorumMinPercent: 67 } });
  for (const node of ["b", "c"]) bed.peers.come(node);
  bed.peers.say("b", "healthy", bed.targets);
  bed.peers.say("c", "unhealthy", bed.targets);
  await bed.clock.advance(100);
  assert.equal(bed.up, "x");
  assert.equal(bed.member().why, "down: 2 of 3 nodes find it healthy, 67 % needed (global-quorum)");
  assert.equal(bed.member().lastError, "2 of 3 nodes find it healthy, 67 % needed (global-quorum)");
  bed.peers.say("c", "healthy", bed.targets);
  assert.equal(bed.up, ".");
  assert.equal(bed.member().lastError, null);
});

Deno.test("an active node that has nothing to say of a target counts in the quorum after a time for its first probes", async () => {
  await using bed = new ViewBed({ terms: { policy: "global-quorum" } });
  for (const node of ["b", "c"]) bed.peers.come(node);
  await bed.clock.advance(5_000);
  assert.equal(bed.up, ".");
  await bed.clock.advance(3_000);
  assert.equal(bed.up, "x");
  bed.peers.say("b", "healthy", bed.targets);
  assert.equal(bed.up, ".");
});

Deno.test("a node that starts again within its heartbeat's time isn't held to have fallen silent", async () => {
  await using bed = new ViewBed({ terms: { policy: "global-quorum", quorumMinPercent: 100 } });
  bed.peers.come("b");
  bed.peers.say("b", "healthy", bed.targets);
  await bed.clock.advance(60_000);
  bed.peers.come("b", "2");
  // As a wall clock that is set would, were it looked at.
  bed.clock.setUnixMs(bed.clock.unixMs() + 3_600_000);
  await bed.clock.advance(3_000);
  assert.equal(bed.up, ".");
  bed.peers.say("b", "healthy", bed.targets);
  await bed.clock.advance(60_000);
  assert.equal(bed.up, ".");
  assert.deepEqual(bed.passed.map(({ verdict }) => verdict.state), ["healthy"]);
});

Deno.test("a target that comes has the state by its peers' reports from its first answer", async () => {
  await using bed = new ViewBed({ terms: { policy: "global-quorum" }, targets: targetsTo(1) });
  const [, fresh] = targetsTo(2);
  bed.hung.add(fresh!.ipAddress);
  for (const node of ["b", "c"]) {
    bed.peers.come(node);
    bed.peers.say(node, "unhealthy", [fresh!]);
  }
  await bed.clock.advance(100);
  bed.health.eligibility.follow({ added: [fresh!], gone: [] });
  assert.equal(bed.health.eligibility.isEligible(fresh!.key), false);
  bed.health.eligibility.follow({ added: [], gone: [fresh!.key] });
  bed.peers.say("b", "healthy", [fresh!]);
  assert.equal(bed.health.eligibility.isEligible(fresh!.key), true);
});

Deno.test("verdicts of the last run count until a node finds something, and are never reported", async () => {
  const [target] = targetsTo(1, { intervalMs: 60_000 });
  const down = { state: "unhealthy", since: 1, lastError: "then", latencyMs: null, checkedAt: 1 } as const;
  await using bed = new ViewBed({ kept: [[target!.key, down]], targets: [target!] });
  bed.fail(target!);
  await bed.clock.advance(100);
  assert.deepEqual([bed.up, [...bed.joined.reports()], bed.told], ["x", [], []]);
  bed.peers.come("b");
  bed.peers.say("b", "healthy", [target!]);
  assert.equal(bed.up, ".");
  await bed.clock.advance(60_000);
  assert.equal(bed.up, "x");
  assert.deepEqual(bed.told.map(({ state }) => state), ["unhealthy"]);
});

Deno.test("what is reported is what own probes find, once for targets that differ in timing alone", async () => {
  const slow = checkTargetOf({ ipAddress: "192.0.2.1", port: 80 }, { ...BED_CHECK, intervalMs: 5_000 });
  const targets = [...targetsTo(1), slow];
  await using bed = new ViewBed({ terms: { policy: "global-any-healthy" }, targets });
  bed.peers.come("b");
  bed.peers.say("b", "healthy", [slow]);
  bed.fail(slow);
  await bed.clock.advance(100);
  const name = { address: "192.0.2.1", target: wireTargetOf(slow) };
  const reported = () => [...bed.joined.reports()].map(({ since: _, ...report }) => report);
  assert.deepEqual([reported(), bed.up], [[{ ...name, state: "unhealthy" }], ".."]);
  bed.succeed(slow);
  await bed.clock.advance(10_000);
  assert.deepEqual(reported(), [{ ...name, state: "healthy" }]);
  bed.health.eligibility.follow({ added: [], gone: targets.map(({ key }) => key) });
  assert.deepEqual(reported(), []);
  assert.deepEqual(bed.told.map(({ state }) => state), ["unhealthy", "healthy", null]);
});

Deno.test("a policy that takes very many targets down trips the flip guard, and is held", async () => {
  const targets = targetsTo(10);
  await using bed = new ViewBed({
    ...{ terms: { policy: "global-quorum" }, guard: { share: 0.5 }, targets },
  });
  await bed.clock.advance(100);
  for (const node of ["b", "c"]) {
    bed.peers.come(node);
    bed.peers.say(node, "healthy", targets);
  }
  await bed.clock.advance(100);
  bed.peers.say("b", "unhealthy", targets);
  bed.peers.say("c", "unhealthy", targets);
  await bed.clock.advance(100);
  assert.deepEqual([bed.up, bed.events.map(({ kind }) => kind)], ["..........", ["tripped"]]);
  assert.equal(bed.member().why, "held by the flip guard");
  await bed.clock.advance(30_000);
  assert.equal(bed.up, "xxxxxxxxxx");
});

Deno.test("answers wait for what peers report to be judged: that has six milliseconds of each turn", async () => {
  const targets = targetsTo(600);
  await using bed = new ViewBed({ targets });
  bed.peers.come("b");
  await bed.clock.advance(DETECTED_MS);
  let spentMs = 0;
  const { clock, peers } = bed;
  const { monotonicMs } = clock;
  clock.monotonicMs = () => monotonicMs.call(clock) + spentMs;
  const { reports } = peers;
  const read = new Set<string>();
  peers.reports = (address, target) => {
    if (read.size < read.add(address).size) spentMs += 0.5;
    return reports.call(peers, address, target);
  };
  peers.say("b", "unhealthy", targets);
  // Whoever asked for it goes on first, which is a step.
  assert.equal(read.size, 12);
  await clock.advance(100);
  assert.equal(read.size, 600);
});

Deno.test("a node that most peers contradict counts as blind, goes by them, and sees again", async () => {
  const targets = targetsTo(10);
  await using bed = new ViewBed({ targets });
  for (const node of ["b", "c"]) {
    bed.peers.come(node);
    bed.peers.say(node, "healthy", targets);
  }
  await bed.clock.advance(100);
  bed.fail(...targets.slice(0, 6));
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, "xxxxxx....");
  // Peers, too, need the time of a check to find what this one found.
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, "..........");
  assert.match(bed.registry.expose(), /^pleiades_health_blind(\{.*\})? 1$/m);
  assert.equal(bed.health.peers()!.sight, "blind");
  assert.deepEqual(bed.events.map(({ kind }) => kind), ["blinded"]);
  const { views, why } = bed.member();
  assert.deepEqual([views![0]!.isBlind, views![0]!.own], [true, "unhealthy"]);
  assert.equal(why, "b, c find it healthy (prefer-local), but not this one: refused");
  // What peers find down is down, blindness or not.
  for (const node of ["b", "c"]) bed.peers.say(node, "unhealthy", [targets[9]!]);
  assert.equal(bed.up, ".........x");
  bed.succeed(...targets);
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, "..........");
  assert.deepEqual(bed.events.map(({ kind }) => kind), ["blinded", "sighted"]);
  assert.match(bed.registry.expose(), /^pleiades_health_blind(\{.*\})? 0$/m);
});

Deno.test("an outage that peers find a moment later is no reason to doubt", async () => {
  const targets = targetsTo(10);
  await using bed = new ViewBed({ targets });
  for (const node of ["b", "c"]) {
    bed.peers.come(node);
    bed.peers.say(node, "healthy", targets);
  }
  await bed.clock.advance(100);
  bed.fail(...targets);
  await bed.clock.advance(DETECTED_MS + 2_000);
  for (const node of ["b", "c"]) bed.peers.say(node, "unhealthy", targets);
  await bed.clock.advance(60_000);
  assert.deepEqual([bed.up, bed.events], ["xxxxxxxxxx", []]);
});

Deno.test("of two nodes neither can tell which is blind: they warn, and go on as before", async () => {
  const targets = targetsTo(10);
  await using bed = new ViewBed({ targets });
  bed.peers.come("b");
  bed.peers.say("b", "healthy", targets);
  await bed.clock.advance(100);
  bed.fail(...targets);
  await bed.clock.advance(60_000);
  assert.deepEqual([bed.up, bed.events], ["xxxxxxxxxx", []]);
  assert.equal(bed.health.peers()!.sight, "contradicted");
  assert.equal(bed.lines.filter((line) => line.includes("either may be blind")).length, 1);
});

Deno.test("too few targets say nothing of the node as a whole", async () => {
  const targets = targetsTo(4);
  await using bed = new ViewBed({ targets });
  for (const node of ["b", "c", "d"]) {
    bed.peers.come(node);
    bed.peers.say(node, "healthy", targets);
  }
  bed.fail(...targets);
  await bed.clock.advance(60_000);
  assert.deepEqual([bed.up, bed.events], ["xxxx", []]);
});

Deno.test("local-only neither leans on peers nor doubts", async () => {
  const targets = targetsTo(10);
  await using bed = new ViewBed({ targets, terms: { policy: "local-only" } });
  for (const node of ["b", "c"]) {
    bed.peers.come(node);
    bed.peers.say(node, "healthy", targets);
  }
  await bed.clock.advance(100);
  bed.fail(...targets);
  await bed.clock.advance(60_000);
  assert.deepEqual([bed.up, bed.events], ["xxxxxxxxxx", []]);
});

Deno.test("a node whose canaries are silent goes by its peers", async () => {
  const canaries = [{ hostname: "198.51.100.1", port: 443 }];
  await using bed = new ViewBed({ canaries });
  bed.peers.come("b");
  bed.peers.say("b", "healthy", bed.targets);
  await bed.clock.advance(100);
  bed.failing.add("198.51.100.1");
  bed.fail(...bed.targets);
  await bed.clock.advance(120_000);
  assert.equal(bed.up, ".");
  assert.equal(bed.member().views![0]!.isBlind, true);
  bed.failing.delete("198.51.100.1");
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, "x");
});

Deno.test("another policy counts at once", async () => {
  await using bed = new ViewBed();
  bed.peers.come("b");
  bed.peers.say("b", "healthy", bed.targets);
  bed.fail(...bed.targets);
  await bed.clock.advance(DETECTED_MS);
  assert.equal(bed.up, "x");
  bed.joined.use({ policy: "global-any-healthy", quorumMinPercent: 51 });
  await bed.clock.advance(10);
  assert.equal(bed.up, ".");
});
