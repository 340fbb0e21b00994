/**
 * A real node explains what it then answers, and keeps what its failovers took.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { askUdp } from "../dns/clients.ts";
import { call, create, startTestNode, type TestNode, until } from "../test_node.ts";

/** As much of an account as is looked at here. */
interface Account {
  readonly question: { readonly wire: string };
  readonly answer: { readonly wire: string; readonly records: readonly { readonly data: string }[] };
  readonly candidates: readonly {
    readonly member: string;
    readonly outcome: string;
    readonly reason: string;
  }[];
}

Deno.test("what the API explains is what UDP answers to the same client next, byte by byte but the id", async () => {
  await using node = await startTestNode();
  await createWeb(node, { algorithm: "weighted-round-robin", maxAnswers: 2 });
  for (const query of ["", "&type=AAAA", "&ecs=203.0.113.0/24", "&type=TXT", "", ""]) {
    const account = await explained(node, `name=www.example.com&client=127.0.0.1${query}`);
    const packet = Uint8Array.fromHex(account.question.wire);
    packet.set([0x12, 0x34]);
    const answer = await askUdp(node.node.dns[0]!, packet);
    deepEqual([...answer.subarray(0, 2)], [0x12, 0x34]);
    equal(answer.subarray(2).toHex(), account.answer.wire.slice(4), query);
  }
});

Deno.test("an override shows in the account as soon as it is made", async () => {
  await using node = await startTestNode();
  const pool = await createWeb(node, { maxAnswers: 0 });
  const { status } = await call(node, "POST", "/overrides?force=true&reason=test", {
    target: `pool:${pool}`,
    state: "down",
    reason: "the building burns",
    owner: "kim",
    for: "10m",
  });
  equal(status, 201);
  const { candidates, answer } = await explained(node, "name=www.example.com");
  deepEqual(answer.records, []);
  const enabled = candidates.filter(({ member }) => member.startsWith("192.0.2."));
  equal(enabled.length, 3);
  for (const { outcome, reason } of enabled) {
    equal(outcome, "dropped");
    ok(/^forced down until .* by kim: the building burns$/.test(reason), reason);
  }
});

Deno.test("an account names who created an override, beside the one who answers for it", async () => {
  await using node = await startTestNode();
  const pool = await createWeb(node, { maxAnswers: 0 });
  const response = await fetch(`${node.api}/overrides?force=true&reason=test`, {
    method: "POST",
    headers: { "content-type": "application/json", "pleiades-user": "anna" },
    body: JSON.stringify({
      target: `pool:${pool}`,
      state: "down",
      reason: "smoke",
      owner: "kim",
      for: "10m",
    }),
  });
  equal(response.status, 201, await response.text());
  const { candidates } = await explained(node, "name=www.example.com");
  const [first] = candidates.filter(({ member }) => member.startsWith("192.0.2."));
  ok(/ by kim \(created by anna\): smoke$/.test(first!.reason), first!.reason);
});

Deno.test("a real failover is in the budget, and took no longer than it says", async () => {
  await using node = await startTestNode();
  const backend = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = backend.addr;
  const pool = await create(node, "/pools", { name: "web" });
  await create(node, `/pools/${pool}/members`, { ipAddress: "127.0.0.1", port });
  await call(node, "PUT", `/pools/${pool}/health-check`, {
    type: "tcp",
    intervalMs: 250,
    timeoutMs: 100,
    fall: 2,
    rise: 1,
  });
  await create(node, "/services", { domain: "www.example.com", poolId: pool });
  const budget = async () =>
    (await call(node, "GET", "/budget?name=www.example.com")).json as {
      readonly pools: readonly { readonly refusing: { readonly detection: { readonly worstMs: number } } }[];
      readonly failovers: readonly { readonly direction: string; readonly detectedMs: number | null }[];
    };
  const isHealthy = async () => {
    const { json } = await call(node, "GET", `/pools/${pool}/members`);
    return (json as { readonly health: { readonly state: string } }[])[0]!.health.state === "healthy";
  };
  await until(isHealthy, (healthy) => healthy);
  backend.close();
  const { failovers, pools: [first] } = await until(budget, ({ failovers }) => failovers.length > 0);
  equal(failovers[0]!.direction, "down");
  equal(first!.refusing.detection.worstMs, 500);
  // A busy machine delays probes; that a number is there is what counts, its bound is what `prove failover` holds.
  ok(failovers[0]!.detectedMs !== null && failovers[0]!.detectedMs > 0);
});

async function createWeb(node: TestNode, fields: Record<string, unknown>): Promise<string> {
  const pool = await create(node, "/pools", { name: "web", ...fields });
  for (const [i, ipAddress] of ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"].entries()) {
    await create(node, `/pools/${pool}/members`, { ipAddress, port: 443, weight: i + 1 });
  }
  await create(node, "/services", { domain: "www.example.com", poolId: pool });
  return pool;
}

async function explained(node: TestNode, query: string): Promise<Account> {
  const { status, json } = await call(node, "GET", `/explain?${query}`);
  equal(status, 200, JSON.stringify(json));
  return json as Account;
}
