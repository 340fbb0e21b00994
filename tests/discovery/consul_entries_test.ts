/**
 * What Consul says, taken apart: what DNS can't say is left out and named, and nothing throws that isn't expected.
 *
 * @module
 */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import {
  readEntries,
  readFailing,
  readJobs,
  readNode,
  readNodes,
  readServers,
  readServiceOf,
  readZones,
} from "../../src/discovery/consul_entries.ts";
import { readMutated } from "./mutations.ts";

const TAGS = ["glimpse:env=prod", "glimpse:job=web", "glimpse:service=http"];

function entry(service: Record<string, unknown> = {}, node: Record<string, unknown> = {}) {
  return {
    Node: { Node: "web1", Address: "192.0.2.7", ...node },
    Service: { ID: "a", Service: "shop", Address: "", Port: 80, Tags: TAGS, ...service },
    Checks: [{ Status: "passing" }],
  };
}

Deno.test("an instance has its node's address where it has none, its node's name, and the weight that was asked for", () => {
  const { instances, faults } = readEntries([
    entry(),
    entry({ ID: "b", Weights: { Passing: 5 }, Address: "2001:DB8::1" }),
  ], "gg");
  deepEqual(faults, []);
  deepEqual(instances.map(({ id, ips, node, weight, provider }) => [id, ips, node, weight, provider]), [
    ["web1/a", ["192.0.2.7"], "web1", 1, "consul"],
    ["web1/b", ["2001:db8::1"], "web1", 5, "consul"],
  ]);
  equal(readEntries([entry({ Weights: { Passing: 1, Warning: 1 } })], "gg").instances[0]!.weight, 0);
});

Deno.test("what can't be answered is left out, and its fault names it", () => {
  const table: readonly (readonly [unknown, RegExp])[] = [
    [entry({ Port: 0 }), /web1\/a is left out: port must be 1–65535, is 0/],
    [entry({ Port: 99_999 }), /is 99999/],
    [entry({ Tags: [...TAGS, "glimpse:job=api"] }), /there are two tags glimpse:job/],
    [entry({ Tags: TAGS.slice(1) }), /env must be 1–63 letters/],
    [entry({ Service: "sh_op" }), /product must be/],
    [entry({ Tags: [...TAGS, "glimpse:product=other"] }), /isn't the name of the service/],
    [entry({}, { Node: "a..b" }), /the node's name can't be one of DNS/],
    [entry({ ID: "" }), /it has no node or no id/],
    [7, /An entry has no node or no service/],
  ];
  for (const [each, fault] of table) {
    const { instances, faults } = readEntries([each, entry({ ID: "right" })], "gg");
    deepEqual(instances.map(({ id }) => id), ["web1/right"]);
    match(faults[0]!.message, fault);
  }
  const { instances, faults } = readEntries([entry({ Address: "10.0.0.300" })], "gg");
  deepEqual([instances[0]!.ips, faults[0]!.kind], [[], "invalidip"]);
  deepEqual(readEntries([{ ...entry(), Checks: [{ Status: "critical" }] }], "gg").instances, []);
});

Deno.test("jobs, zones and name servers are those that have a name in DNS", () => {
  deepEqual([
    ...readJobs({
      consul: [],
      Shop: ["glimpse:job=Web", "x", 7],
      shop: ["glimpse:job=api"],
      b_d: ["glimpse:job=x"],
    }),
  ], [
    ["shop", new Set(["web", "api"])],
  ]);
  deepEqual(readZones(["gg", "FR", "dc1", 7]), ["gg", "fr"]);
  const members = [[1, "b.gg", "192.0.2.2"], [4, "a.gg", "192.0.2.1"], [3, "c.gg", "192.0.2.3"], [
    1,
    "d.dc1",
    "192.0.2.4",
  ], [1, "e.gg", "x"]]
    .map(([Status, Name, Addr]) => ({ Status, Name, Addr }));
  deepEqual([...readServers(members)], [["gg", [{ host: "b", ips: ["192.0.2.2"] }, {
    host: "a",
    ips: ["192.0.2.1"],
  }]]]);
  for (const read of [readJobs, readServers, readZones, (each: unknown) => readEntries(each, "gg")]) {
    for (const none of ["text", 7, true, null]) throws(() => read(none), SyntaxError);
  }
});

Deno.test("a node has its services, those without a tag of ours aside, and what fails has its checks' names", () => {
  deepEqual(readNodes([{ Node: "a" }, { Node: "b" }, {}, 7]), ["a", "b"]);
  const { node, services } = readNode({
    Node: entry().Node,
    Services: [entry().Service, { ID: "x", Tags: ["y"] }, 7],
  });
  const read = services.map((service) => readServiceOf(node, service, "gg"));
  deepEqual(read.map(({ instance }) => instance?.id), ["web1/a", undefined, undefined]);
  deepEqual(read.flatMap(({ faults }) => faults), []);
  match(readServiceOf(node, { ...entry().Service, Port: 0 }, "gg").faults[0]!.message, /port must be/);
  for (const nothing of [null, { Node: null, Services: null }]) deepEqual(readNode(nothing).services, []);
  deepEqual(
    readFailing([
      { Node: "a", ServiceID: "1", Status: "critical" },
      { Node: "a", ServiceID: "2", Status: "warning" },
      { Node: "a", ServiceID: "3", Status: "passing" },
      { Node: "b", ServiceID: "", Status: "critical" },
      7,
    ]),
    new Map([["a", new Set(["1", "2"])], ["b", new Set([""])]]),
  );
  for (const none of ["text", 7, true, [], { Node: {}, Services: 7 }]) {
    throws(() => readNode(none), SyntaxError);
  }
  for (const none of ["text", 7, null, []]) throws(() => readNodes(none), SyntaxError);
  for (const none of ["text", 7, null]) throws(() => readFailing(none), SyntaxError);
});

Deno.test("whatever a byte is changed to, nothing but a SyntaxError comes of it, and each refusal says something", () => {
  readMutated(4_000, 20);
});
