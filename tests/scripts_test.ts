/** @module Tests of the task scripts. */
import { deepEqual } from "node:assert/strict";
import { tally } from "../scripts/test.ts";

Deno.test("tally() reads Deno's summary, coloured or not", () => {
  deepEqual(tally("…\nok | 12 passed (3 steps) | 0 failed | 2 ignored (4s)\n", 0), {
    passed: 12,
    failed: 0,
    ignored: 2,
  });
  deepEqual(tally("\x1b[31mFAILED\x1b[0m | 9 passed | 1 failed (1 step) (3s)", 1), {
    passed: 9,
    failed: 1,
    ignored: 0,
  });
});

Deno.test("tally() counts a run that broke off without a summary as one failure", () => {
  deepEqual(tally("error: Type checking failed.", 1), { passed: 0, failed: 1, ignored: 0 });
});

Deno.test("tally() counts a run that failed although no test did", () => {
  deepEqual(tally("ok | 3 passed | 0 failed (1s)", 1), { passed: 3, failed: 1, ignored: 0 });
});
