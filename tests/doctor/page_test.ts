/** @module The page of the doctor names every check. */
import { deepEqual } from "node:assert/strict";
import { ROOT } from "../../scripts/process.ts";
import { agentRecord } from "../../src/agent/doctor_check.ts";
import { CHECKS } from "../../src/doctor/checks.ts";

Deno.test("docs/doctor.md names every check, and no other", () => {
  const page = Deno.readTextFileSync(`${ROOT}/docs/doctor.md`);
  const named = [...page.matchAll(/^\| `([a-z-]+)`/gm)].map(([, name]) => name!);
  const real = new Set(["settings", ...[...CHECKS, agentRecord].map(({ id }) => id)]);
  deepEqual(named.toSorted(), [...real].toSorted());
});
