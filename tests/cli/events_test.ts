/** @module Tests of `pleiades events`: the list, the words, and following over a restart. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { events, type EventsFlags } from "../../src/cli/events.ts";
import { serverSentEvents } from "../../src/cli/event_stream.ts";
import { eventWords } from "../../src/cli/event_words.ts";
import { wallTime } from "../../src/cli/wall_time.ts";
import { Folder } from "../store/folder.ts";
import { create, startTestNode, TEST_SETTINGS } from "../test_node.ts";
import { type CapturedTerminal, capturedTerminal } from "./captured_terminal.ts";

const origin = (api: string) => new URL(api).origin;

/** A terminal whose next line can be waited for. */
function watchedTerminal() {
  const terminal = capturedTerminal();
  let wake = () => {};
  const note = (write: (text: string) => void) => (text: string) => {
    write(text);
    wake();
  };
  const watched: CapturedTerminal = { ...terminal, out: note(terminal.out), err: note(terminal.err) };
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise<void>((resolve) => wake = resolve);
  };
  return { terminal: watched, until };
}

Deno.test("events lists the last ones in words, a line each", async () => {
  await using site = await startTestNode();
  await create(site, "/pools?reason=new", { name: "web" });
  const terminal = capturedTerminal();
  equal(await run(["events", "--api", origin(site.api)], terminal), 0);
  const lines = terminal.stdout().trimEnd().split("\n");
  match(lines[0]!, /^when {17}kind {6}what$/);
  match(lines[1]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}node {6}starting$/);
  match(lines.at(-1)!, / {2}commit {4}generation 1 via api: new \(1 pool\)$/);
});

Deno.test("events filters by kind and by number, shows ids where it is wide, and JSON a line", async () => {
  await using site = await startTestNode();
  const lines = async (...flags: string[]) => {
    const terminal = capturedTerminal();
    equal(await run(["events", "--api", origin(site.api), ...flags], terminal), 0);
    return terminal.stdout().trimEnd().split("\n");
  };
  const last = site.node.events.last;
  deepEqual(await lines("--tail", "1", "-o", "json"), [site.node.events.kept().at(-1)!.json]);
  match((await lines("--tail", "1", "-o", "wide"))[1]!, new RegExp(` ${last}  answering$`));
  deepEqual(await lines("--kind", "commit", "--kind", "pool"), [""]);
  equal((await lines("--since", String(last - 1))).length, 2);
  equal((await lines("--since", "1h")).length, 3);
});

for (
  const [flags, said] of [
    [
      ["--since", "yesterday"],
      "It must be the id of an event (-o wide shows them), or a duration such as 10m.",
    ],
    [["--tail", "ten"], "It must be a whole number 0–10000."],
    [["--kind", "helth"], "Allowed choices are change, node, health, pool"],
    [["--tail", "1", "--since", "1h"], "cannot be used with option"],
  ] as const
) {
  Deno.test(`events ${flags.join(" ")} is refused with what would be right`, async () => {
    const terminal = capturedTerminal();
    equal(await run(["events", ...flags], terminal), 2);
    ok(terminal.stderr().includes(said), terminal.stderr());
  });
}

Deno.test("events --follow goes on over a restart of the node, and misses nothing", async () => {
  using folder = new Folder();
  const database = { path: folder.file("node.db") };
  const first = await startTestNode({ database });
  const { port } = new URL(first.api);
  const ending = new AbortController();
  const { terminal, until } = watchedTerminal();
  const flags: EventsFlags = {
    api: origin(first.api),
    follow: true,
    kind: ["commit"],
    tail: 0,
    output: "json",
  };
  const following = events(flags, terminal, ending.signal);
  await create(first, "/pools", { name: "one" });
  await until(() => terminal.stdout().includes('"generation":1'));
  await first[Symbol.asyncDispose]();
  await until(() => terminal.stderr().includes("note: the node doesn't answer; trying again"));
  await using second = await startTestNode({
    ...{ database, api: { ...TEST_SETTINGS.api, port: Number(port) } },
  });
  await create(second, "/pools", { name: "two" });
  await until(() => terminal.stdout().includes('"generation":2'));
  ending.abort();
  equal(await following, 0);
  const generations = terminal.stdout().trimEnd().split("\n").map((line) => JSON.parse(line).generation);
  deepEqual(generations, [1, 2]);
  match(terminal.stderr(), /^note: the node doesn't answer; trying again\nnote: the node is back\n$/);
});

Deno.test("events --follow fails where nothing listens at the beginning", async () => {
  const terminal = capturedTerminal();
  equal(await run(["events", "--follow", "--api", "http://127.0.0.1:2"], terminal), 1);
  match(terminal.stderr(), /Nothing listens at http:\/\/127\.0\.0\.1:2/);
});

Deno.test("every kind has words, and one of a newer node is shown as it is", () => {
  const at = new Date(2026, 1, 1, 3, 0).toISOString();
  const words: [Record<string, unknown>, string][] = [
    [{ kind: "node", state: "starting", lost: true }, "starting; the last events of the run before are lost"],
    [
      {
        ...{ kind: "health", check: "tcp", address: "2001:db8::1", port: 443, state: "unhealthy" },
        ...{ previous: "healthy", error: "connection refused" },
      },
      "[2001:db8::1]:443 tcp unhealthy, was healthy: connection refused",
    ],
    [
      {
        ...{ kind: "policy", change: "begun", check: "tcp", address: "192.0.2.1", port: 443 },
        ...{ state: "healthy", own: "unhealthy", reason: "b finds it healthy (global-any-healthy)" },
      },
      "192.0.2.1:443 tcp counts as healthy, while this node finds it unhealthy: " +
      "b finds it healthy (global-any-healthy)",
    ],
    [
      {
        ...{ kind: "policy", change: "ended", check: "tcp", address: "192.0.2.1", port: 443 },
        ...{ state: "healthy", own: "healthy", reason: null },
      },
      "192.0.2.1:443 tcp counts as this node finds it again: healthy",
    ],
    [{ kind: "pool", name: "web", isDown: true, family: 6 }, "web has too few members of IPv6"],
    [{ kind: "pool", name: "web", isDown: false, family: null }, "web has enough members again"],
    [
      { kind: "guard", change: "tripped", targets: 12, until: at, outcome: null },
      "tripped: 12 targets until 2026-02-01 03:00",
    ],
    [
      { kind: "guard", change: "ended", targets: 1, until: null, outcome: "recovered" },
      "ended (recovered): 1 target",
    ],
    [
      {
        ...{ kind: "commit", generation: 7, via: null, by: "ann", reason: "" },
        touched: { pools: 2, services: 0, zones: 1, fallback: true },
      },
      "generation 7 from another process by ann (2 pools, 1 zone, the fallback)",
    ],
    [
      { kind: "refusal", via: "apply", by: "ci", guards: [{ guard: "moved-share", message: "moves 90 %" }] },
      "refused via apply by ci: moves 90 % [moved-share]",
    ],
    [
      { kind: "conflict", node: "ams1", via: "api", by: "ann", reason: "", why: "the pool web was deleted" },
      "undone via api by ann at ams1: the pool web was deleted",
    ],
    [
      {
        ...{ kind: "override", change: "begun", state: "drain", target: "pool web", owner: "ann" },
        ...{ reason: "disks", expiresAt: at },
      },
      "begun: drain pool web until 2026-02-01 03:00 by ann: disks",
    ],
    [
      { kind: "settings", outcome: "reloaded", needingRestart: ["node.id"] },
      "reloaded; these wait for a start: node.id",
    ],
    [{ kind: "worker", reason: "hung" }, "a DNS worker hung, another takes its place"],
    [{ kind: "token", change: "created", name: "ci", scope: "write" }, "created: ci, write"],
    [
      { kind: "attempt", from: "192.0.2.66", count: 4, statuses: { 401: 1, 429: 3 }, since: at },
      `4 requests refused from 192.0.2.66 since ${wallTime(at)}: 1 × 401, 3 × 429`,
    ],
    [
      { kind: "attempt", from: "", count: 1, statuses: { 403: 1 }, since: at },
      `1 request refused from others since ${wallTime(at)}: 1 × 403`,
    ],
    [{ kind: "failure", what: "internal", message: "a\nb" }, "internal: a b"],
    [{ id: 1, at, kind: "new", x: 1 }, '{"x":1}'],
  ];
  deepEqual(words.map(([event]) => eventWords(event)), words.map(([, said]) => said));
});

Deno.test("server-sent events are read as they are cut: anywhere, with any ends of lines, with comments", async () => {
  const text =
    ": hello\n\nid: 1\r\nevent: a\r\ndata: x\r\ndata:  y\r\n\r\ndata\rid: 2\r\rretry: 5\n\nid: 3\ndata: cut";
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 7, 1_000]) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
        controller.close();
      },
    });
    const { signal } = new AbortController();
    const read = await Array.fromAsync(serverSentEvents(body, { idleMs: 1_000, signal }));
    deepEqual(read, [{ id: "1", event: "a", data: "x\n y" }, { id: "2", event: "message", data: "" }]);
  }
});
