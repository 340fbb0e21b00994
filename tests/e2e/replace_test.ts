/**
 * One node, one process: what a second `serve` does while the first one runs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { testWith } from "../programs.ts";
import { isGood, replace } from "../prove/replace.ts";
import { isGood as isUpgraded, upgrade } from "../prove/upgrade.ts";
import { ServeProcess } from "../serve_process.ts";

Deno.test({
  name: "a second serve on the same database ends within a second, with exit code 1, and names the process",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const args = ["--db", `${folder}/pleiades.db`];
    await using first = await ServeProcess.start({ args });
    await using second = ServeProcess.spawn({ args });
    const { code } = await second.ended();
    assert.equal(code, 1);
    const { message, pid } = JSON.parse(second.lines.at(-1)!);
    assert.match(message, /is the database of a node that is running: process \d+ \(stop it/);
    assert.equal(pid, first.pid);
    assert.equal((await fetch(`${first.api}/health`).then((response) => response.json())).status, "ok");
    first.kill("SIGTERM");
    assert.equal((await first.ended()).code, 0);
    await using third = await ServeProcess.start({ args });
    assert.notEqual(third.pid, first.pid);
  },
});

testWith(
  ["dnsperf"],
  "three replacements lose no query, reset no connection and let no counter fall",
  async () => {
    const report = await replace({ rounds: 3, perSecond: 2_000, opening: 5, staying: 5, pauseMs: 0 });
    assert(isGood(report), JSON.stringify(report));
  },
);

Deno.test({
  name:
    "a newer version that is killed before it is ready leaves the older one and its database as they were",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const report = await upgrade(2);
    assert(isUpgraded(report), JSON.stringify(report));
  },
});
