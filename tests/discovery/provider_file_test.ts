/**
 * What providers register, right and wrong.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../src/discovery/address.ts";
import { type ProviderTerms, readProvider, serviceOfPort } from "../../src/discovery/provider_file.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { instance } from "./world.ts";

const TERMS: ProviderTerms = {
  ...{ provider: "chef", zone: "gg", node: "host1", ips: ["192.0.2.1"], ignoreScripts: false },
};
const TAGS = [
  "glimpse:provider=chef",
  "glimpse:product=shop",
  "glimpse:env=prod",
  "glimpse:job=web",
  "glimpse:service=http",
];

function read(document: unknown, terms: Partial<ProviderTerms> = {}) {
  const text = typeof document === "string" ? document : JSON.stringify(document);
  return readProvider("chef.json", new TextEncoder().encode(text), { ...TERMS, ...terms });
}

function service(more: Readonly<Record<string, unknown>> = {}) {
  return { id: "web-1", name: "shop", port: 8080, tags: TAGS, ...more };
}

Deno.test("readProvider() reads Consul's format, one service or several, and passes over those without tags", () => {
  const expected = [{
    id: "web-1",
    provider: "chef",
    address: { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" },
    ...{ port: 8080, priority: 0, weight: 0, node: "host1", ips: ["192.0.2.1"] },
  }];
  deepEqual(read({ service: service() }), { instances: expected, problems: [] });
  deepEqual(read({ services: [service(), { name: "redis", port: 6379 }] }), {
    instances: expected,
    problems: [],
  });
  const { id: _, ...without } = service({ Weights: { passing: 5 }, Address: "192.0.2.9" });
  const [made] = read({ services: [without] }).instances;
  deepEqual([made!.id, made!.weight, made!.ips], ["shop-prod-web-http-8080", 5, ["192.0.2.9"]]);
});

Deno.test("readProvider() passes over checks only where it is told to", () => {
  const document = { service: service({ check: { script: "true", interval: "10s" } }) };
  equal(read(document).problems.length, 1);
  equal(read(document, { ignoreScripts: true }).instances.length, 1);
});

const REFUSED: readonly (readonly [document: unknown, message: RegExp | string])[] = [
  ["\ufeff{}", "chef.json:1:1: there is a byte order mark; save it without"],
  ['{"instances": [\n  {"id": "a", "id": "b"}]}', 'chef.json:2:15: the key "id" is there twice'],
  ['{"instances": [],}', /chef\.json:1:18: a key in "quotes" must be here, there is "}"/],
  ['{"instances": [{},]}', /chef\.json:1:19: a value must be here, there is "\]"/],
  ["", /a value must be here, the file ends/],
  ["[]", "chef.json:1:1: the document must be an object"],
  ["{}", /instances is required/],
  [{ service: service(), services: [] }, /give service or services, not both/],
  [{ instances: [instance("a", { port: "80" })] }, /port must be a number from 1 to 65535, is "80"/],
  [{ instances: [instance("a", { port: 0 })] }, /port must be a number from 1 to 65535, is 0/],
  [{ instances: [instance("a", { port: 65_536 })] }, /is 65536/],
  [{ instances: [{ id: "a", address: "http.web.prod.shop.gg" }] }, /port is required/],
  [{ instances: [instance("a"), instance("a")] }, /the id "a" is there twice/],
  [{ instances: [instance("a", { adress: "x" })] }, /"adress" isn't known here; did you mean address\?/],
  [
    { instances: [instance("a", { address: "http.web.prod.shop.fr" })] },
    /zone of the address must be gg, is fr/,
  ],
  [{ instances: [instance("a", { address: "_http.web.prod.shop.gg" })] }, /service must be 1–63 letters/],
  [{ instances: [instance("a", { address: "web.prod.shop.gg" })] }, /five labels.*has 4/],
  [{ instances: [instance("a", { address: `${"x".repeat(64)}.web.prod.shop.gg` })] }, /service must be 1–63/],
  [
    { instances: [instance("a", { ipAddress: "10.0.0.300" })] },
    /must be an IPv4 or IPv6 address, is "10\.0\.0\.300"/,
  ],
  [{ instances: [instance("a", { node: "a..b" })] }, /a label is empty/],
  [{ service: service({ tags: [...TAGS, "glimpse:job=other"] }) }, /there are two tags glimpse:job/],
  [{ service: service({ tags: TAGS.slice(0, 4) }) }, /the tag glimpse:service is missing/],
  [{ service: service({ name: "other" }) }, /glimpse:product must be the name "other", is shop/],
  [`${"[".repeat(100)}`, /nested more than 32 deep/],
];

Deno.test("readProvider() refuses a document as a whole, and says where it is wrong", () => {
  for (const [document, expected] of REFUSED) {
    const { instances, problems } = read(document);
    deepEqual(instances, []);
    const [first = ""] = problems.map(formatProblem);
    ok(typeof expected === "string" ? first === expected : expected.test(first), `${first} for ${expected}`);
    ok(/^chef\.json:\d+:\d+: /.test(first), first);
  }
});

Deno.test("readProvider() throws at nothing, and every refusal has a place", () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(null, true, 80, 0, -1, 1.5, "a", "http.web.prod.shop.gg", TAGS),
      tie("object"),
      fc.array(tie("any"), { maxLength: 3 }),
    ),
    object: fc.dictionary(
      fc.constantFrom(
        "instances",
        "service",
        "services",
        "id",
        "address",
        "port",
        "tags",
        "name",
        "node",
        "ipAddress",
        "weights",
        "check",
      ),
      tie("any"),
    ),
  })).any;
  fc.assert(
    fc.property(fc.oneof(value.map((each) => JSON.stringify(each)), fc.string({ maxLength: 40 })), (text) => {
      const { instances, problems } = read(text);
      for (const { line, column, message } of problems) ok(line > 0 && column > 0 && message !== "");
      for (const { port, id } of instances) ok(port > 0 && id !== "");
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("parseAddress() reads what formatAddress() writes, in any case, and throws SyntaxError at everything else", () => {
  const label = fc.stringMatching(/^[0-9A-Za-z-]{1,12}$/);
  fc.assert(
    fc.property(fc.tuple(label, label, label, label, fc.stringMatching(/^[0-9A-Za-z]{2}$/)), (parts) => {
      equal(formatAddress(parseAddress(parts.join("."))), parts.join(".").toLowerCase());
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        equal(formatAddress(parseAddress(text)), text.toLowerCase());
      } catch (error) {
        ok(error instanceof SyntaxError);
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("serviceOfPort() takes the name of a port's variable without its prefix", () => {
  const names = ["PORT_HTTP", "port_admin", "PORT", "", "port_", "JMX"].map(serviceOfPort);
  deepEqual(names, ["http", "admin", "unknown", "unknown", "unknown", "jmx"]);
});
