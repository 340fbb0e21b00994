/**
 * The query log of a whole node: what lines say, where they go, how many there are.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { QueryLog, recordOf } from "../../src/dns/query_log.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock } from "../clock.ts";
import { create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";
import { askTcp, askUdp } from "./clients.ts";
import { query } from "./packets.ts";

type Line = Readonly<Record<string, unknown>>;

/** Runs a node that logs queries until the work is done, and gives what it logged in all. */
async function logged(
  queryLog: Partial<typeof TEST_SETTINGS.queryLog>,
  work: (node: TestNode) => Promise<void>,
): Promise<{ readonly log: Line[]; readonly queries: Line[] }> {
  const settings = { queryLog: { ...TEST_SETTINGS.queryLog, sample: 1, ...queryLog } };
  const node = await startTestNode(settings);
  try {
    const pool = await create(node, "/pools", { name: "web", maxAnswers: 0 });
    await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
    await create(node, "/services", { domain: "www.example.org", poolId: pool });
    await work(node);
  } finally {
    await node[Symbol.asyncDispose]();
  }
  const log = node.lines.map((line) => JSON.parse(line) as Line);
  return { log, queries: log.filter(({ message }) => message === "Query") };
}

/** The value of a metric's series; `label` is part of how it is written. */
async function metric(node: TestNode, name: string, label = ""): Promise<number> {
  const text = await (await fetch(new URL("/metrics", node.api))).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name}{`) && each.includes(label));
  return Number(line?.split(" ").at(-1));
}

const RECORDS = "pleiades_query_log_records_total";
const DROPPED = "pleiades_query_log_dropped_total";
const WWW = query("www.example.org", "A", { ecs: "198.51.100.0/24" });

Deno.test("a line says who asked what, how, and what was answered", async () => {
  const { queries } = await logged({}, async ({ node }) => {
    await askUdp(node.dns[0]!, WWW);
    await askTcp(node.dns[0]!, query("nothing.example.net", "TXT"));
  });
  const lines = queries.map(({ time, level: _, message: __, ...fields }) => {
    match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    return fields;
  });
  // UDP and streams have workers of their own, whose samples come when they come.
  const first = lines.find(({ protocol }) => protocol === "udp");
  const second = lines.find(({ protocol }) => protocol === "tcp");
  deepEqual(first, {
    client: "127.0.0.1",
    protocol: "udp",
    name: "www.example.org",
    type: "A",
    rcode: "NOERROR",
    answers: ["192.0.2.1"],
    ecs: "198.51.100.0/24",
    scope: 0,
    bytes: first!.bytes,
  });
  deepEqual(second, {
    client: "127.0.0.1",
    protocol: "tcp",
    name: "nothing.example.net",
    type: "TXT",
    rcode: "REFUSED",
    answers: [],
    bytes: second!.bytes,
  });
});

Deno.test("nothing is logged unless it is asked for", async () => {
  const { queries } = await logged({ sample: 0 }, async ({ node }) => {
    await askUdp(node.dns[0]!, WWW);
  });
  deepEqual(queries, []);
});

Deno.test("lines go to a file of their own, and to another one when that was moved away", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/queries.log`;
    const { queries } = await logged({ path }, async (node) => {
      const { dns } = node.node;
      await askUdp(dns[0]!, WWW);
      await until(() => metric(node, RECORDS), (records) => records === 1);
      await Deno.rename(path, `${path}.1`);
      await askUdp(dns[0]!, query("other.example.org", "A"));
    });
    deepEqual(queries, []);
    const names = (text: string) => text.trimEnd().split("\n").map((line) => (JSON.parse(line) as Line).name);
    deepEqual(names(await Deno.readTextFile(`${path}.1`)), ["www.example.org"]);
    deepEqual(names(await Deno.readTextFile(path)), ["other.example.org"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a file that can't be written is said once, and queries are answered all the same", async () => {
  const { log } = await logged({ path: "/nonexistent/queries.log" }, async (node) => {
    for (const lost of [1, 2]) {
      ok((await askUdp(node.node.dns[0]!, WWW)).length > 0);
      await until(() => metric(node, DROPPED, 'reason="file"'), (n) => n === lost);
    }
  });
  const errors = log.filter(({ level }) => level === "error");
  equal(errors.length, 1);
  match(
    String(errors[0]!.message),
    /^Cannot write the query log \/nonexistent\/queries\.log: No such file or directory.*queryLog\.path/,
  );
});

Deno.test("no more are logged a second than were asked for, and the others are counted", async () => {
  const asked = 50;
  let dropped = 0;
  const { queries } = await logged({ maxPerSecond: 5 }, async (node) => {
    await Promise.all(Array.from({ length: asked }, () => askUdp(node.node.dns[0]!, WWW)));
    dropped = await metric(node, DROPPED, 'reason="rate"');
  });
  // A second may end meanwhile.
  ok(queries.length >= 5 && queries.length <= 15, `${queries.length} lines`);
  ok(dropped >= asked - 15, `${dropped} dropped`);
});

Deno.test("each second has its share, and what one leaves over is not the next one's", async () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", clock, write: (line) => lines.push(line) });
  const options = { maxPerSecond: 3, path: "", log, clock, registry: new Registry({}) };
  await using queryLog = new QueryLog({ ...options, missed: () => ({ overRate: 0, overSize: 0 }) });
  const sample = { unixMs: 0, transport: "udp", client: "192.0.2.53", query: WWW, answer: WWW } as const;
  const linesOfSecond = async (asked: number) => {
    const before = lines.length;
    for (let i = 0; i < asked; i++) queryLog.take(sample);
    await clock.advance(1000);
    return lines.length - before;
  };
  deepEqual([await linesOfSecond(5), await linesOfSecond(1), await linesOfSecond(5)], [3, 1, 3]);
  queryLog.take(sample);
  await clock.advance(999);
  deepEqual(await linesOfSecond(5), 2);
});

Deno.test("a query that can't be read makes a line without what it lacks", () => {
  const answer = new Uint8Array(12);
  answer[3] = 1;
  const exchange = { unixMs: 0, transport: "udp", client: "192.0.2.53" } as const;
  deepEqual(recordOf({ ...exchange, query: Uint8Array.of(0, 1, 0, 0, 0, 9), answer }), {
    client: "192.0.2.53",
    protocol: "udp",
    rcode: "FORMERR",
    answers: [],
    bytes: 12,
  });
});

Deno.test("a name can't forge a second line", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/queries.log`;
    await logged({ path }, async ({ node }) => {
      const packet = query("wwwx{}.example.org", "A");
      packet[12 + 4] = 0x0a;
      await askUdp(node.dns[0]!, packet);
    });
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    equal(lines.length, 1);
    equal((JSON.parse(lines[0]!) as Line).name, "www\\010{}.example.org");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
