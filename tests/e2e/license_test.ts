/**
 * A short run of `prove license`; its bars need the long one.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { licensed } from "../prove/license.ts";
import { testWith } from "../programs.ts";

testWith(
  ["cc"],
  "a license gives what it allows, over UDP and TCP, while snapshots are written",
  async () => {
    const options = { seconds: 1, perSecond: 2_000, limit: 100, services: 2_000, onStep: () => {} };
    const rows = await licensed({ ...options, only: /^UDP and TCP, 2 workers|^UDP, while/ });
    ok(rows.length === 3, "both transports, and the one with snapshots");
    for (const { title, seconds } of rows) {
      const sum = (of: (second: typeof seconds[number]) => number) =>
        seconds.reduce((total, second) => total + of(second), 0);
      const [answered, refused] = [sum(({ answered }) => answered), sum(({ refused }) => refused)];
      // On a busy machine answers of one second may come in the next one.
      ok(
        answered > 0 && answered <= 100 * (seconds.length + 1),
        `${title}: ${answered} in ${seconds.length} s`,
      );
      ok(refused > answered, `${title}: ${refused} refused`);
    }
  },
);
