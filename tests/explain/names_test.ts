/**
 * Accounts of pools whose members go by name, on a real node.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { call, create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";
import { LoopbackResolver } from "../resolver/resolver.ts";

interface Account {
  readonly answer: { readonly records: readonly { readonly type: string; readonly data: string }[] };
  readonly candidates: readonly {
    readonly member: string;
    readonly address: string | null;
    readonly outcome: string;
    readonly rank: number | null;
  }[];
  readonly steps: readonly { readonly kind: string; readonly text: string }[];
}

Deno.test("an alias is explained by its name, and an address beside it by itself", async () => {
  await using resolver = new LoopbackResolver({ "lb.example.net": { a: ["192.0.2.7", "192.0.2.8"] } });
  await using node = await startTestNode({
    dns: { ...TEST_SETTINGS.dns, domain: ["example.com"] },
    names: { ...TEST_SETTINGS.names, resolvers: [resolver.address] },
  });
  const poolId = await create(node, "/pools", { name: "web", flatten: false, maxAnswers: 0 });
  await create(node, `/pools/${poolId}/members`, { target: "lb.example.net", port: 443 });
  await create(node, `/pools/${poolId}/members`, { ipAddress: "192.0.2.20", port: 443 });
  await create(node, "/services", { domain: "www.example.com", poolId });
  const account = () => explained(node, "www.example.com");
  const { answer, candidates, steps } = await until(account, ({ answer }) => answer.records.length > 0);
  deepEqual(answer.records.map(({ type, data }) => `${type} ${data}`), ["CNAME lb.example.net."]);
  deepEqual(candidates.map(({ member, address, outcome, rank }) => [member, address, outcome, rank]), [
    ["lb.example.net:443", null, "kept", 1],
    ["192.0.2.20:443", "192.0.2.20", "kept", 2],
  ]);
  match(steps.find(({ kind }) => kind === "chosen")!.text, /^answered: the alias lb\.example\.net \(all\)/);
});

Deno.test("an alias of a service of this node is explained by its own pool, whatever type is asked for", async () => {
  await using node = await startTestNode({ dns: { ...TEST_SETTINGS.dns, domain: ["example.com"] } });
  const outer = await create(node, "/pools", { name: "outer", flatten: false });
  const inner = await create(node, "/pools", { name: "inner" });
  await create(node, `/pools/${outer}/members`, { target: "in.example.com", port: 443 });
  await create(node, `/pools/${inner}/members`, { ipAddress: "192.0.2.20", port: 443 });
  await create(node, "/services", { domain: "in.example.com", poolId: inner });
  await create(node, "/services", { domain: "www.example.com", poolId: outer });
  for (
    const [type, data] of [["A", ["in.example.com.", "192.0.2.20"]], ["TXT", ["in.example.com."]]] as const
  ) {
    const { answer, candidates, steps } = await explained(node, `www.example.com&type=${type}`);
    deepEqual(answer.records.map((record) => record.data), data);
    deepEqual(candidates.map(({ member, rank }) => [member, rank]), [["in.example.com:443", 1]]);
    deepEqual(steps.filter(({ kind }) => kind === "pool").length, 1);
  }
});

async function explained(node: TestNode, question: string): Promise<Account> {
  const { status, json } = await call(node, "GET", `/explain?name=${question}`);
  equal(status, 200, JSON.stringify(json));
  return json as Account;
}
