/**
 * What `explain` and `budget` print. `deno run -A tests/golden/update.ts` writes the accounts anew.
 *
 * @module
 */
import { equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { accountOf, GOLDEN, NIGHT, nightWorld } from "../explain/night.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { scriptedApi } from "./scripted_api.ts";

for (const [name, args] of Object.entries(NIGHT)) {
  Deno.test(`explain ${args.join(" ")} prints what ${name}.txt has`, async () => {
    equal(await accountOf(args), await Deno.readTextFile(`${GOLDEN}${name}.txt`));
  });
}

Deno.test("-o json prints what the API said, whole", async () => {
  const { explainer } = nightWorld();
  const budget = explainer.budget("tiers.example.com");
  await using api = scriptedApi({ "GET /budget?name=tiers.example.com": budget });
  const terminal = capturedTerminal();
  equal(await run(["budget", "tiers.example.com", "-o", "json", "--api", api.url], terminal), 0);
  equal(terminal.stdout(), `${JSON.stringify(budget, null, 2)}\n`);
});

Deno.test("budget prints the worst and the typical time for each pool of the chain, and past failovers", async () => {
  const { explainer } = nightWorld();
  const failover = {
    pool: "tiers",
    member: "192.0.2.21:443",
    check: "tcp 443",
    direction: "down",
    at: "2026-01-31T02:57:00.000Z",
    detectedMs: 5_123,
    heldMs: 30_000,
  };
  const budget = { ...explainer.budget("tiers.example.com"), flipGuardHoldMs: 30_000, failovers: [failover] };
  await using api = scriptedApi({ "GET /budget?name=tiers.example.com": budget });
  const terminal = capturedTerminal();
  equal(await run(["budget", "tiers.example.com", "--api", api.url], terminal), 0);
  equal(
    terminal.stdout(),
    [
      "tiers.example.com: the service tiers.example.com, TTL 30 s",
      "",
      "pool tiers: tcp every 2 s, timeout 0.5 s, fall 3, rise 2",
      "pool spare: no health check, so a fault is never seen",
      "",
      "pool   a member  answers show it after  the last cache after",
      "tiers  refuses   5 s, at worst 6 s      35 s, at worst 36 s",
      "tiers  hangs     5.5 s, at worst 6.5 s  35.5 s, at worst 36.5 s",
      "tiers  recovers  3 s, at worst 4.5 s    -",
      "",
      "when very many targets go down at once, the flip guard adds 30 s at most",
      "",
      "at                        pool   member          went  seen within  held  by",
      "2026-01-31T02:57:00.000Z  tiers  192.0.2.21:443  down  5.12 s       30 s  tcp 443",
      "",
    ].join("\n"),
  );
});

Deno.test("explain without a name, and with a flag that doesn't exist, is wrong usage", async () => {
  for (const args of [["explain"], ["explain", "www.example.com", "--klient", "x"]]) {
    const terminal = capturedTerminal();
    equal(await run(args, terminal), 2);
    match(terminal.stderr(), /^error: /);
  }
});
