/** @module Tests of `pleiades failback`, from the command line to the requests it sends. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { problem, type Script, scriptedApi } from "./scripted_api.ts";

const POOL = "11111111111111111111111111111111";
const ID = "22222222222222222222222222222222";
const OTHER = "33333333333333333333333333333333";
const MEMBER = {
  id: ID,
  poolId: POOL,
  ipAddress: "192.0.2.1",
  target: null,
  port: 443,
  health: { state: "healthy", eligible: true, why: null },
};
const WORLD: Script = {
  "GET /pools": [{ id: POOL, name: "web" }],
  [`GET /pools/${POOL}/members`]: [MEMBER, { ...MEMBER, id: OTHER, port: 80 }],
  [`POST /members/${ID}/failback`]: MEMBER,
  [`POST /members/${ID}/failback?dryRun=true`]: MEMBER,
};

async function pleiades(...words: string[]) {
  await using api = scriptedApi(WORLD);
  const terminal = capturedTerminal({ PLEIADES_API_URL: api.url });
  const exitCode = await run(["failback", ...words], terminal);
  return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr(), last: api.asked.at(-1) };
}

for (
  const reference of [ID, `member:${ID}`, "web/192.0.2.1:443", "member:web/192.0.2.1:443", "192.0.2.1:443"]
) {
  Deno.test(`failback ${reference} finds the member, and prints how it stands`, async () => {
    const { exitCode, stdout, last } = await pleiades(reference, "--reason", "looks well");
    equal(exitCode, 0);
    deepEqual([last?.line, last?.body], [`POST /members/${ID}/failback`, '{"reason":"looks well"}']);
    match(stdout, /^member .*\n192\.0\.2\.1:443 +healthy +yes +-/);
  });
}

Deno.test("a dry run says that it is one", async () => {
  const { exitCode, stderr, last } = await pleiades(ID, "--dry-run");
  deepEqual([exitCode, last?.line], [0, `POST /members/${ID}/failback?dryRun=true`]);
  match(stderr, /dry run: nothing was changed/);
});

const WRONG: readonly [reference: string, exitCode: number, stderr: RegExp][] = [
  ["pool:web", 2, /Cannot read the member "pool:web": give its id, or POOL\/ADDRESS\[:PORT\]/],
  ["192.0.2.1", 1, /is the name of 2 members: web\/192\.0\.2\.1:443, web\/192\.0\.2\.1:80 \(give one/],
  [
    "web/192.0.2.1",
    1,
    /"web\/192\.0\.2\.1" is the name of 2 members: web\/192\.0\.2\.1:443, .*give one of these/,
  ],
  [
    "web/192.0.2.9",
    1,
    /No member is called "web\/192\.0\.2\.9" \("pleiades members list --pool web" shows them\)/,
  ],
  ["shop/192.0.2.1", 1, /No pool is called "shop"/],
];

for (const [reference, code, stderr] of WRONG) {
  Deno.test(`failback ${reference} is refused with the mend`, async () => {
    const result = await pleiades(reference);
    equal(result.exitCode, code);
    match(result.stderr, stderr);
  });
}

Deno.test("what the node refuses is said as it says it", async () => {
  await using api = scriptedApi({
    [`POST /members/${ID}/failback`]: problem(409, "Member 192.0.2.1 can't be failed back"),
  });
  const terminal = capturedTerminal({ PLEIADES_API_URL: api.url });
  equal(await run(["failback", ID], terminal), 1);
  match(terminal.stderr(), /can't be failed back/);
});
