/** @module When two nodes have different models. */
import { equal } from "node:assert/strict";
import { isOtherModel, type NodeModel } from "../../src/cluster/node_model.ts";

const LOG = { entries: 5, behind: 0, pending: 0 };
const OWN: NodeModel = { generation: 7, digest: 1, log: LOG };

Deno.test("generations say nothing, and who is behind or ahead has no other model", () => {
  equal(isOtherModel(OWN, { ...OWN, generation: 900 }), false);
  equal(isOtherModel(OWN, { ...OWN, digest: 2 }), true);
  equal(isOtherModel(OWN, { ...OWN, digest: null }), false);
  equal(isOtherModel({ ...OWN, digest: null }, OWN), false);
  equal(isOtherModel(OWN, { ...OWN, digest: 2, log: { ...LOG, entries: 4 } }), false);
  equal(isOtherModel(OWN, { ...OWN, digest: 2, log: { ...LOG, pending: 1 } }), false);
  equal(isOtherModel({ ...OWN, log: { ...LOG, pending: 1 } }, { ...OWN, digest: 2 }), false);
  equal(isOtherModel(OWN, { ...OWN, digest: 2, log: null }), true, "each has a model of its own");
});
