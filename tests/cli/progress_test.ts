/**
 * The line that says how far an upload is.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { Progress } from "../../src/cli/progress.ts";

Deno.test("a transfer is shown as a bar with bytes and lines, at most ten times a second", () => {
  const drawn: string[] = [];
  let now = 0;
  {
    const status = (text: string) => void drawn.push(text);
    using progress = new Progress({ status }, { bytesTotal: 4_000_000, now: () => now });
    progress.sent({ bytes: 1_000_000, lines: 5_000 });
    now = 50;
    progress.sent({ bytes: 500_000, lines: 2_500 });
    now = 120;
    progress.sent({ bytes: 500_000, lines: 2_500 });
  }
  deepEqual(drawn, [
    "sending [######------------------]  25 %  1.0 MB of 4.0 MB, 5,000 lines",
    "sending [############------------]  50 %  2.0 MB of 4.0 MB, 10,000 lines",
    "",
  ]);
});

Deno.test("without a total only what was sent is shown", () => {
  const drawn: string[] = [];
  {
    using progress = new Progress({ status: (text) => void drawn.push(text) }, { bytesTotal: null });
    progress.sent({ bytes: 10, lines: 1 });
    progress.wait("committing…");
    progress.wait("committing…");
  }
  deepEqual(drawn, ["sending 0.0 MB, 1 lines", ""], "what takes no second isn't counted");
});

Deno.test("the longest line fits a terminal of 80 columns", () => {
  let drawn = "";
  using progress = new Progress({ status: (text) => void (drawn = text) }, { bytesTotal: 256 << 20 });
  progress.sent({ bytes: 256 << 20, lines: 2_000_000 });
  match(drawn, /100 %/);
  equal(drawn.length <= 80, true, `${drawn.length} columns`);
});

Deno.test("nothing is shown, and no timer runs, where stderr is no terminal", () => {
  using progress = new Progress({}, { bytesTotal: 1 });
  progress.sent({ bytes: 1, lines: 1 });
  progress.wait("committing…");
});
