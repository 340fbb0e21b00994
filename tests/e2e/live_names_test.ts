/**
 * @module Tests of every way to leave a live name without an address, each through every way in: the REST API, the shell
 * and the apply of a whole model.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { startTestNode, type TestNode } from "../test_node.ts";

/** What each way begins with; `www` is live, and so is what the zone and the fallback answer. */
const MODEL = `
pools:
  - name: web
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.1, port: 443, region: fra }
  - name: both
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.2, port: 443 }
      - { ipAddress: "2001:db8::2", port: 443 }
  - name: fenced
    geofence: true
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.3, port: 443 }
      - { ipAddress: 192.0.2.4, port: 443 }
    geoRules:
      - { cidr: 198.51.100.0/24, member: 192.0.2.3 }
  - name: pair
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.5, port: 443 }
      - { ipAddress: 192.0.2.6, port: 443 }
  - name: empty
services:
  - { domain: www.example.com, pool: web }
  - { domain: dual.example.com, pool: both }
  - { domain: fence.example.com, pool: fenced }
  - { domain: two.example.com, pool: pair }
zones:
  - domain: example.org
    text: |
      @ 300 SOA ns1 hostmaster 1 7200 900 1209600 300
      @ 300 NS ns1
      ns1 300 A 192.0.2.53
      static 300 A 192.0.2.54
loadbalancer:
  endpoints: [192.0.2.99]
`;

interface Way {
  readonly what: string;
  /** The shell's words; how the whole model would have to differ. */
  readonly shell: string;
  readonly model?: (text: string) => string;
  /** The names that the guard gives; `null` = the change is made, for the reason beside. */
  readonly refused: readonly string[] | null;
  readonly because?: string;
}

const without = (...parts: readonly string[]) => (text: string) =>
  parts.reduce((rest, part) => {
    ok(rest.includes(part), part);
    return rest.replace(part, "");
  }, text);
const replaced = (from: string, to: string) => (text: string) => {
  ok(text.includes(from), from);
  return text.replace(from, to);
};

const WAYS: readonly Way[] = [
  {
    what: "delete its pool",
    shell: "pools delete web",
    refused: ["www.example.com"],
  },
  {
    what: "delete the last member",
    shell: "members delete web/192.0.2.1:443",
    model: without("      - { ipAddress: 192.0.2.1, port: 443, region: fra }\n", "    members:\n"),
    refused: ["www.example.com"],
  },
  {
    what: "disable the last member",
    shell: "members update web/192.0.2.1:443 --no-enabled",
    model: replaced("192.0.2.1, port: 443", "192.0.2.1, enabled: false, port: 443"),
    refused: ["www.example.com"],
  },
  {
    what: "force the last member down",
    shell: "down web/192.0.2.1:443 --for 1h --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "drain the last member",
    shell: "drain web/192.0.2.1:443 --for 1h --over 1ms --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "force the pool down",
    shell: "down pool:web --for 1h --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "force its region down",
    shell: "down region:fra --for 1h --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "take its pool away",
    shell: "services update www.example.com --no-pool",
    model: replaced("www.example.com, pool: web", "www.example.com"),
    refused: null,
    because: "without a pool the static fallback answers",
  },
  {
    what: "give it an empty pool",
    shell: "services update www.example.com --pool empty",
    model: replaced("www.example.com, pool: web", "www.example.com, pool: empty"),
    refused: ["www.example.com"],
  },
  {
    what: "ask for more members than there are",
    shell: "pools update web --min-healthy 2",
    model: replaced("name: web", "name: web\n    minHealthy: 2"),
    refused: ["www.example.com"],
  },
  {
    what: "delete the last member of a family",
    shell: "members delete both/[2001:db8::2]:443",
    model: without(`      - { ipAddress: "2001:db8::2", port: 443 }\n`),
    refused: ["dual.example.com"],
  },
  {
    what: "move the last member of a family",
    shell: "members update both/192.0.2.2:443 --ip 2001:db8::3",
    model: replaced("192.0.2.2", `"2001:db8::3"`),
    refused: ["dual.example.com"],
  },
  {
    what: "disable the only member inside a fence",
    shell: "members update fenced/192.0.2.3:443 --no-enabled",
    model: replaced("192.0.2.3, port", "192.0.2.3, enabled: false, port"),
    refused: ["fence.example.com"],
  },
  {
    what: "disable one of two members",
    shell: "members update pair/192.0.2.5:443 --no-enabled",
    model: replaced("192.0.2.5, port", "192.0.2.5, enabled: false, port"),
    refused: null,
    because: "the other one is left",
  },
  {
    what: "delete the service",
    shell: "services delete www.example.com",
    model: without("  - { domain: www.example.com, pool: web }\n"),
    refused: null,
    because: "that is what was asked for",
  },
  {
    what: "rename the service",
    shell: "services update www.example.com --domain web.example.com",
    model: replaced("www.example.com", "web.example.com"),
    refused: null,
    because: "that is what was asked for",
  },
  {
    what: "have it checked where nothing listens",
    shell: "health-checks set web --port 1",
    model: replaced("name: web", "name: web\n    healthCheck: { type: tcp, port: 1 }"),
    refused: null,
    because: "health is frozen, and a member that isn't probed yet counts as healthy",
  },
  {
    what: "delete a zone with live names",
    shell: "zones delete example.org",
    refused: ["ns1.example.org", "static.example.org"],
  },
  {
    what: "delete the static fallback",
    shell: "fallback delete",
    model: without("loadbalancer:\n  endpoints: [192.0.2.99]\n"),
    refused: ["any-other-name.example.org"],
  },
  {
    what: "delete all of it in one apply",
    shell: "",
    model: () => "pools: [{ name: empty }]\nservices: [{ domain: www.example.com, pool: empty }]\n",
    refused: ["www.example.com"],
  },
];

for (const { what, shell, model, refused, because } of WAYS) {
  const outcome = refused === null ? `is possible: ${because}` : "is refused";
  Deno.test(`to ${what} ${outcome}, by shell and apply, and can be forced`, async () => {
    if (shell !== "") {
      await using node = await started();
      await tried(node, shell.split(" "), refused);
    }
    if (model) {
      await using node = await started();
      await using file = await written(model(MODEL));
      await tried(node, ["config", "apply", file.path], refused);
    }
  });
}

Deno.test("over REST a guard's refusal is 409, names the guard and what is hit, and a reason forces it", async () => {
  await using node = await started();
  const [pool] = await (await fetch(`${node.api}/pools?limit=1000`)).json().then((pools) =>
    pools.filter(({ name }: { name: string }) => name === "web")
  );
  const url = `${node.api}/pools/${pool.id}`;
  const refused = await fetch(url, { method: "DELETE" });
  equal(refused.status, 409);
  const { guards: [{ guard, message, names }] } = await refused.json();
  deepEqual([guard, names], ["empties-live-name", ["www.example.com"]]);
  match(message, /would lose the pool that answers: www\.example\.com/);
  equal((await (await fetch(url)).json()).name, "web");
  const unexplained = await fetch(`${url}?force=true`, { method: "DELETE" });
  match((await unexplained.json()).detail, /asks for a reason/);
  const plan = await (await fetch(`${url}?dryRun=true`, { method: "DELETE" })).json();
  deepEqual(plan.refusals.map((it: { guard: string }) => it.guard), ["empties-live-name"]);
  deepEqual(plan.answers.differences, [{
    name: "www.example.com",
    type: "A",
    clients: "everyone",
    share: 1,
    before: [{ address: "192.0.2.1", share: 1 }],
    after: [{ address: "192.0.2.99", share: 1 }],
    moved: 1,
  }]);
  const forced = await fetch(`${url}?force=true&reason=drill`, { method: "DELETE" });
  equal(forced.status, 204);
  equal((await (await fetch(`${node.api}/history`)).json())[0].reason, "drill");
});

/** Tries a command as it is, and forced where it was refused; what is refused changes nothing. */
async function tried(node: TestNode, words: readonly string[], refused: Way["refused"]): Promise<void> {
  const before = await generation(node);
  const first = await pleiades(node, words);
  if (refused === null) {
    equal(first.exitCode, 0, first.stderr);
    ok(await generation(node) > before);
    return;
  }
  equal(first.exitCode, 3, `${words.join(" ")}: ${first.stdout}${first.stderr}`);
  for (const name of refused) ok(first.stderr.includes(name), first.stderr);
  equal(await generation(node), before);
  const reasoned = words.includes("--reason") ? [] : ["--reason", "drill"];
  const forced = await pleiades(node, [...words, "--force", ...reasoned]);
  equal(forced.exitCode, 0, forced.stderr);
  ok(await generation(node) > before);
}

async function started(): Promise<TestNode> {
  const node = await startTestNode();
  await using file = await written(MODEL);
  const { exitCode, stderr } = await pleiades(node, ["config", "apply", file.path]);
  equal(exitCode, 0, stderr);
  return node;
}

async function generation(node: TestNode): Promise<number> {
  return (await (await fetch(`${node.api}/status`)).json()).generation;
}

async function pleiades(node: TestNode, words: readonly string[]) {
  const terminal = capturedTerminal({ PLEIADES_API_URL: node.api.replace("/api/v1", "") });
  const exitCode = await run([...words], terminal);
  return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr() };
}

async function written(text: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(path, text);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
