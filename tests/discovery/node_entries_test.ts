/** @module What nodes say together: weights, and what changes. */
import { deepEqual, equal } from "node:assert/strict";
import { readServiceOf } from "../../src/discovery/consul_entries.ts";
import { NodeEntries } from "../../src/discovery/node_entries.ts";

function entry(node: string, id: string, more: Readonly<Record<string, unknown>> = {}) {
  const tags = ["glimpse:env=prod", "glimpse:job=web", "glimpse:service=http"];
  return readServiceOf({ Node: node, Address: "192.0.2.7" }, {
    ...{ ID: id, Service: "shop", Port: 80, Tags: tags },
    ...more,
  }, "gg");
}

const brief = ({ put, gone }: ReturnType<NodeEntries["take"]>) => [
  put.map(({ id, port, weight }) => `${id} ${port} ${weight}`),
  gone,
];

Deno.test("what is another is told, and nothing else", () => {
  const all = new NodeEntries();
  deepEqual(brief(all.take("a", [entry("a", "1"), entry("a", "2")])), [["a/1 80 0", "a/2 80 0"], []]);
  deepEqual(brief(all.take("a", [entry("a", "1"), entry("a", "2", { Port: 81 })])), [["a/2 81 0"], []]);
  deepEqual(brief(all.take("b", [entry("b", "1")])), [["b/1 80 0"], []]);
  deepEqual(brief(all.take("a", [entry("a", "2", { Port: 81 }), entry("a", "x", { Tags: ["other"] })])), [
    [],
    [
      "a/1",
    ],
  ]);
  equal(all.size, 2);
  deepEqual(all.instances().map(({ id }) => id).sort(), ["a/2", "b/1"]);
  deepEqual(brief(all.take("a", [])), [[], ["a/2"]]);
});

Deno.test("where one of an address has asked for a weight, those of all nodes have theirs, and else 0", () => {
  const all = new NodeEntries();
  all.take("a", [entry("a", "1")]);
  deepEqual(brief(all.take("b", [entry("b", "1", { Weights: { Passing: 7 } })])), [
    ["b/1 80 7", "a/1 80 1"],
    [],
  ]);
  deepEqual(brief(all.take("c", [entry("c", "1", { Weights: { Passing: 0 } })])), [["c/1 80 0"], []]);
  deepEqual(brief(all.take("b", [entry("b", "1")])), [["b/1 80 1"], []]);
  deepEqual(brief(all.take("c", [])), [["a/1 80 0", "b/1 80 0"], ["c/1"]]);
});
