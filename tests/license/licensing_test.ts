/** @module Licensing on its own: what settings come to, what is said of it and how often, what a reload does. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Allowance } from "../../src/license/allowance.ts";
import { LicenseGate } from "../../src/license/gate.ts";
import { type LicenseSettings, Licensing, LOOK_MS } from "../../src/license/licensing.ts";
import { issueToken, type License } from "../../src/license/token.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock } from "../clock.ts";

const SECRET = "canary-secret-4f1d9b72";
const NEXT_SECRET = "canary-secret-aa03e5c1";
const DAY = 86_400;

/** Licensing by a clock that stands, at 2026-01-01T00:00:00Z. */
class Bed implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly lines: string[] = [];
  readonly registry = new Registry({});
  readonly licensing: Licensing;
  readonly gate: LicenseGate;

  constructor(settings: LicenseSettings) {
    const write = (line: string) => void this.lines.push(line);
    const log = createLogger({ level: "debug", format: "json", clock: this.clock, write });
    const { clock, registry } = this;
    this.licensing = new Licensing({ settings: () => settings, log, registry, clock, nodes: () => null });
    this.gate = new LicenseGate(new Allowance(this.licensing.allowance.buffer), () => clock.unixMs());
  }

  /** How many of so many packets a worker answers in one batch. */
  answered(packets: number): number {
    let count = 0;
    this.gate.begin(packets);
    for (let i = 0; i < packets; i++) {
      if (!this.gate.admits()) continue;
      this.gate.spend();
      count++;
    }
    this.gate.end();
    return count;
  }

  /** The messages of a level since the last call. */
  said(level: "info" | "warn"): string[] {
    const messages = this.lines.map((line) => JSON.parse(line)).filter((line) => line.level === level);
    this.lines.length = 0;
    return messages.map(({ message }) => message);
  }

  async [Symbol.asyncDispose]() {
    const ended = this.licensing[Symbol.asyncDispose]();
    await this.clock.advance(0);
    await ended;
  }
}

function token(change: Partial<License> = {}, secret = SECRET): string {
  const iat = 1_767_225_600;
  return issueToken(
    { tier: "paid", maxRps: 1000, iat, exp: iat + 30 * DAY, id: "acme-7", ...change },
    secret,
  );
}

function settings(key: string | null, change: Partial<LicenseSettings["license"]> = {}): LicenseSettings {
  return {
    license: { secret: [SECRET], key, keyFault: null, scope: "node", ...change },
    node: { id: "fra1" },
    state: { nodes: null },
  };
}

const NOW = 1_767_225_600;

const CASES: ReadonlyArray<readonly [what: string, given: LicenseSettings, state: string, answered: number]> =
  [
    ["no secret", settings(null, { secret: [] }), "off", 5000],
    ["no secret, but a token", settings(token(), { secret: [] }), "off", 5000],
    ["a secret and no token", settings(null), "missing", 10],
    ["a token that can't be had", settings(null, { keyFault: "there is no such file" }), "missing", 10],
    ["a token of another secret", settings(token({}, NEXT_SECRET)), "invalid", 10],
    ["an expired token", settings(token({ exp: NOW })), "expired", 10],
    ["a paid token", settings(token()), "valid", 1000],
    ["a free token", settings(token({ tier: "free", maxRps: null })), "valid", 50],
    ["a free token with a rate", settings(token({ tier: "free", maxRps: 7 })), "valid", 7],
    ["a token of the older secret", settings(token(), { secret: [NEXT_SECRET, SECRET] }), "valid", 1000],
    ["a token until the year 9999", settings(token({ exp: 253_402_300_799 })), "valid", 1000],
  ];

for (const [what, given, state, answered] of CASES) {
  Deno.test(`${what}: ${state}, ${answered} of 5000 in a second`, async () => {
    await using bed = new Bed(given);
    equal(bed.answered(5000), answered);
    const status = bed.licensing.status();
    equal(status.state, state);
    equal(status.limit, state === "off" ? null : answered);
    equal(status.reason === null, state === "off" || state === "valid");
    equal(status.warnings.length, state === "off" ? 0 : 1, "a rate that is used up is worth a warning, too");
    const exposed = bed.registry.expose();
    if (state === "off") ok(!/^pleiades_license_\w+ /m.test(exposed), exposed);
    else {
      match(exposed, new RegExp(`^pleiades_license_valid ${state === "valid" ? 1 : 0}$`, "m"));
      match(exposed, new RegExp(`^pleiades_license_limit ${answered}$`, "m"));
    }
  });
}

Deno.test("an expiry is told at once and then once a day; workers go by it by themselves", async () => {
  await using bed = new Bed(settings(token({ exp: NOW + 60 })));
  deepEqual(bed.said("warn"), ["The license token expires at 2026-01-01T00:01:00Z"]);
  await bed.clock.advance(59_000);
  equal(bed.answered(2000), 1000);
  deepEqual(bed.said("warn"), []);
  await bed.clock.advance(1000);
  equal(bed.answered(2000), 10);
  const expired = "The license token expired at 2026-01-01T00:01:00Z: the node gives 10 answers a second";
  deepEqual(bed.said("warn"), [expired]);
  equal(bed.licensing.status().reason, "the token has expired");
  await bed.clock.advance(DAY * 1000 + 5 * LOOK_MS);
  deepEqual(bed.said("warn"), [expired]);
});

Deno.test("the last two weeks of a token are told once a day, and in the status", async () => {
  await using bed = new Bed(settings(token({ exp: NOW + 14 * DAY + 100 })));
  await bed.clock.advance(99 * LOOK_MS);
  deepEqual([bed.said("warn"), bed.licensing.status().warnings], [[], []]);
  await bed.clock.advance(DAY * 1000 + 5 * LOOK_MS);
  const expires = "The license token expires at 2026-01-15T00:01:40Z";
  deepEqual(bed.said("warn"), [expires, expires]);
  deepEqual(bed.licensing.status().warnings, [expires]);
});

Deno.test("from 80 % of the rate on its use is told, once a day, and in the status for a minute", async () => {
  await using bed = new Bed(settings(token()));
  bed.answered(799);
  await bed.clock.advance(LOOK_MS);
  deepEqual(bed.said("warn"), []);
  equal(bed.licensing.status().busiest, 799);
  for (let second = 0; second < 100; second++) {
    bed.answered(800);
    await bed.clock.advance(LOOK_MS);
  }
  deepEqual(bed.said("warn"), [
    "The license is nearly used up: 800 of 1000 answers in the busiest second of a minute",
  ]);
  equal(bed.licensing.status().warnings.length, 1);
  await bed.clock.advance(61 * LOOK_MS);
  deepEqual([bed.licensing.status().busiest, bed.licensing.status().warnings], [0, []]);
});

Deno.test("a reload takes a new token over at once, and says so when it is another", async () => {
  await using bed = new Bed(settings(null));
  equal(bed.answered(100), 10);
  bed.said("warn");
  const take = bed.licensing.prepare(settings(token()));
  equal(bed.answered(100), 0, "nothing is taken over by making ready");
  take();
  equal(bed.answered(2000), 990);
  deepEqual(bed.said("info"), ["Licensed"]);
  bed.licensing.prepare(settings(token()))();
  deepEqual(bed.said("info"), []);
  bed.licensing.prepare(settings(null, { secret: [] }))();
  equal(bed.answered(5000), 5000);
  deepEqual(bed.said("info"), ["Licensing is off: no secret is set"]);
});

Deno.test("where the next token can't be read the last good one stays, unless its secret is gone", async () => {
  await using bed = new Bed(settings(token()));
  bed.said("info");
  const unread = { keyFault: "the secret's file license can't be read: there is no such file" };
  bed.licensing.prepare(settings(null, unread))();
  equal(bed.answered(2000), 1000);
  deepEqual(bed.said("warn"), [
    "The license token can't be read, and the one before stays: the secret's file license can't be read: " +
    "there is no such file",
  ]);
  match(bed.licensing.status().warnings[0]!, /can't be read, and the one before stays/);
  bed.licensing.prepare(settings(null, { ...unread, secret: [NEXT_SECRET] }))();
  equal(bed.licensing.status().state, "invalid");
  bed.licensing.prepare(settings(null, unread))();
  equal(bed.licensing.status().state, "valid");
  bed.licensing.prepare(settings("broken"))();
  equal(
    bed.licensing.status().state,
    "invalid",
    "a token that can be read and doesn't count is no slip of the disk",
  );
});

Deno.test("neither secret nor token is in any line, metric or status", async () => {
  const wrong = token({}, NEXT_SECRET);
  for (
    const given of [
      ...CASES.map(([, given]) => given),
      settings(wrong),
      settings(`${wrong}=`),
      settings(SECRET),
    ]
  ) {
    await using bed = new Bed(given);
    bed.answered(2000);
    await bed.clock.advance(3 * LOOK_MS);
    const said = [...bed.lines, bed.registry.expose(), JSON.stringify(bed.licensing.status())].join("\n");
    const hidden = [SECRET, NEXT_SECRET, ...(given.license.key ?? "").split(".")].filter((part) =>
      part !== ""
    );
    for (const each of hidden) ok(!said.includes(each), said);
  }
});
