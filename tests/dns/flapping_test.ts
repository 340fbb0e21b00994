/** @module Tests that states of health, and changes, come and go without leaving memory behind. */
import { equal } from "node:assert/strict";

/** Mebibytes of V8's heap: some times what the sources take, and less than all of the states would, or all of the changes. */
const HEAP_MIB = 120;
const STATES = 24_000;
const CHANGES = 200;
const MEASUREMENTS = 5_000;

Deno.test("a pool of 256 members and 1,000 rules may be in any number of states, and be changed any number of times", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--unstable-net", `--v8-flags=--max-old-space-size=${HEAP_MIB}`],
      ...[
        new URL("flapping_pool.ts", import.meta.url).pathname,
        String(STATES),
        String(CHANGES),
        String(MEASUREMENTS),
      ],
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  equal(
    text.decode(stdout).trim(),
    String(STATES + CHANGES + MEASUREMENTS),
    text.decode(stderr).slice(0, 500),
  );
  equal(code, 0);
});
