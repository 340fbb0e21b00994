/** @module Tests of `drain`, `up`, `down`, `undo` and `overrides`, from the command line to the requests they send. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { loginName } from "../../src/cli/login_name.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { planFixture } from "./plan_goldens.ts";
import { problem, type Script, type ScriptedApi, scriptedApi } from "./scripted_api.ts";

const ID = "11111111111111111111111111111111";
const OTHER = "22222222222222222222222222222222";

const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const DRAIN = {
  id: ID,
  target: "region:fra",
  targetName: "region:fra",
  state: "drain",
  phase: "draining",
  reason: "kernel upgrade",
  owner: "alice",
  startsAt: inMs(0),
  // When it is asked for: the files before this one may have taken a while.
  get expiresAt() {
    return inMs(2 * 3_600_000 + 30_500);
  },
  drainMs: 600_000,
  createdAt: inMs(0),
};
const UP = { ...DRAIN, id: OTHER, target: "pool:x", targetName: "pool:web", state: "up", phase: "planned" };

async function pleiades(script: Script, words: readonly string[], environment: Record<string, string> = {}) {
  await using api: ScriptedApi = scriptedApi(script);
  const terminal = capturedTerminal({ PLEIADES_API_URL: api.url, USER: "alice", ...environment });
  const exitCode = await run(words, terminal);
  return {
    exitCode,
    stdout: terminal.stdout(),
    stderr: terminal.stderr(),
    requests: api.asked.map(({ line }) => line),
    last: api.asked.at(-1),
  };
}

Deno.test("drain sends what was typed and who is logged in, and prints a line that a person reads", async () => {
  const { exitCode, stdout, requests, last } = await pleiades(
    { "POST /overrides?reason=kernel+upgrade": DRAIN },
    ["drain", "region:fra", "--for", "2h", "--over", "10m", "--reason", "kernel upgrade"],
  );
  equal(exitCode, 0);
  deepEqual(requests, ["POST /overrides?reason=kernel+upgrade"]);
  deepEqual(JSON.parse(last?.body ?? ""), {
    target: "region:fra",
    state: "drain",
    reason: "kernel upgrade",
    owner: "alice",
    for: "2h",
    drain: "10m",
  });
  const [head, line] = stdout.split("\n");
  match(head!, /^target +state +left +by +why$/);
  match(
    line!,
    /^region:fra {2}draining {2}2 h \d+ s {2}alice {2}kernel upgrade$/,
  );
});

for (const state of ["up", "down"]) {
  Deno.test(`${state} sends its state and no drain; sudo's caller answers for it`, async () => {
    const { exitCode, stdout, last } = await pleiades(
      { "POST /overrides?dryRun=true&reason=why": planFixture("replay") },
      [state, "web/192.0.2.1", "--for", "30m", "--reason", "why", "--dry-run"],
      { USER: "root", SUDO_USER: "bob" },
    );
    equal(exitCode, 0);
    match(stdout, /192\.0\.2\.10 75 %[^]*To do it: without --dry-run/);
    deepEqual(JSON.parse(last?.body ?? ""), {
      target: "web/192.0.2.1",
      state,
      reason: "why",
      owner: "bob",
      for: "30m",
    });
  });
}

Deno.test("a start is a time of day, the next one, or RFC 3339", async () => {
  const startOf = async (at: string) => {
    const { last } = await pleiades(
      { "POST /overrides?reason=why": UP },
      ["up", "pool:web", "--for", "1h", "--reason", "why", "--owner", "carol", "--at", at, "-o", "json"],
    );
    return JSON.parse(last?.body ?? "").startsAt;
  };
  equal(await startOf("2099-02-01T03:00:00+01:00"), "2099-02-01T02:00:00.000Z");
  const next = new Date(await startOf("03:00"));
  deepEqual([next.getHours(), next.getMinutes()], [3, 0]);
  equal(next.getTime() > Date.now() && next.getTime() <= Date.now() + 25 * 3_600_000, true);
});

for (
  const [words, message] of [
    [["drain", "region:fra", "--reason", "why"], /required option '--for <duration>' not specified/],
    [["down", "region:fra", "--for", "1h"], /required option '--reason <text>' not specified/],
    [["down", "region:fra", "--for", "soon", "--reason", "why"], /It must be a duration/],
    [["down", "region:fra", "--for", "0s", "--reason", "why"], /longer than 0s/],
    [["up", "region:fra", "--for", "1h", "--over", "1m", "--reason", "why"], /unknown option '--over'/],
    [["up", "region:fra", "--for", "1h", "--reason", "why", "--at", "25:00"], /Cannot read --at "25:00"/],
    [["up", "region:fra", "--for", "1h", "--reason", "why", "--at", "soon"], /Cannot read --at "soon"/],
    [["overrides", "create", "region:fra", "--state", "off"], /Allowed choices are up, down, drain/],
  ] as const
) {
  Deno.test(`wrong usage sends nothing: ${words.join(" ")}`, async () => {
    const { exitCode, stderr, requests } = await pleiades({}, words);
    equal(exitCode, 2);
    match(stderr, message);
    deepEqual(requests, []);
  });
}

const PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
for (
  const [environment, uid, users, owner] of [
    [{ USER: "alice", SUDO_USER: "bob" }, 0, PASSWD, "bob"],
    [{ USER: "", LOGNAME: "carol" }, 0, PASSWD, "carol"],
    [{}, 0, PASSWD, "root"],
    [{}, 1000, PASSWD, "alice"],
    [{}, 100, PASSWD, "uid:100"],
    [{}, 1000, null, "uid:1000"],
  ] as const
) {
  Deno.test(`user ${uid} under ${JSON.stringify(environment)} is ${owner}`, () => {
    const { env } = capturedTerminal(environment);
    equal(loginName({ env: (name) => env(name) || undefined }, { uid, users: () => users }), owner);
  });
}

Deno.test("an override needs no login name in the environment", async () => {
  const { exitCode, last } = await pleiades(
    { "POST /overrides?reason=why": UP },
    ["up", "pool:web", "--for", "1h", "--reason", "why"],
    { USER: "" },
  );
  equal(exitCode, 0);
  match(JSON.parse(last?.body ?? "").owner, /./);
});

Deno.test("undo and delete print what has ended as JSON", async () => {
  const script = {
    "GET /overrides?target=region%3Afra": [DRAIN],
    [`DELETE /overrides/${ID}`]: new Response(null, { status: 204 }),
  };
  const undone = await pleiades(script, ["undo", "region:fra", "-o", "json"]);
  equal(JSON.parse(undone.stdout)[0].id, ID);
  const deleted = await pleiades(script, ["overrides", "delete", "region:fra", "-o", "json"]);
  equal(JSON.parse(deleted.stdout).id, ID);
});

Deno.test("what the API refuses is said in its words", async () => {
  const { exitCode, stderr } = await pleiades(
    {
      "POST /overrides?reason=why": problem(422, "No", [
        { pointer: "/target", message: 'No member has the region "fre" (did you mean "fra"?)' },
      ]),
    },
    ["down", "region:fre", "--for", "1h", "--reason", "why"],
  );
  equal(exitCode, 1);
  match(stderr, /No member has the region "fre" \(did you mean "fra"\?\)/);
});

Deno.test("undo ends every override of its target", async () => {
  const { exitCode, stderr, requests } = await pleiades(
    {
      "GET /overrides?target=region%3Afra": [DRAIN, { ...DRAIN, id: OTHER, state: "down" }],
      [`DELETE /overrides/${ID}`]: new Response(null, { status: 204 }),
      [`DELETE /overrides/${OTHER}`]: new Response(null, { status: 204 }),
    },
    ["undo", "region:fra"],
  );
  equal(exitCode, 0);
  deepEqual(requests, [
    "GET /overrides?target=region%3Afra",
    `DELETE /overrides/${ID}`,
    `DELETE /overrides/${OTHER}`,
  ]);
  equal(
    stderr,
    "ended: drain of region:fra by alice: kernel upgrade\nended: down of region:fra by alice: kernel upgrade\n",
  );
});

Deno.test("a dry run of undo and delete prints its plan, and says nothing of what has ended", async () => {
  const script = {
    "GET /overrides?target=region%3Afra": [DRAIN],
    [`DELETE /overrides/${ID}?dryRun=true`]: planFixture("replay"),
  };
  for (const words of [["undo", "region:fra"], ["overrides", "delete", "region:fra"]]) {
    const { exitCode, stdout, stderr } = await pleiades(script, [...words, "--dry-run"]);
    deepEqual([exitCode, stderr], [0, ""]);
    match(stdout, /^1 member changed\n/);
    const json = await pleiades(script, [...words, "--dry-run", "-o", "json"]);
    deepEqual(JSON.parse(json.stdout), planFixture("replay"));
  }
});

Deno.test("undo of what isn't overridden fails, and says where to look", async () => {
  const { exitCode, stderr } = await pleiades({ "GET /overrides?target=pool%3Aweb": [] }, [
    "undo",
    "pool:web",
  ]);
  equal(exitCode, 1);
  match(stderr, /Nothing overrides "pool:web" \("pleiades overrides list" shows/);
});

Deno.test("overrides list shows what is planned, and says so when nothing is overridden", async () => {
  const { stdout } = await pleiades({ "GET /overrides": [DRAIN, UP] }, ["overrides", "list"]);
  match(stdout, /^pool:web +up, planned /m);
  const none = await pleiades({ "GET /overrides": [] }, ["overrides", "list"]);
  deepEqual([none.exitCode, none.stdout, none.stderr], [0, "", "Nothing is overridden\n"]);
  const json = await pleiades({ "GET /overrides": [] }, ["overrides", "list", "-o", "json"]);
  equal(json.stdout, "[]\n");
});

Deno.test("overrides list -o wide has the times and ids as well", async () => {
  const { stdout } = await pleiades({ "GET /overrides": [DRAIN] }, ["overrides", "list", "-o", "wide"]);
  match(
    stdout,
    /^region:fra {2}draining .*kernel upgrade {2}\d{4}-\d\d-\d\d \d\d:\d\d {2}\d{4}-\d\d-\d\d \d\d:\d\d {2}1{32}$/m,
  );
});

const MEMBER = "33333333333333333333333333333333";
const MEMBERS: Script = {
  "GET /pools": [{ id: "p1", name: "web" }, { id: "p2", name: "shop" }],
  "GET /pools/p1/members": [{ id: MEMBER, poolId: "p1", ipAddress: "192.0.2.1", port: 443 }],
  "GET /pools/p2/members": [{ id: OTHER, poolId: "p2", ipAddress: "192.0.2.2", port: 443 }, {
    id: ID,
    poolId: "p2",
    ipAddress: "192.0.2.2",
    port: 80,
  }],
};

Deno.test("an address alone is the one member that has it, in every command of overrides", async () => {
  const made = await pleiades(
    { ...MEMBERS, "POST /overrides?reason=why": UP },
    ["down", "192.0.2.1", "--for", "1h", "--reason", "why"],
  );
  equal(JSON.parse(made.last?.body ?? "").target, `member:${MEMBER}`);
  const path = `GET /overrides?target=member%3A${MEMBER}`;
  const undone = await pleiades(
    { ...MEMBERS, [path]: [UP], [`DELETE /overrides/${OTHER}`]: new Response(null, { status: 204 }) },
    ["undo", "192.0.2.1:443"],
  );
  equal(undone.exitCode, 0);
  const several = await pleiades(MEMBERS, ["down", "192.0.2.2", "--for", "1h", "--reason", "why"]);
  equal(several.exitCode, 1);
  match(several.stderr, /is the name of 2 members: shop\/192\.0\.2\.2:443, shop\/192\.0\.2\.2:80/);
});

Deno.test("overrides get and delete take an id or a target that has one override", async () => {
  const byId = await pleiades({ [`GET /overrides/${ID}`]: DRAIN }, ["overrides", "get", ID, "-o", "json"]);
  equal(JSON.parse(byId.stdout).id, ID);
  const byTarget = await pleiades(
    {
      "GET /overrides?target=region%3Afra": [DRAIN],
      [`DELETE /overrides/${ID}?reason=done`]: new Response(null, { status: 204 }),
    },
    ["overrides", "delete", "region:fra", "--reason", "done"],
  );
  equal(byTarget.exitCode, 0);
  const several = await pleiades(
    { "GET /overrides?target=region%3Afra": [DRAIN, UP] },
    ["overrides", "delete", "region:fra"],
  );
  equal(several.exitCode, 1);
  match(several.stderr, /2 overrides are on "region:fra": 1{32} \(drain\), 2{32} \(up\); give the id/);
});

Deno.test("overrides create is drain, up and down with the state as a flag", async () => {
  const { last } = await pleiades(
    { "POST /overrides?reason=why": UP },
    ["overrides", "create", "pool:web", "--state", "up", "--for", "1h", "--reason", "why"],
  );
  equal(JSON.parse(last?.body ?? "").state, "up");
});
