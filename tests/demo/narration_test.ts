/** @module What the demo says, word for word, in 80 columns. */
import { deepEqual, equal } from "node:assert/strict";
import { type DemoEvent, introduce, narrate } from "../../src/demo/narration.ts";
import { SERVICES } from "../../src/demo/sample.ts";

const PLAIN = { colour: false, width: 80 };

/** Event → the lines it becomes. */
const LINES: readonly (readonly [DemoEvent, ...string[]])[] = [
  [
    {
      kind: "answer",
      client: "127.0.0.1",
      question: "www.demo.test A",
      answer: "127.0.0.11",
      reason: "pool web, 3 of 3 up",
    },
    "08:00:00  127.0.0.1 asked www.demo.test A → 127.0.0.11 · pool web, 3 of 3 up",
  ],
  [
    {
      kind: "answer",
      client: "203.0.113.0/24 by 127.0.0.1",
      question: "shop.demo.test AAAA",
      answer: "2001:db8::12",
      reason: "pool shop, 0 of 1 up, so pool standby, 1 of 1 up",
    },
    "08:00:00  203.0.113.0/24 by 127.0.0.1 asked shop.demo.test AAAA → 2001:db8::12 ·",
    "          pool shop, 0 of 1 up, so pool standby, 1 of 1 up",
  ],
  [{ kind: "more", count: 190 }, "08:00:00  … and 190 more answers in this second"],
  [
    { kind: "stopped", backend: "Backend 2 (127.0.0.12)", boundMs: 2600 },
    "08:00:00  Backend 2 (127.0.0.12) stopped: must leave the answers within 2.6 s",
  ],
  [
    { kind: "started", backend: "Backend 2 (127.0.0.12)", boundMs: 2600 },
    "08:00:00  Backend 2 (127.0.0.12) started: must be back within 2.6 s",
  ],
  [
    { kind: "down", target: "127.0.0.12:8081", check: "http", results: 2, error: "connection refused" },
    "08:00:00  DOWN 127.0.0.12:8081 failed 2 http checks in a row: connection refused",
  ],
  [
    { kind: "down", target: "192.0.2.1:443", check: "tcp", results: 1, error: "timeout after 500 ms" },
    "08:00:00  DOWN 192.0.2.1:443 failed the tcp check: timeout after 500 ms",
  ],
  [
    { kind: "up", target: "127.0.0.12:8081", check: "http", results: 2 },
    "08:00:00  UP 127.0.0.12:8081 passed 2 http checks in a row",
  ],
  [
    {
      kind: "gone",
      address: "127.0.0.12",
      afterMs: 1734,
      boundMs: 2600,
      now: [
        { domain: "www.demo.test", addresses: ["127.0.0.11", "127.0.0.13"] },
        { domain: "shop.demo.test", addresses: [] },
      ],
    },
    "08:00:00  GONE 127.0.0.12 left the answers 1.73 s after its stop (bound 2.6 s)",
    "          www.demo.test  → 127.0.0.11 127.0.0.13",
    "          shop.demo.test → no address",
  ],
  [
    {
      kind: "back",
      address: "127.0.0.12",
      afterMs: 1000,
      boundMs: 2600,
      now: [{ domain: "www.demo.test", addresses: ["127.0.0.12"] }],
    },
    "08:00:00  BACK 127.0.0.12 answered again 1.0 s after its start (bound 2.6 s)",
    "          www.demo.test → 127.0.0.12",
  ],
  [
    { kind: "late", address: "127.0.0.12", wanted: "gone", boundMs: 2600 },
    "08:00:00  LATE 127.0.0.12 is still answered, although 2.6 s have passed",
  ],
  [
    { kind: "late", address: "127.0.0.12", wanted: "back", boundMs: 2600 },
    "08:00:00  LATE 127.0.0.12 is not yet answered, although 2.6 s have passed",
  ],
  [
    {
      kind: "kept",
      address: "127.0.0.12",
      afterMs: 1520,
      again: ["127.0.0.11", "127.0.0.13"],
      now: [{ domain: "www.demo.test", addresses: ["127.0.0.11", "127.0.0.12", "127.0.0.13"] }],
    },
    "08:00:00  KEPT 127.0.0.12 has been down for 1.52 s, but so are all others: a",
    "          doubtful address is better than none (onAllDown: all), so 127.0.0.11",
    "          and 127.0.0.13 are answered again, too",
    "          www.demo.test → 127.0.0.11 127.0.0.12 127.0.0.13",
  ],
  [
    { kind: "unnoticed", backend: "Backend 2 (127.0.0.12)", act: "started" },
    "08:00:00  Backend 2 (127.0.0.12) started before the answers noticed its absence",
  ],
  [
    { kind: "changed", what: "by api: created pool mine", generation: 2 },
    "08:00:00  CHANGED by api: created pool mine (generation 2)",
  ],
  [{ kind: "remark", text: "Quiet." }, "08:00:00  Quiet."],
];

for (const [event, ...lines] of LINES) {
  Deno.test(`the demo tells of an event as: ${lines[0]!.slice(10)}`, () => {
    deepEqual(narrate(event, "08:00:00", PLAIN).split("\n"), lines);
  });
}

Deno.test("a line that goes to no terminal isn't broken", () => {
  const [event] = LINES[1]!;
  equal(narrate(event, "08:00:00", { colour: false, width: Infinity }).split("\n").length, 1);
});

Deno.test("colour says which kind of event it is and leaves the words alone", () => {
  const [event, line] = LINES.find(([{ kind }]) => kind === "up")!;
  const coloured = narrate(event, "08:00:00", { colour: true, width: 80 });
  equal(coloured, `\x1b[2m08:00:00\x1b[0m  \x1b[1;32m${line!.slice(10)}\x1b[0m`);
});

Deno.test("the introduction names what listens and what to try, in 80 columns", () => {
  const text = introduce({
    version: "0.1.0",
    dns: "127.0.0.1:5300",
    api: "http://127.0.0.1:8053",
    services: SERVICES,
    backends: ["1 127.0.0.11:8081", "2 127.0.0.12:8081", "3 127.0.0.13:8081"],
    tries: ["dig @127.0.0.1 -p 5300 www.demo.test +short"],
    next: ["Keys: 1 2 3 = stop or start that backend, q or Ctrl-C = quit"],
  }, PLAIN);
  equal(text, INTRODUCTION);
});

const INTRODUCTION = `Pleiades 0.1.0, a whole node on a throw-away database

  DNS       127.0.0.1:5300 over UDP and TCP
  API       http://127.0.0.1:8053/api/v1
  API docs  http://127.0.0.1:8053/docs/api
  metrics   http://127.0.0.1:8053/metrics
  backends  1 127.0.0.11:8081  2 127.0.0.12:8081  3 127.0.0.13:8081

  www.demo.test   each backend in turn
  api.demo.test   weighted: the first gets three of every five
  shop.demo.test  backend 2; another pool while it is down

Try this in another terminal:
  dig @127.0.0.1 -p 5300 www.demo.test +short

Keys: 1 2 3 = stop or start that backend, q or Ctrl-C = quit
`;
