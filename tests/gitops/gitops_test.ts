/**
 * A node that follows a repository: what becomes of its commits, and what is said of it.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { GitState } from "../../src/change/git_state.ts";
import { RepositoryWork } from "../../src/gitops/git_work.ts";
import { startGitops } from "../../src/gitops/gitops.ts";
import { RepositoryError } from "../../src/gitops/repository.ts";
import type { Core, Start } from "../../src/node/part.ts";
import { gitops as gitopsOfNode } from "../../src/node/gitops.ts";
import { PARTS } from "../../src/node/parts.ts";
import { loadSettings, type Settings } from "../../src/settings/settings.ts";
import { testWith } from "../programs.ts";
import { askFor, call, create, startTestNode, type TestNode, until } from "../test_node.ts";
import { AuthoredRepository, LocalRepository } from "./authored_repository.ts";

const SITE = `pools:
  - name: web
    members:
      - { ipAddress: 192.0.2.10, port: 443 }
services:
  - { domain: www.example.org, pool: web }
`;

/** The settings of a file that says this of `gitops`, beside a poll in an hour and no signatures. */
function settingsOf(lines: string): Settings["gitops"] {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    Deno.writeTextFileSync(
      file,
      `gitops:\n  pollInterval: 1h\n${
        lines.includes("requireSignature") ? "" : "  requireSignature: false\n"
      }${lines}`,
    );
    const { settings, problems } = loadSettings({ file, env: {}, flags: { db: ":memory:" } });
    deepEqual(problems, []);
    return settings!.gitops;
  } finally {
    Deno.removeSync(file);
  }
}

const gitTest = (name: string, test: () => Promise<void>) => testWith(["git"], name, test);

interface Following extends AsyncDisposable, TestNode {
  readonly repository: LocalRepository;
  readonly sync: (
    query?: string,
  ) => Promise<{ readonly status: number; readonly json: Record<string, unknown> }>;
  readonly status: () => Promise<Record<string, unknown>>;
  readonly metric: (name: string) => Promise<string[]>;
}

async function follow(authored: AuthoredRepository, lines = ""): Promise<Following> {
  const repository = new LocalRepository(authored);
  const start: Start = (core: Core) =>
    startGitops({
      ...core,
      state: new GitState(core.store),
      folder: "/nonexistent",
      open: () => new RepositoryWork(repository, () => new Date()),
    });
  const node = await startTestNode(
    {
      gitops: settingsOf(
        `  repoURL: https://git.example.org/dns.git\n  webhook: { secret: a secret of the hook }\n${lines}`,
      ),
    },
    { parts: [...PARTS.filter((part) => part !== gitopsOfNode), start] },
  );
  return {
    ...node,
    repository,
    sync: async (query = "") => {
      const { status, json } = await call(node, "POST", `/gitops/sync${query}`);
      return { status, json: json as Record<string, unknown> };
    },
    status: async () => (await call(node, "GET", "/gitops")).json as Record<string, unknown>,
    metric: async (name) => {
      const text = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
      return text.split("\n").filter((line) => line.startsWith(`pleiades_gitops_${name}`))
        .map((line) => line.replaceAll(/cluster="test",node="node-1",?/g, ""));
    },
    [Symbol.asyncDispose]: () => node.node[Symbol.asyncDispose](),
  };
}

gitTest(
  "a commit becomes the model, with all that is said of it; the next one that is broken changes nothing",
  async () => {
    using authored = new AuthoredRepository();
    const first = authored.commit({ "sites/web.yaml": SITE, "README.md": "not a model" }, "The first site");
    await using node = await follow(authored);
    await until(() => askFor(node, "www.example.org"), (addresses) => addresses.length > 0);
    deepEqual((await node.sync()).json["result"], "unchanged");
    const { json: [entry] } = await call(node, "GET", "/history") as unknown as {
      json: Record<string, unknown>[];
    };
    deepEqual([entry!["via"], entry!["by"], entry!["reason"]], [
      "git",
      "",
      `commit ${first}: The first site`,
    ]);
    const status = await node.status();
    deepEqual([status["state"], status["head"], (status["applied"] as { commit: string }).commit], [
      "synced",
      first,
      first,
    ]);
    deepEqual(await node.metric("last_apply_info"), [
      `pleiades_gitops_last_apply_info{sha="${first}",signer=""} 1`,
    ]);

    // What config validate says of it.
    const broken = authored.commit({ "sites/web.yaml": SITE.replace("pool: web", "pool: wbe") });
    const refused = await node.sync();
    equal(refused.status, 422);
    match(
      String(refused.json["detail"]),
      /^The model of commit [0-9a-f]{12} has 1 problem: sites\/web.yaml:6:38: .*wbe/,
    );
    const { state, problem } = await node.status() as { state: string; problem: Record<string, unknown> };
    deepEqual([state, problem["step"], problem["commit"]], ["refused", "read", broken]);
    deepEqual(await askFor(node, "www.example.org"), ["192.0.2.10"]);
    deepEqual(await node.metric("apply_total"), [
      'pleiades_gitops_apply_total{result="ok"} 1',
      'pleiades_gitops_apply_total{result="error"} 1',
    ]);
    await node.sync();
    equal(node.lines.filter((line) => line.includes("has 1 problem")).length, 1);

    const good = authored.commit({ "sites/web.yaml": SITE.replace("192.0.2.10", "192.0.2.30") });
    deepEqual((await node.sync()).json, {
      result: "applied",
      commit: good,
      signer: "",
      generation: 2,
      changed: true,
    });
    deepEqual(await node.metric("last_apply_info"), [
      `pleiades_gitops_last_apply_info{sha="${good}",signer=""} 1`,
    ]);
    equal((await node.status())["problem"], null);
  },
);

gitTest("what is changed by another way is told of and left, until the next commit", async () => {
  using authored = new AuthoredRepository();
  authored.commit({ "web.yaml": SITE });
  await using node = await follow(authored);
  await until(() => node.status(), ({ state }) => state === "synced");
  const spare = await create(node, "/pools", { name: "spare" });
  await call(node, "PUT", "/fallback", { endpoints: ["192.0.2.99"] });
  await node.sync();
  const status = await node.status() as unknown as Status;
  deepEqual([status.state, status.drift.objects], ["drifted", 2]);
  deepEqual(status.drift.changes.map(({ kind, name, action, git }) => [kind, name, action, git]), [
    ["pool", "spare", "created", null],
    ["fallback", "static fallback", "created", null],
  ]);
  deepEqual(await node.metric("drift_objects"), ["pleiades_gitops_drift_objects{} 2"]);
  equal(node.lines.filter((line) => line.includes("Objects differ from the commit")).length, 1);
  equal((await call(node, "GET", `/pools/${spare}`)).status, 200);

  // What is as it was is no drift, whatever became of it meanwhile.
  equal((await call(node, "DELETE", `/pools/${spare}`)).status, 204);
  deepEqual((await node.status() as unknown as Status).drift.objects, 1);
  authored.commit({ "web.yaml": SITE.replace("192.0.2.10", "192.0.2.30") });
  equal((await node.sync()).json["changed"], true);
  equal((await call(node, "GET", "/fallback")).status, 404);
  deepEqual([(await node.status())["state"], await node.metric("drift_objects")], [
    "synced",
    ["pleiades_gitops_drift_objects{} 0"],
  ]);
});

gitTest(
  "what is changed by another way is undone where gitops.onDrift says so; overrides aren't",
  async () => {
    using authored = new AuthoredRepository();
    const commit = authored.commit({ "web.yaml": SITE });
    await using node = await follow(authored, "  onDrift: restore\n");
    await until(() => node.status(), ({ state }) => state === "synced");
    const [{ id }] = (await call(node, "GET", "/pools")).json as [{ id: string }];
    await create(node, "/overrides", {
      target: "pool:web",
      state: "up",
      owner: "alice",
      reason: "a test",
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    });
    await create(node, "/pools", { name: "spare" });
    deepEqual((await node.sync()).json, {
      result: "restored",
      commit,
      signer: "",
      generation: 4,
      changed: true,
    });
    const pools = (await call(node, "GET", "/pools")).json as { id: string; name: string }[];
    deepEqual(pools.map(({ id, name }) => [id, name]), [[id, "web"]]);
    equal(((await call(node, "GET", "/overrides")).json as unknown[]).length, 1);
    equal((await node.sync()).json["result"], "unchanged");

    // A head that is refused doesn't keep the commit before it from being restored.
    authored.commit({ "web.yaml": "pools: 1\n" });
    await create(node, "/pools", { name: "spare" });
    equal((await node.sync()).status, 422);
    deepEqual(
      [(await node.status())["state"], ((await call(node, "GET", "/pools")).json as unknown[]).length],
      ["refused", 1],
    );
  },
);

gitTest("what a guard refuses, and a branch that is rewritten, an admin may take all the same", async () => {
  using authored = new AuthoredRepository();
  const first = authored.commit({ "web.yaml": SITE });
  await using node = await follow(authored);
  await until(() => node.status(), ({ state }) => state === "synced");
  authored.commit({ "web.yaml": SITE.replace(/ {6}- .*/, "      []") });
  const refused = await node.sync();
  deepEqual([refused.status, (refused.json["guards"] as { guard: string }[]).map(({ guard }) => guard)], [
    409,
    [
      "empties-live-name",
    ],
  ]);
  deepEqual(await askFor(node, "www.example.org"), ["192.0.2.10"]);
  equal((await node.sync("?force=true")).status, 400);
  equal((await node.sync("?force=true&reason=moved")).json["result"], "applied");
  const [entry] = (await call(node, "GET", "/history")).json as { reason: string }[];
  match(entry!.reason, /^commit [0-9a-f]{40}: A change \(forced: moved\)$/);

  authored.git("reset", "--quiet", "--hard", first);
  const rewritten = authored.commit({ "web.yaml": SITE.replace("192.0.2.10", "192.0.2.30") });
  const { status, json } = await node.sync();
  equal(status, 422);
  match(
    String(json["detail"]),
    /doesn't come after [0-9a-f]{12}, which is applied: the branch was rewritten \(push a commit/,
  );
  equal((await node.sync("?force=true&reason=rewritten")).json["commit"], rewritten);
  deepEqual(await askFor(node, "www.example.org"), ["192.0.2.30"]);
});

gitTest("a repository that is gone is told of once, and followed again when it is back", async () => {
  using authored = new AuthoredRepository();
  const commit = authored.commit({ "web.yaml": SITE });
  await using node = await follow(authored);
  await until(() => node.status(), ({ state }) => state === "synced");
  node.repository.fault = new RepositoryError("unreachable", "git.example.org doesn't answer");
  const failed = await node.sync();
  deepEqual([failed.status, failed.json["detail"]], [
    503,
    "The repository can't be fetched: git.example.org doesn't answer",
  ]);
  await node.sync();
  equal(node.lines.filter((line) => line.includes("can't be fetched")).length, 1);
  equal((await node.status())["state"], "failing");
  node.repository.fault = null;
  deepEqual((await node.sync()).json["commit"], commit);
  equal((await node.status())["state"], "synced");
  const events = node.node.events.kept().map(({ event }) => event).filter(({ kind }) => kind === "gitops");
  deepEqual(events.map((event) => "change" in event ? event.change : ""), ["applied", "failed", "recovered"]);
});

gitTest(
  "a commit that isn't signed, and one that doesn't come after gitops.since, change nothing",
  async () => {
    using authored = new AuthoredRepository();
    const first = authored.commit({ "web.yaml": SITE });
    await using node = await follow(
      authored,
      `  requireSignature: true\n  allowedSigners: SHA256:${"A".repeat(43)}\n  since: ${first}\n`,
    );
    await until(() => node.status(), ({ state }) => state === "refused");
    match(
      String((await node.sync("?force=true&reason=hurry")).json["detail"]),
      /^Commit [0-9a-f]{12} isn't signed \(sign it with git commit -S/,
    );
    deepEqual(await node.metric("verify_total"), [
      'pleiades_gitops_verify_total{result="ok"} 0',
      'pleiades_gitops_verify_total{result="error"} 2',
    ]);
    authored.git("checkout", "--quiet", "--orphan", "other");
    authored.commit({ "web.yaml": SITE }, "Another begin");
    authored.git("branch", "--quiet", "--force", "main", "other");
    match(
      String((await node.sync()).json["detail"]),
      /doesn't come after [0-9a-f]{12}, gitops.since \(set gitops.since to a commit of this branch\)$/,
    );
    deepEqual([node.node.store.generation(), (await node.status())["applied"]], [0, null]);
  },
);

gitTest("checks that a commit leaves as they are keep what they know", async () => {
  using authored = new AuthoredRepository();
  const checked = SITE.replace(
    "services:",
    "    healthCheck: { type: tcp, port: 1, timeoutMs: 100, fall: 1 }\nservices:",
  )
    .replace("192.0.2.10", "127.0.0.1");
  authored.commit({ "web.yaml": checked });
  await using node = await follow(authored);
  const health = async () => {
    const pools = (await call(node, "GET", "/pools")).json as { id: string }[];
    if (pools.length === 0) return null;
    const members = (await call(node, "GET", `/pools/${pools[0]!.id}/members`)).json as {
      id: string;
      health: unknown;
    }[];
    return { id: members[0]!.id, ...members[0]!.health as { state: string; since: string } };
  };
  const before = await until(health, (seen) => seen?.state === "unhealthy");
  authored.commit({ "more.yaml": "services:\n  - { domain: more.example.org, pool: web }\n" });
  equal((await node.sync()).json["changed"], true);
  const after = await health();
  deepEqual([after!.id, after!.state, after!.since], [before!.id, before!.state, before!.since]);
});

gitTest("a webhook has the repository looked at when it is signed by any of the three ways", async () => {
  using authored = new AuthoredRepository();
  authored.commit({ "web.yaml": SITE });
  await using node = await follow(authored);
  await until(() => node.status(), ({ state }) => state === "synced");
  const post = async (headers: Record<string, string>, body = '{"ref": "refs/heads/main"}') => {
    const response = await fetch(`${node.api}/gitops/webhook`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers },
    });
    await response.body?.cancel();
    return response.status;
  };
  // printf '{"ref": "refs/heads/main"}' | openssl dgst -sha256 -hmac 'a secret of the hook'
  const hmac = "d960b1501506e83feae4ab4f20ec0078038665428678711c7532037e055e704e";
  for (
    const headers of [
      { "x-hub-signature-256": `sha256=${hmac}` },
      { "x-signature-256": hmac },
      { "x-gitlab-token": "a secret of the hook" },
    ]
  ) {
    const before = node.repository.fetches;
    equal(await post(headers), 202);
    await until(() => Promise.resolve(node.repository.fetches), (fetches) => fetches > before);
  }
  const before = node.repository.fetches;
  for (
    const headers of [
      {},
      { "x-hub-signature-256": `sha256=${hmac.replace(/^./, "0")}` },
      { "x-hub-signature-256": "" },
      { "x-gitlab-token": "a secret of the hooc" },
      { "x-signature-256": hmac.slice(1) },
    ]
  ) equal(await post(headers as Record<string, string>), 401);
  equal(await post({ "x-hub-signature-256": `sha256=${hmac}` }, '{"ref": "refs/heads/main" }'), 401);
  equal(node.repository.fetches, before);
});

interface Status {
  readonly state: string;
  readonly drift: {
    readonly objects: number;
    readonly changes: readonly {
      readonly kind: string;
      readonly name: string;
      readonly action: string;
      readonly git: unknown;
    }[];
  };
}
