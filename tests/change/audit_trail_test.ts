/**
 * How refused attempts come into the audit, and how it is kept within its limits.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { type Attempt, AuditTrail } from "../../src/change/audit_trail.ts";
import { Changes } from "../../src/change/commit.ts";
import type { AuditOutcome } from "../../src/store/audit.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { poolFields } from "./samples.ts";

const DAY_MS = 86_400_000;

function world({ keep = 100, maxAgeMs = DAY_MS } = {}) {
  const store = Store.memory();
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: "warn", format: "json", clock, write: (line) => lines.push(line) });
  const trail = new AuditTrail({ store, clock, log, limits: { keep, maxAgeMs } });
  const changes = new Changes({ store, clock });
  let pools = 0;
  return {
    ...{ store, clock, trail, lines },
    change: () => {
      const id = (++pools).toString(16).padStart(32, "0");
      changes.commit([{ kind: "createPool", id, fields: poolFields({ name: `p${pools}` }) }], {
        ...{ via: "api", by: "anna", reason: "" },
      });
    },
    rows: (outcome: AuditOutcome | null = null) => store.audit.page({ limit: 10_000 }, outcome).items,
    [Symbol.asyncDispose]: async () => {
      await trail[Symbol.asyncDispose]();
      store.close();
    },
  };
}

function attempt(from: string, detail = "The token is not known"): Attempt {
  const request = { from, line: "GET /api/v1/pools", tokenId: null };
  return { origin: { via: "api", by: "", reason: "", request }, outcome: "refused", status: 401, detail };
}

Deno.test("attempts that are alike are one row with their number; it is written within a second", async () => {
  await using w = world();
  for (let i = 0; i < 1_000; i++) w.trail.note(attempt("192.0.2.1"));
  w.trail.note(attempt("192.0.2.2"));
  equal(w.rows().length, 0);
  await w.clock.advance(1_000);
  deepEqual(w.rows().map(({ from, count }) => [from, count]), [["192.0.2.2", 1], ["192.0.2.1", 1_000]]);
});

Deno.test("however many attempts a second has, it has 65 rows at most, and every attempt is counted", async () => {
  await using w = world({ keep: 10_000 });
  for (let i = 0; i < 10_000; i++) w.trail.note(attempt(`2001:db8::${i.toString(16)}`));
  await w.clock.advance(1_000);
  equal(w.rows().length, 65);
  equal(w.rows().reduce((sum, { count }) => sum + count, 0), 10_000);
  match(w.rows()[0]!.detail, /more attempts of this second/);
});

Deno.test("refusals push no change out, nor changes refusals", async () => {
  await using w = world({ keep: 3 });
  for (let i = 0; i < 5; i++) w.change();
  for (let i = 0; i < 50; i++) w.trail.note(attempt(`192.0.2.${i}`));
  await w.clock.advance(1_000);
  deepEqual(w.rows("done").map(({ generation }) => generation), [5, 4, 3]);
  deepEqual(w.rows("refused").map(({ from }) => from), ["192.0.2.49", "192.0.2.48", "192.0.2.47"]);
});

Deno.test("what is too old is deleted, without anything new", async () => {
  await using w = world({ maxAgeMs: 3_600_000 });
  w.change();
  w.trail.note(attempt("192.0.2.1"));
  await w.clock.advance(3_500_000);
  equal(w.rows().length, 2);
  await w.clock.advance(200_000);
  equal(w.rows().length, 0);
});

Deno.test("what can't be written now is written later, and nothing is lost at the end", async () => {
  const w = world();
  using loan = w.store.lend();
  w.trail.note(attempt("192.0.2.1"));
  await w.clock.advance(5_000);
  equal(w.rows().length, 0);
  loan[Symbol.dispose]();
  w.trail.note(attempt("192.0.2.2"));
  await w.trail[Symbol.asyncDispose]();
  equal(w.rows().length, 2);
  deepEqual(w.lines, []);
  w.store.close();
});

Deno.test("a database that fails ends neither the writing nor the node", async () => {
  const w = world();
  w.store.database.exec("ALTER TABLE audit RENAME TO elsewhere");
  w.trail.note(attempt("192.0.2.1"));
  await w.clock.advance(1_000);
  match(w.lines.join("\n"), /can't be written to the audit/);
  w.store.database.exec("ALTER TABLE elsewhere RENAME TO audit");
  await w.clock.advance(2_000);
  equal(w.rows().length, 1);
  await w[Symbol.asyncDispose]();
});

Deno.test("a change that isn't kept has no row, and long texts are cut", async () => {
  await using w = world();
  w.trail.note(attempt("192.0.2.1", "x".repeat(10_000)));
  await w.clock.advance(1_000);
  equal(w.rows()[0]!.detail.length, 300);
  const changes = new Changes(w);
  const edit = { kind: "createPool", id: "a".repeat(32), fields: poolFields({ name: "a" }) } as const;
  changes.dryRun([edit], { via: "api", by: "", reason: "" });
  equal(w.rows("done").length, 0);
});
