/** @module Tests of `pleiades status`. */
import { deepEqual, equal } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { scriptedApi } from "./scripted_api.ts";

const STATE = {
  version: "1.2.3",
  generation: 42,
  ready: true,
  node: { id: "ns1", region: "eu" },
  cluster: { id: "default" },
  uptimeSeconds: 93_784.5,
  dns: {
    listeners: [{ transport: "udp", address: "127.0.0.1:5353" }, { transport: "tcp", address: "[::1]:5353" }],
    answers: 1234,
    workers: 2,
  },
  health: { healthy: 3, unhealthy: 1, unknown: 0 },
  pools: {
    total: 3,
    down: 2,
    downPools: [
      { id: "1", name: "shop", family: "v4", members: 2, healthy: 0, answers: "NODATA for A" },
      { id: "2", name: "web", family: null, members: 3, healthy: 0, answers: "answering all" },
    ],
  },
  overrides: { active: 2, planned: 1 },
};

Deno.test("status says in a few lines how the node is", async () => {
  await using api = scriptedApi({ "GET /status": STATE });
  const terminal = capturedTerminal();
  equal(await run(["status", "--api", api.url], terminal), 0);
  equal(
    terminal.stdout(),
    [
      "node        ns1 of cluster default, region eu",
      "state       ready",
      "version     1.2.3",
      "uptime      1 d 2 h",
      "generation  42",
      "listens     udp 127.0.0.1:5353, tcp [::1]:5353",
      "answers     1234 by 2 workers",
      "pools       2 of 3 down: shop IPv4 0/2 (NODATA for A), web 0/3 (answering all)",
      "targets     3 healthy, 1 unhealthy, 0 unknown",
      "overrides   2 active, 1 planned",
      "",
    ].join("\n"),
  );
});

Deno.test("status has a line on what wasn't answered as it was asked, where there was some", async () => {
  const linesFor = async (limited: Readonly<Record<string, number>>) => {
    await using api = scriptedApi({ "GET /status": { ...STATE, dns: { ...STATE.dns, limited } } });
    const terminal = capturedTerminal();
    await run(["status", "--api", api.url], terminal);
    return terminal.stdout().split("\n").filter((line) => line.startsWith("limited"));
  };
  const none = { denied: 0, refused: 0, rate: 0, amplification: 0, overload: 0 };
  deepEqual(await linesFor(none), []);
  deepEqual(await linesFor({ ...none, rate: 812, denied: 3 }), ["limited     812 beyond the rate, 3 denied"]);
});

Deno.test("status names the nodes that share what they find, and the policy", async () => {
  const nodes = [
    { id: "ns1", region: "eu", heartbeatAgeSeconds: 0 },
    { id: "ns2", region: "", heartbeatAgeSeconds: 4.2 },
  ];
  const model = { generation: 90, digest: 2, differs: false, log: { entries: 12, behind: 0, pending: 0 } };
  const others = [
    ...nodes,
    { id: "ns3", region: "us", heartbeatAgeSeconds: 1, model: { ...model, differs: true } },
    { id: "ns4", region: "", heartbeatAgeSeconds: 1, model: { ...model, log: { behind: 3, pending: 2 } } },
    { id: "ns5", region: "", heartbeatAgeSeconds: 1, model },
  ];
  const policy = { policy: "global-quorum", quorumMinPercent: 67 };
  const linesOf = async (peers: Record<string, unknown>) => {
    await using api = scriptedApi({ "GET /status": { ...STATE, peers } });
    const terminal = capturedTerminal();
    equal(await run(["status", "--api", api.url], terminal), 0);
    return terminal.stdout().split("\n").filter((line) => /^(nodes|health policy) /.test(line));
  };
  deepEqual(await linesOf({ ...policy, sight: "sees", differing: 0, nodes }), [
    "nodes          2 active: ns1 (eu, this one), ns2 (heard 4 s ago)",
    "health policy  global-quorum of 67 %",
  ]);
  const [told] = await linesOf({ ...policy, sight: "sees", differing: 0, nodes: others });
  equal(
    told,
    "nodes          5 active: ns1 (eu, this one), ns2 (heard 4 s ago), ns3 (us, heard 1 s ago, another model), " +
      "ns4 (heard 1 s ago, 3 behind, 2 pending), ns5 (heard 1 s ago)",
  );
  const blind = await linesOf({ policy: "prefer-local", sight: "blind", differing: 1, nodes });
  equal(
    blind[1],
    "health policy  prefer-local; 1 target differs from what this node finds; " +
      "most peers see targets up that this node finds down: it counts as blind, and goes by them",
  );
});

Deno.test("status has a line on the license where licensing is on, and what there is to do", async () => {
  const license = {
    tier: "paid",
    id: "acme-7",
    used: 812,
    limit: 1000,
    expiresAt: "2026-12-01T00:00:00.000Z",
  };
  for (
    const [given, expected] of [
      [
        { ...license, state: "valid", reason: null, warnings: ["Do this", "Do that"] },
        [
          "license     valid: 812 of 1000 answers a second, tier paid, until 2026-12-01T00:00:00Z",
          "to do       Do this; Do that",
        ],
      ],
      [
        { state: "missing", reason: "there is no token", used: 3, limit: 10, warnings: [] },
        ["license     missing: 3 of 10 answers a second, there is no token"],
      ],
      [{ ...license, state: "off", reason: null, warnings: [] }, []],
    ] as const
  ) {
    await using api = scriptedApi({ "GET /status": { ...STATE, license: given } });
    const terminal = capturedTerminal();
    equal(await run(["status", "--api", api.url], terminal), 0);
    deepEqual(terminal.stdout().trimEnd().split("\n").slice(10), expected);
  }
});

Deno.test("status -o json is the API's own answer", async () => {
  await using api = scriptedApi({ "GET /status": STATE });
  const terminal = capturedTerminal();
  equal(await run(["status", "--api", api.url, "-o", "json"], terminal), 0);
  deepEqual(JSON.parse(terminal.stdout()), STATE);
});

Deno.test("status ends with 1 when the node doesn't answer DNS", async () => {
  await using api = scriptedApi({ "GET /status": { ...STATE, ready: false, uptimeSeconds: 0.4 } });
  equal(await run(["status", "--api", api.url], capturedTerminal()), 1);
});
