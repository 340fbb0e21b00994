/**
 * The quick way to read a document beside the strict one: where it reads one, both have read the same.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { readPlain } from "../../src/discovery/plain_document.ts";
import { type ProviderTerms, readProvider } from "../../src/discovery/provider_file.ts";
import { toEnd } from "../../src/slices.ts";
import { instance } from "./world.ts";

const TERMS: ProviderTerms = {
  ...{ provider: "chef", zone: "gg", node: "host1", ips: ["192.0.2.1"], ignoreScripts: false },
};
/** So long that it is read strictly, whatever it says. */
const PADDING = " ".repeat(128 << 10);

const plainly = (text: string) => toEnd(readPlain(text, TERMS));
const strictly = (text: string) => readProvider("f", new TextEncoder().encode(text + PADDING), TERMS);

Deno.test("readPlain() reads what is plainly right", () => {
  const text = JSON.stringify({
    instances: [
      instance("b", { node: "H2.example.net.", ipAddress: "2001:DB8:0::1", priority: 1, weight: 2 }),
      instance('a "quoted": \\', { address: "HTTP.web.prod.shop.gg" }),
    ],
  });
  const read = plainly(text);
  deepEqual(read?.map(({ id, node, ips }) => [id, node, ips]), [
    ["b", "h2.example.net", ["2001:db8::1"]],
    ['a "quoted": \\', "host1", ["192.0.2.1"]],
  ]);
  deepEqual(read, strictly(text).instances);
});

Deno.test("readPlain() leaves what is wrong, or long, to the strict way", () => {
  const wrong = [
    '{"instances": [{"id": "a", "id": "a", "address": "http.web.prod.shop.gg", "port": 80}]}',
    '{"instances": [], "instances": []}',
    '{"instances": [], "more": 1}',
    '{"instances": [{"id": "a", "address": "http.web.prod.shop.gg", "port": 80, "__proto__": 1}]}',
    '{"instances": [{"id": "a", "address": "http.web.prod.shop.gg", "port": 80, "node": {}}]}',
    '{"instances": [null]}',
    '{"services": []}',
    "[]",
    "\ufeff{}",
    "{",
    ...[{ port: 0 }, { port: "80" }, { ipAddress: "10.0.0.300" }, { node: "a..b" }, { weight: 65_536 }]
      .map((more) => JSON.stringify({ instances: [instance("a", more)] })),
    JSON.stringify({ instances: [instance("a"), instance("a")] }),
    JSON.stringify({ instances: [instance("")] }),
    JSON.stringify({ instances: [instance("a", { address: "http.web.prod.shop.fr" })] }),
  ];
  for (const text of wrong) {
    equal(plainly(text), null, text);
    ok(text === '{"services": []}' || strictly(text).problems.length > 0, text);
  }
  equal(plainly(JSON.stringify({ instances: [] }) + PADDING), null);
});

Deno.test("whatever a byte is changed to, readPlain() reads nothing but what the strict way reads", () => {
  const random = seededRng(7);
  const seed = new TextEncoder().encode(JSON.stringify({
    instances: [instance("a", { node: "h", ipAddress: "192.0.2.1", weight: 5 }), instance("b")],
  }));
  const bytes = new TextEncoder().encode('{}[]":,\\.-_/ 0159eE+truefalsn\x00\x1f\x7f');
  let read = 0;
  for (let i = 0; i < 2_000; i++) {
    const changed = seed.slice();
    for (let n = 1 + random() % 2; n > 0; n--) {
      changed[random() % changed.length] = bytes[random() % bytes.length]!;
    }
    const text = new TextDecoder().decode(changed);
    const plain = plainly(text);
    if (plain === null) continue;
    read++;
    deepEqual({ instances: plain, problems: [] }, strictly(text), text);
  }
  ok(read > 100, `${read} were read`);
});
