/** @module Tests of the noun-verb commands, from the command line to the requests they send. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { planFixture } from "./plan_goldens.ts";
import { problem, type Script, type ScriptedApi, scriptedApi } from "./scripted_api.ts";

const WEB = "11111111111111111111111111111111";
const SPARE = "22222222222222222222222222222222";
const MEMBER = "33333333333333333333333333333333";
const SERVICE = "44444444444444444444444444444444";
const RULE = "55555555555555555555555555555555";

const POOLS = [
  { id: WEB, name: "web", algorithm: "round-robin", maxAnswers: 1, onAllDown: "all", fallbackPoolId: null },
  { id: SPARE, name: "spare", algorithm: "failover", maxAnswers: 0, onAllDown: "none", fallbackPoolId: null },
];
const MEMBERS = [{
  id: MEMBER,
  poolId: WEB,
  ipAddress: "192.0.2.1",
  port: 443,
  weight: 3,
  priority: 0,
  enabled: true,
  health: { state: "healthy" },
}];

async function pleiades(script: Script, line: string, environment: Record<string, string> = {}) {
  await using api: ScriptedApi = scriptedApi(script);
  const terminal = capturedTerminal({ PLEIADES_API_URL: api.url, ...environment });
  const exitCode = await run(line.split(" "), terminal);
  return {
    exitCode,
    stdout: terminal.stdout(),
    stderr: terminal.stderr(),
    requests: api.asked.map(({ line }) => line),
    last: api.asked.at(-1),
  };
}

Deno.test("pools create sends the flags by their JSON names and prints what was made", async () => {
  const { exitCode, stdout, last } = await pleiades(
    { "POST /pools": POOLS[0] },
    "pools create web --algorithm round-robin --max-answers 2",
  );
  equal(exitCode, 0);
  deepEqual(JSON.parse(last?.body ?? ""), { name: "web", algorithm: "round-robin", maxAnswers: 2 });
  equal(
    stdout,
    "name  algorithm    max answers  all down\n" + "web   round-robin  1            all\n",
  );
});

Deno.test("members create finds the pool by its name", async () => {
  const { exitCode, stdout, requests, last } = await pleiades(
    { "GET /pools": POOLS, [`POST /pools/${WEB}/members`]: MEMBERS[0] },
    "members create --pool web --ip 192.0.2.1 --port 443 --weight 3",
  );
  equal(exitCode, 0);
  deepEqual(requests, ["GET /pools", `POST /pools/${WEB}/members`]);
  deepEqual(JSON.parse(last?.body ?? ""), { ipAddress: "192.0.2.1", port: 443, weight: 3 });
  match(stdout, /^web +192\.0\.2\.1 +443 +3 +healthy +yes +-$/m);
});

Deno.test("members create takes the address as a word, too", async () => {
  const { exitCode, last } = await pleiades(
    { "GET /pools": POOLS, [`POST /pools/${WEB}/members`]: MEMBERS[0] },
    "members create 192.0.2.1 --pool web --port 443",
  );
  equal(exitCode, 0);
  deepEqual(JSON.parse(last?.body ?? ""), { ipAddress: "192.0.2.1", port: 443 });
});

for (
  const line of [
    "pools get spar",
    "pools delete sapre",
    "members list --pool Spare1",
    "health-checks get spre",
    "services create www.example.com --pool spere",
  ]
) {
  Deno.test(`a pool that isn't there brings the one to mind that was meant: ${line}`, async () => {
    const { exitCode, stderr } = await pleiades({ "GET /pools": POOLS }, line);
    equal(exitCode, 1);
    match(stderr, /^error: No pool is called "\w+" \(did you mean "spare"\?\)\n$/);
  });
}

Deno.test("an id needs no look-up", async () => {
  const { exitCode, requests } = await pleiades(
    { [`PATCH /members/${MEMBER}`]: MEMBERS[0] },
    `members update ${MEMBER} --no-enabled -o json`,
  );
  equal(exitCode, 0);
  deepEqual(requests, [`PATCH /members/${MEMBER}`]);
});

Deno.test("a member is found by its address, in any form, with or without its port", async () => {
  const script = {
    "GET /pools": POOLS,
    [`GET /pools/${WEB}/members`]: [{ ...MEMBERS[0], ipAddress: "2001:db8::1" }],
    [`GET /pools/${SPARE}/members`]: [],
    [`DELETE /members/${MEMBER}`]: new Response(null, { status: 204 }),
  };
  for (const reference of ["2001:DB8:0::1", "[2001:db8::1]:443"]) {
    const { exitCode, requests, stderr } = await pleiades(script, `members delete ${reference}`);
    equal(exitCode, 0);
    equal(requests.at(-1), `DELETE /members/${MEMBER}`);
    equal(stderr, `deleted: member ${reference}\n`);
  }
});

Deno.test("a member is found by its pool, its address and its port, in every command that takes one", async () => {
  const twin = { ...MEMBERS[0], id: RULE, port: 80 };
  const script = {
    "GET /pools": POOLS,
    [`GET /pools/${WEB}/members`]: [MEMBERS[0], twin],
    [`GET /pools/${SPARE}/members`]: [{ ...twin, id: SERVICE, poolId: SPARE }],
    [`GET /members/${MEMBER}`]: MEMBERS[0],
    [`PATCH /members/${RULE}`]: twin,
    [`DELETE /members/${SERVICE}`]: new Response(null, { status: 204 }),
    [`POST /pools/${WEB}/geo-rules`]: { id: RULE, poolId: WEB, memberId: MEMBER, asn: 64500 },
  };
  for (
    const [line, request] of [
      ["members get web/192.0.2.1:443", `GET /members/${MEMBER}`],
      ["members get member:web/192.0.2.1:443", `GET /members/${MEMBER}`],
      ["members update web/192.0.2.1:80 --weight 2 -o json", `PATCH /members/${RULE}`],
      ["members delete spare/192.0.2.1", `DELETE /members/${SERVICE}`],
      ["members delete 192.0.2.1 --pool spare", `DELETE /members/${SERVICE}`],
      [
        "geo-rules create --pool web --asn 64500 --member web/192.0.2.1:443 -o json",
        `POST /pools/${WEB}/geo-rules`,
      ],
    ] as const
  ) {
    const { exitCode, requests, stderr } = await pleiades(script, line);
    equal(exitCode, 0, stderr);
    equal(requests.at(-1), request);
  }
});

Deno.test("members create takes the port behind the address", async () => {
  const script = { [`POST /pools/${WEB}/members`]: MEMBERS[0] };
  for (
    const [word, json] of [
      ["192.0.2.7:443", { ipAddress: "192.0.2.7", port: 443 }],
      ["[2001:db8::7]:443", { ipAddress: "2001:db8::7", port: 443 }],
      ["lb.example.net:443", { target: "lb.example.net", port: 443 }],
    ] as const
  ) {
    const { last } = await pleiades(script, `members create ${word} --pool ${WEB} -o json`);
    deepEqual(JSON.parse(last?.body ?? ""), json);
  }
  const { exitCode, stderr } = await pleiades(script, `members create 192.0.2.7:443 --port 80 --pool ${WEB}`);
  equal(exitCode, 2);
  match(stderr, /"192\.0\.2\.7:443" and --port 80 differ/);
});

Deno.test("lists show how many members of a pool may be answered, and ids only when asked for all", async () => {
  const states = [
    { poolId: WEB, members: 3, healthy: 2, answersWhenDown: "answering all" },
    { poolId: SPARE, members: 0, healthy: 0, answersWhenDown: "NODATA" },
  ];
  const script = {
    "GET /pools": POOLS,
    "GET /pool-states": states,
    "GET /services": [{ id: SERVICE, domain: "www.example.com", poolId: WEB, ttl: 30, minTtl: 0, ecs: true }],
  };
  equal(
    (await pleiades(script, "pools list")).stdout,
    "name   healthy  algorithm    max answers  all down\n" +
      "web    2/3      round-robin  1            all\n" +
      "spare  0/0      failover     0            none\n",
  );
  equal(
    (await pleiades(script, "services list")).stdout,
    "domain           pool  healthy  ttl\n" + "www.example.com  web   2/3      30\n",
  );
  match((await pleiades(script, "pools list -o wide")).stdout, new RegExp(` ${WEB}$`, "m"));
});

const SICK = { state: "unhealthy", eligible: false, why: "down by its check: connection refused" };
const OVERRIDE = { state: "down", owner: "alice", reason: "disk is failing" };
for (
  const [member, answered, why] of [
    [{ health: SICK }, "no", "down by its check: connection refused"],
    [{ enabled: false }, "no", "disabled"],
    [{ override: OVERRIDE }, "no", "down by alice: disk is failing"],
    [{ health: SICK, override: { ...OVERRIDE, state: "up" } }, "yes", "up by alice: disk is failing"],
    [{ override: { ...OVERRIDE, state: "drain" } }, "draining", "drain by alice: disk is failing"],
    [{ health: { ...SICK, eligible: true, why: "held by the flip guard" } }, "yes", "held by the flip guard"],
  ] as const
) {
  Deno.test(`members list says whether a member is answered, and why: ${answered}, ${why}`, async () => {
    const { stdout } = await pleiades({
      "GET /pools": [POOLS[0]],
      [`GET /pools/${WEB}/members`]: [{ ...MEMBERS[0], ...member }],
      "GET /pool-states": [{ poolId: WEB, members: 3, healthy: 2, answersWhenDown: "answering all" }],
    }, "members list");
    match(stdout, new RegExp(` ${answered} +${why}$`, "m"));
  });
}

for (const [answersWhenDown, answered] of [["answering all", "yes, all down"], ["NODATA", "no"]]) {
  Deno.test(`members list says of the members of a pool that is down: ${answered}`, async () => {
    const forcedDown = { ...MEMBERS[0], override: OVERRIDE };
    const { stdout } = await pleiades({
      "GET /pools": [POOLS[0]],
      [`GET /pools/${WEB}/members`]: [{ ...MEMBERS[0], health: SICK }, forcedDown],
      "GET /pool-states": [{ poolId: WEB, members: 2, healthy: 0, answersWhenDown }],
    }, "members list");
    const cells = stdout.trimEnd().split("\n").slice(1).map((line) => / {2}(yes.*?|no) {2}/.exec(line)?.[1]);
    deepEqual(cells, [answered, "no"]);
  });
}

Deno.test("a name that fits several objects is refused with their names", async () => {
  const twin = { ...MEMBERS[0], id: RULE, poolId: SPARE };
  const { exitCode, stderr } = await pleiades({
    "GET /pools": POOLS,
    [`GET /pools/${WEB}/members`]: MEMBERS,
    [`GET /pools/${SPARE}/members`]: [twin],
  }, "members delete 192.0.2.1");
  equal(exitCode, 1);
  equal(
    stderr,
    `error: "192.0.2.1" is the name of 2 members: web/192.0.2.1:443, spare/192.0.2.1:443 (give one of these)\n`,
  );
});

Deno.test("a name that nothing has is refused with the command that shows the names", async () => {
  const { exitCode, stderr } = await pleiades({ "GET /services": [] }, "services get www.example.com");
  equal(exitCode, 1);
  equal(stderr, `error: No service is called "www.example.com" ("pleiades services list" shows them)\n`);
});

Deno.test("services find their name in any case and with a final dot", async () => {
  const service = { id: SERVICE, domain: "www.example.com", poolId: WEB, ttl: 30, ecs: true };
  const { exitCode, last } = await pleiades(
    { "GET /services": [service], [`PATCH /services/${SERVICE}`]: { ...service, poolId: null } },
    "services update WWW.example.com. --no-pool -o json",
  );
  equal(exitCode, 0);
  deepEqual(JSON.parse(last?.body ?? ""), { poolId: null });
});

Deno.test("list follows the pages", async () => {
  const first = Response.json([POOLS[0]], { headers: { link: `</api/v1/pools?cursor=web>; rel="next"` } });
  const { exitCode, stdout, requests } = await pleiades(
    { "GET /pools": first, "GET /pools?cursor=web": [POOLS[1]] },
    "pools list -o json",
  );
  equal(exitCode, 0);
  deepEqual(requests, ["GET /pools", "GET /pools?cursor=web"]);
  deepEqual(JSON.parse(stdout), POOLS);
});

Deno.test("health-checks set replaces, with durations in milliseconds", async () => {
  const { exitCode, last } = await pleiades(
    { "GET /pools": POOLS, [`PUT /pools/${WEB}/health-check`]: { type: "https" } },
    "health-checks set --pool web --type https --interval 2s --timeout 500ms --path /healthz",
  );
  equal(exitCode, 0);
  deepEqual(JSON.parse(last?.body ?? ""), {
    type: "https",
    intervalMs: 2000,
    timeoutMs: 500,
    httpPath: "/healthz",
  });
});

Deno.test("health-checks update keeps the other fields, and only over the state that it read", async () => {
  const path = `/pools/${WEB}/health-check`;
  const read = Response.json({ type: "tcp", rise: 5, poolId: WEB }, { headers: { etag: `"7"` } });
  const { exitCode, last } = await pleiades(
    { "GET /pools": POOLS, [`GET ${path}`]: read, [`PUT ${path}`]: { type: "tcp", rise: 5 } },
    "health-checks update web --fall 9",
  );
  equal(exitCode, 0);
  equal(last?.headers.get("if-match"), `"7"`);
  deepEqual(JSON.parse(last?.body ?? ""), { type: "tcp", rise: 5, fall: 9 });
});

Deno.test("a health check's time-out goes along where only the interval is lowered", async () => {
  const path = `/pools/${WEB}/health-check`;
  for (
    const [flags, intervalMs, timeoutMs] of [
      ["--interval 1s", 1000, 1000],
      ["--interval 3s", 3000, 2000],
      // What is typed is sent, so that the refusal names it.
      ["--interval 1s --timeout 4s", 1000, 4000],
    ] as const
  ) {
    const read = Response.json({ intervalMs: 10_000, timeoutMs: 2000 }, { headers: { etag: `"7"` } });
    const { last } = await pleiades(
      { "GET /pools": POOLS, [`GET ${path}`]: read, [`PUT ${path}`]: {} },
      `health-checks update web ${flags}`,
    );
    deepEqual(JSON.parse(last?.body ?? ""), { intervalMs, timeoutMs }, flags);
  }
});

Deno.test("health-checks list leaves out pools without one", async () => {
  const { exitCode, stdout } = await pleiades(
    { "GET /pools": POOLS, [`GET /pools/${WEB}/health-check`]: { type: "tcp", rise: 2 } },
    "health-checks list",
  );
  equal(exitCode, 0);
  match(stdout, /^web +tcp/m);
  equal(stdout.split("\n").length, 3);
});

Deno.test("geo-rules create finds the member by its address", async () => {
  const { exitCode, last } = await pleiades({
    "GET /pools": POOLS,
    [`GET /pools/${WEB}/members`]: MEMBERS,
    [`POST /pools/${WEB}/geo-rules`]: { id: RULE, poolId: WEB, memberId: MEMBER, cidr: "198.51.100.0/24" },
  }, "geo-rules create --pool web --cidr 198.51.100.0/24 --member 192.0.2.1 -o yaml");
  equal(exitCode, 0);
  deepEqual(JSON.parse(last?.body ?? ""), { cidr: "198.51.100.0/24", memberId: MEMBER });
});

Deno.test("the word after members create is an address or a host name", async () => {
  const script = { [`POST /pools/${WEB}/members`]: MEMBERS[0] };
  for (
    const [word, json] of [
      ["192.0.2.7", { ipAddress: "192.0.2.7" }],
      ["2001:db8::7", { ipAddress: "2001:db8::7" }],
      ["192.0.2.777", { ipAddress: "192.0.2.777" }],
      ["lb.example.net", { target: "lb.example.net" }],
    ] as const
  ) {
    const { last } = await pleiades(script, `members create ${word} --pool ${WEB} --port 443 -o json`);
    deepEqual(JSON.parse(last?.body ?? ""), { ...json, port: 443 });
  }
});

Deno.test("members by name are listed, found and referred to by their host names", async () => {
  const members = [{ ...MEMBERS[0], ipAddress: null, target: "lb.example.net", port: 443 }];
  const { stdout } = await pleiades(
    { "GET /pools": POOLS, [`GET /pools/${WEB}/members`]: members },
    "members list --pool web",
  );
  match(stdout, /^web +lb\.example\.net +443 /m);
  for (const word of ["LB.example.net.", "lb.example.net:443"]) {
    const { last } = await pleiades({
      "GET /pools": POOLS,
      [`GET /pools/${WEB}/members`]: members,
      [`POST /pools/${WEB}/geo-rules`]: { id: RULE, poolId: WEB, memberId: MEMBER, asn: 64500 },
    }, `geo-rules create --pool web --asn 64500 --member ${word} -o json`);
    deepEqual(JSON.parse(last?.body ?? ""), { asn: 64500, memberId: MEMBER });
  }
});

Deno.test("what may be a number or a word is sent as what it is, and checks as JSON", async () => {
  for (const [text, value] of [["2", 2], ["50%", "50%"]] as const) {
    const { last } = await pleiades(
      { [`PATCH /pools/${WEB}`]: POOLS[0] },
      `pools update ${WEB} --min-healthy ${text} -o json`,
    );
    deepEqual(JSON.parse(last?.body ?? ""), { minHealthy: value });
  }
  const { last } = await pleiades(
    { [`PUT /pools/${WEB}/health-check`]: {}, "GET /pools": POOLS },
    `health-checks set ${WEB} --type calculated --require any --checks [{"port":80}] -o json`,
  );
  deepEqual(JSON.parse(last?.body ?? ""), { type: "calculated", require: "any", checks: [{ port: 80 }] });
  const { exitCode, stderr } = await pleiades({}, `health-checks set ${WEB} --checks [`);
  equal(exitCode, 2);
  match(stderr, /It must be JSON/);
});

Deno.test("zones put sends the file as it is", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "@ 300 IN TXT hello\n");
    const { exitCode, last } = await pleiades(
      { "PUT /zones/example.com": { domain: "example.com" } },
      `zones put Example.com. ${file}`,
    );
    equal(exitCode, 0);
    equal(last?.headers.get("content-type"), "text/dns");
    equal(last?.body, "@ 300 IN TXT hello\n");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("a zone file that isn't there is one line", async () => {
  const { exitCode, stderr } = await pleiades({}, "zones put example.com /nonexistent/example.zone");
  equal(exitCode, 1);
  equal(stderr, `error: Cannot read "/nonexistent/example.zone": there is no such file\n`);
});

for (
  const [line, request] of [
    ["pools create web --dry-run --reason trial", "POST /pools?dryRun=true&reason=trial"],
    [`pools delete ${WEB} --dry-run`, `DELETE /pools/${WEB}?dryRun=true`],
    [`health-checks set ${WEB} --dry-run`, `PUT /pools/${WEB}/health-check?dryRun=true`],
    ["zones put example.com /dev/null --dry-run", "PUT /zones/example.com?dryRun=true"],
  ] as const
) {
  Deno.test(`a dry run prints its plan: ${line}`, async () => {
    const { exitCode, stdout, requests, stderr } = await pleiades({ [request]: planFixture("replay") }, line);
    deepEqual([exitCode, requests, stderr], [0, [request], ""]);
    match(stdout, /^1 member changed\n {2}~ member {2}web\/192\.0\.2\.10:443 {2}weight 1 → 3\n/);
    match(stdout, /\nTo do it: without --dry-run\n$/);
  });
}

Deno.test("a dry run gives its plan whole as JSON, and what is no plan is an error", async () => {
  const plan = planFixture("replay");
  const script = { "POST /pools?dryRun=true": plan };
  equal(
    (await pleiades(script, "pools create web --dry-run -o json")).stdout,
    `${JSON.stringify(plan, null, 2)}\n`,
  );
  const older = await pleiades({ "POST /pools?dryRun=true": POOLS[0] }, "pools create web --dry-run");
  equal(older.exitCode, 1);
  match(older.stderr, /^error: The node sent no plan \(is it of an older version\?/);
});

Deno.test("a plan says what fields refer to by name: from itself, from the node, else by id", async () => {
  const [mine, theirs, gone] = ["a", "b", "c"].map((each) => each.repeat(32));
  const change = (from: unknown, to: unknown, id: string) => ({
    kind: "service",
    id: id.repeat(32),
    name: `${id}.example.com`,
    action: "changed",
    with: null,
    before: { poolId: from },
    after: { poolId: to },
  });
  const plan = {
    ...planFixture("replay"),
    objects: {
      pool: { created: 1, changed: 0, deleted: 0 },
      service: { created: 0, changed: 2, deleted: 0 },
    },
    changes: [
      { kind: "pool", id: mine, name: "shop", action: "created", with: null, before: null, after: {} },
      change(theirs, mine, "1"),
      change(gone, null, "2"),
    ],
  };
  const { stdout, requests } = await pleiades(
    { "POST /pools?dryRun=true": plan, [`GET /pools/${theirs}`]: { id: theirs, name: "web" } },
    "pools create shop --dry-run",
  );
  match(stdout, /~ service {2}1\.example\.com {2}pool web → shop$/m);
  match(stdout, new RegExp(`~ service {2}2\\.example\\.com {2}pool ${gone} → none$`, "m"));
  deepEqual(requests, ["POST /pools?dryRun=true", `GET /pools/${theirs}`, `GET /pools/${gone}`]);
});

Deno.test("every wrong field of a refused change has its line", async () => {
  const refused = problem(400, "2 fields are wrong", [
    { pointer: "/port", message: "port must be 1–65535, is 70000" },
    { pointer: "/weight", message: "must be a number" },
  ]);
  const { exitCode, stderr } = await pleiades(
    { [`POST /pools/${WEB}/members`]: refused },
    `members create --pool ${WEB} --ip 192.0.2.1 --port 70000`,
  );
  equal(exitCode, 1);
  equal(stderr, "error: port must be 1–65535, is 70000\nerror: weight: must be a number\n");
});

Deno.test("the token goes with every request, from the environment or the flag", async () => {
  const script = { "GET /pools": [] };
  const environment = { PLEIADES_API_TOKEN: "from-environment" };
  equal(
    (await pleiades(script, "pools list", environment)).last?.headers.get("authorization"),
    "Bearer from-environment",
  );
  equal(
    (await pleiades(script, "pools list --token given", environment)).last?.headers.get("authorization"),
    "Bearer given",
  );
});

Deno.test("a missing token is answered with where to put one", async () => {
  const { stderr } = await pleiades({ "GET /pools": problem(401, "A token is needed") }, "pools list");
  equal(stderr, "error: A token is needed (--token or PLEIADES_API_TOKEN)\n");
});

Deno.test("a server that isn't Pleiades is recognised", async () => {
  const { exitCode, stderr } = await pleiades(
    { "GET /pools": new Response("<h1>Hello</h1>", { status: 404 }) },
    "pools list",
  );
  equal(exitCode, 1);
  match(stderr, /answered 404 \(is this the API of a Pleiades node\?\)/);
});

Deno.test("nobody listening is one line that says what to try", async () => {
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr;
  closed.close();
  const terminal = capturedTerminal();
  equal(await run(["pools", "list", "--api", `http://127.0.0.1:${port}`], terminal), 1);
  match(
    terminal.stderr(),
    /^error: Nothing listens at http:\/\/127\.0\.0\.1:\d+ \(is "pleiades serve" running\?.*\)\n$/,
  );
});

Deno.test("an update without a flag names the flags", async () => {
  const { exitCode, stderr, requests } = await pleiades({}, "services update www.example.com");
  equal(exitCode, 2);
  equal(stderr, "error: Nothing to change: give at least one of --domain, --pool, --ttl, --min-ttl, --ecs\n");
  deepEqual(requests, []);
});

Deno.test("durations are read in every unit", async () => {
  for (
    const [text, ms] of [["250ms", 250], ["1.5s", 1_500], ["2m", 120_000], ["1h", 3_600_000], [
      "2d",
      172_800_000,
    ]]
  ) {
    const { last } = await pleiades(
      { [`PUT /pools/${WEB}/health-check`]: {}, "GET /pools": POOLS },
      `health-checks set ${WEB} --interval ${text} -o json`,
    );
    deepEqual(JSON.parse(last?.body ?? ""), { intervalMs: ms });
  }
});

const FALLBACK = {
  source: "settings",
  algorithm: "round-robin",
  endpoints: ["192.0.2.80"],
  weights: {},
  onAllDown: "all",
  ttl: null,
  healthCheck: null,
};

Deno.test("the static fallback is set whole, and shown with whose it is", async () => {
  const { last, stdout } = await pleiades(
    { "PUT /fallback": { ...FALLBACK, source: "model", ttl: 5 } },
    "fallback set --endpoints 192.0.2.80,2001:db8::80 --ttl 5",
  );
  deepEqual(JSON.parse(last?.body ?? ""), { endpoints: ["192.0.2.80", "2001:db8::80"], ttl: 5 });
  match(stdout, /^source +algorithm +endpoints +on all down +ttl\nmodel +round-robin /i);
});

Deno.test("the static fallback is updated on condition that it is still the one read; deleted, the settings' one counts", async () => {
  const read = new Response(JSON.stringify(FALLBACK), {
    headers: { "content-type": "application/json", etag: '"7"' },
  });
  const { source: _, ...fields } = FALLBACK;
  const updated = await pleiades(
    { "GET /fallback": read, "PUT /fallback": FALLBACK },
    "fallback update --ttl 9",
  );
  deepEqual(JSON.parse(updated.last?.body ?? ""), { ...fields, ttl: 9 });
  equal(updated.last?.headers.get("if-match"), '"7"');
  const deleted = await pleiades(
    { "DELETE /fallback": new Response(null, { status: 204 }) },
    "fallback delete",
  );
  equal(deleted.stderr, "deleted: static fallback\n");
});

for (
  const [line, errors, said] of [
    [
      "health-checks set web --interval 100ms",
      [
        { pointer: "/intervalMs", message: "intervalMs must be 250–3600000, is 100" },
        { pointer: "/timeoutMs", message: "timeoutMs must be at most intervalMs (100), is 2000" },
      ],
      "error: --interval must be 250ms–1h, is 100ms\n" +
      "error: --timeout (by default) must be at most --interval (100ms), is 2s\n",
    ],
    [
      "members create 192.0.2.1:80 --pool web",
      [{ pointer: "/ipAddress", message: "The pool has a member 192.0.2.1 port 80 already" }],
      "error: The pool has a member 192.0.2.1 port 80 already\n",
    ],
    [
      "members create --ip 192.0.2.1 --port 80 --pool web",
      [{ pointer: "/ipAddress", message: "The pool has a member 192.0.2.1 port 80 already" }],
      "error: --ip: The pool has a member 192.0.2.1 port 80 already\n",
    ],
  ] as const
) {
  Deno.test(`a refusal of ${line} names what was typed, in its units`, async () => {
    const refusal = new Response(JSON.stringify({ detail: "no", errors }), {
      status: 400,
      headers: { "content-type": "application/problem+json" },
    });
    const { exitCode, stderr } = await pleiades({
      "GET /pools": POOLS,
      [`PUT /pools/${WEB}/health-check`]: refusal,
      [`POST /pools/${WEB}/members`]: refusal,
    }, line);
    equal(exitCode, 1);
    equal(stderr, said);
  });
}
