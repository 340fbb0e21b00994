/**
 * The executable under the permissions that are baked into it: every command of it, a node on the Linux transport, and the
 * same node with fewer rights of the system's.
 *
 * @module
 */
import { deepEqual, doesNotMatch, equal, match } from "node:assert/strict";
import type { Command } from "commander";
import { commandTree } from "../../src/cli/command_tree.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { systemTerminal } from "../../src/cli/terminal.ts";
import { formatSocketAddress } from "../../src/ip.ts";
import { pause } from "../clock.ts";
import { freePort } from "../free_port.ts";
import { GitFixture } from "../gitops/git_fixture.ts";
import { NatsServer } from "../nats/server.ts";
import { program, testWith } from "../programs.ts";
import { type ServeOptions, ServeProcess } from "../serve_process.ts";

/** How Deno refuses what wasn't baked in. */
const REFUSED = /NotCapable|Requires \w+ access|couldn't be checked/;

/** Every command, a row of those that may run at once after the rows before. `@DNS` stands for where the node answers. */
const ROWS: readonly string[] = [
  "version | completions bash | config init | config schema | config validate large.yaml",
  "cluster key new | cluster key public --key-file cluster.key",
  "license issue --secret-file secret --tier paid --rps 9 --expire-in 1h | pools create web | status | events",
  "members create 192.0.2.1 --pool web --port 443 --region west | pools list | pools get web | pools create checked",
  "members list --pool web | members get web/192.0.2.1:443 | members update web/192.0.2.1:443 --weight 2",
  "health-checks set --pool checked --type tcp --port 443 | pools update web --max-answers 1 | webhooks list",
  "health-checks list | health-checks get checked | health-checks update checked --rise 2 | webhooks test",
  "geo-rules create --pool web --cidr 198.51.100.0/24 --member 192.0.2.1 | services create www.example.org --pool web",
  "geo-rules list --pool web | geo-rules get 198.51.100.0/24 | geo-rules update 198.51.100.0/24 --member 192.0.2.1",
  "geo-rules delete 198.51.100.0/24 --force --reason test | services list | services get www.example.org",
  "services update www.example.org --ttl 60 | zones put example.net example.net.zone | fallback set --endpoints 192.0.2.80",
  "zones list | zones get example.net | fallback get | fallback update --ttl 60 | audit | __names pool",
  "fallback delete --force --reason test | query www.example.org @DNS | query www.example.org @DNS --tcp",
  "explain www.example.org | budget www.example.org | drain region:west --for 10m --reason test --force",
  "overrides list | overrides get region:west | failback web/192.0.2.1:443 --reason test | tokens create ci --scope read",
  "undo region:west | up pool:web --for 10m --reason test | tokens list | tokens get ci",
  "undo pool:web | tokens revoke ci",
  "overrides create region:west --state down --for 10m --reason test --force",
  "overrides delete region:west | config export",
  "down pool:web --for 10m --reason test --force",
  "undo pool:web | plan large.yaml | config plan large.yaml",
  "services delete www.example.org --force --reason test | health-checks delete checked --force --reason test",
  "members delete web/192.0.2.1:443 --force --reason test | zones delete example.net --force --reason test",
  "pools delete web --force --reason test",
  "config apply large.yaml --force --reason test",
  "history | config history | diff 1 2 | config diff 1 2 | rollback --dry-run",
  "config rollback --force --reason test",
  "rollback --force --reason test",
  "backup copy.db --db pleiades.db | doctor -c pleiades.yaml",
  "distribute api-proxy -c pleiades.yaml | distribute zone-provider -c pleiades.yaml | distribute status -c pleiades.yaml",
  "distribute health-checker -c pleiades.yaml | distribute secondary-syncer -c pleiades.yaml",
  "discovery register chef.json",
  "discovery register chef.json --directory .",
  "discovery lookup http.web.prod.shop.gg | discovery watch http.web.prod.shop.gg --changes 1",
  "restore copy.db --db other.db | license verify token --secret-file secret",
  "agent run -c pleiades.yaml | agent block 192.0.2.1 -c agent.yaml | agent rolling-replace fra -c agent.yaml",
];
/** What can't be right here: the token is none, and there is no receiver, no name of an agent, no server of its zone, no PowerDNS. */
const FAILS = ["license verify", "webhooks test", "agent", "distribute"];

/** Where a repository is followed. */
const GITOPS: readonly string[] = ["gitops sync", "gitops status"];

const LINES = ROWS.map((row) => row.split(" | "));

testWith(["pleiades"], "every command of the executable may do what it is there for", async () => {
  await using place = await Place.make();
  await using node = await place.serve({ settings: "pleiades.yaml" });
  for (const row of LINES) {
    await Promise.all(row.map(async (line) => {
      const { code, output } = await place.run(node, line);
      doesNotMatch(output, REFUSED, line);
      equal(code, FAILS.some((words) => line.startsWith(words)) ? 1 : 0, `${line}: ${output}`);
    }));
  }
  doesNotMatch(node.lines.join("\n"), REFUSED);
});

testWith(
  ["pleiades", "git", "nats-server"],
  "the executable takes its model from Git and shares what it finds over NATS",
  async () => {
    await using place = await Place.make();
    await using repository = await GitFixture.create();
    await using nats = await NatsServer.start();
    await repository.commit({
      "model.yaml":
        "pools: [{ name: web, members: [{ ipAddress: 192.0.2.1, port: 443 }] }]\nservices: [{ domain: www.example.org, pool: web }]\n",
    });
    await Deno.writeTextFile(
      `${place.folder}/joined.yaml`,
      `gitops: { repoURL: "file://${repository.path}", requireSignature: false }\n` +
        `state: { nats: { servers: ["${nats.url}"] } }\n`,
    );
    await using node = await place.serve({ settings: "joined.yaml" });
    for (const line of GITOPS) {
      const { code, output } = await place.run(node, line);
      equal(code, 0, `${line}: ${output}`);
    }
    match((await place.run(node, "query www.example.org @DNS")).output, /192\.0\.2\.1/);
    for (let turn = 0;; turn++) {
      const status = await fetch(`${node.api}/status`).then((response) => response.json());
      deepEqual(status.nats.faults, []);
      if (status.nats.server !== null && status.peers.nodes.length === 1) break;
      await pause(turn);
    }
    doesNotMatch(node.lines.join("\n"), REFUSED);
  },
);

testWith(["pleiades"], "what Deno keeps closed is refused in words that say so", async () => {
  await using place = await Place.make();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(program("pleiades")!, { args, cwd: place.folder })
      .output();
    return [`${code} `, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)].join("");
  };
  const reason = "this program opens nothing in /dev, /proc and /sys; give a file elsewhere";
  const [model, database] = await Promise.all([
    run("config", "validate", "/proc/self/limits"),
    run("tokens", "create", "ci", "--scope", "read", "--db", `/dev/shm/none-${Deno.pid}.db`),
  ]);
  equal(model, `1 /proc/self/limits: can't be read: ${reason}\n`);
  match(database, new RegExp(`^1 error: Cannot open .*: ${reason}`));
  doesNotMatch(database, REFUSED);
});

Deno.test("that test leaves out no command", async () => {
  const named = [...LINES.flat(), ...GITOPS];
  const left = (await allCommands()).filter((path) =>
    // Which it runs; demo_test.ts, front/balancer_test.ts and tests/tui.
    !["serve", "demo", "balancer", "balstat", "tui"].includes(path) &&
    !named.some((line) => `${line} `.startsWith(`${path} `))
  );
  deepEqual(left, []);
});

async function allCommands(): Promise<string[]> {
  const below = (command: Command, path: readonly string[]): string[] =>
    command.commands.length === 0
      ? [path.join(" ")]
      : command.commands.flatMap((each) => below(each, [...path, each.name()]));
  return below(await commandTree(COMMANDS, { terminal: systemTerminal, done: () => {} }), []);
}

testWith(["pleiades"], "the executable answers UDP by the Linux transport, and misses nothing", async () => {
  await using place = await Place.make();
  await using node = await place.serve();
  const status = await fetch(`${node.api}/status`).then((response) => response.json());
  deepEqual(status.dns.udp, { transport: "linux", reason: null });
  const { findings } = await fetch(`${node.api}/doctor`).then((response) => response.json());
  deepEqual(findings, []);
  const metrics = await fetch(new URL("/metrics", node.api)).then((response) => response.text());
  match(metrics, /pleiades_dns_dropped_total\{[^}]*reason="kernel_buffer"/);
  doesNotMatch(node.lines.join("\n"), REFUSED);
  deepEqual(node.lines.filter((line) => /"level":"(warn|error)"/.test(line)), []);
});

testWith(
  ["pleiades", "setpriv", "systemd-analyze"],
  "the executable serves with the system calls of its unit, without capabilities and without new privileges",
  async () => {
    await using place = await Place.make();
    const calls = await new Deno.Command(program("systemd-analyze")!, {
      args: ["--no-pager", "syscall-filter"],
    })
      .output();
    await Deno.writeFile(`${place.folder}/groups`, calls.stdout);
    const confined = new URL("confined.ts", import.meta.url).pathname;
    await using node = await place.serve({
      settings: "pleiades.yaml",
      env: { DENO_DIR: `${place.folder}/deno` },
      wrapped: [
        ...[program("setpriv")!, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"],
        ...[Deno.execPath(), "run", "-A", "--quiet", confined, UNIT, `${place.folder}/groups`],
      ],
    });
    const status = await Deno.readTextFile(`/proc/${node.pid}/status`);
    for (const line of [/^NoNewPrivs:\s*1$/m, /^CapBnd:\s*0+$/m, /^Seccomp:\s*2$/m]) match(status, line);
    // Threads for a large model and for a plan, a probe, a change, a reload, a copy of the database, streams.
    const lines = [
      "config apply large.yaml",
      "plan large.yaml",
      "health-checks set --pool web --type tcp --port 443",
      "backup copy.db --db pleiades.db",
      "query www.example.org @DNS",
      "query www.example.org @DNS --tcp",
    ];
    for (const line of lines) {
      const { code, output } = await place.run(node, line);
      equal(code, 0, `${line}: ${output}`);
    }
    const reloaded = node.nextLine((line) => line.includes("Reloaded the settings"));
    node.kill("SIGHUP");
    await reloaded;
    match((await place.run(node, "status -o json")).output, /"transport": ?"linux"/);
    node.kill("SIGTERM");
    equal((await node.ended()).code, 0);
    // Warnings are of the member, which isn't there.
    const faults = /"level":"error"|Uncaught|panicked|not permitted|EPERM|transport/;
    deepEqual(node.lines.filter((line) => faults.test(line)), []);
  },
);

const UNIT = new URL("../../packaging/pleiades.service", import.meta.url).pathname;

Deno.test("where foreign functions aren't allowed, the log, the status and the doctor say what is missing", async () => {
  const allowed = ["read", "write", "net", "env", "sys"].map((name) => `--allow-${name}`);
  await using place = await Place.make();
  await using node = await ServeProcess.start({
    aloneIn: place.folder,
    deno: allowed,
    args: ["--db", "n.db"],
  });
  const reason = "it may call no foreign functions (--allow-ffi)";
  const warning = await node.line((line) => line.includes("Linux UDP transport"));
  deepEqual([JSON.parse(warning).level, JSON.parse(warning).reason], ["warn", reason]);
  const status = await fetch(`${node.api}/status`).then((response) => response.json());
  deepEqual(status.dns.udp, { transport: "portable", reason });
  const { findings } = await fetch(`${node.api}/doctor`).then((response) => response.json());
  const found = findings.find(({ check }: { check: string }) => check === "transport");
  match(found.message, /foreign functions \(--allow-ffi\)/);
});

/** A folder of its own with files for the commands; gone at the end. */
class Place implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Place> {
    const folder = await Deno.makeTempDir();
    for (const [name, text] of Object.entries(FILES)) {
      await Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
    }
    return new Place(folder);
  }

  serve(
    { settings, ...options }: Pick<ServeOptions, "wrapped" | "env"> & { readonly settings?: string } = {},
  ): Promise<ServeProcess> {
    return ServeProcess.start({
      args: ["--db", "pleiades.db", ...settings === undefined ? [] : ["-c", settings]],
      executable: program("pleiades"),
      aloneIn: this.folder,
      ...options,
    });
  }

  async run({ api, dns }: ServeProcess, line: string) {
    const { code, stdout, stderr } = await new Deno.Command(program("pleiades")!, {
      args: line.split(" ").map((word) => word.replace("@DNS", `@${formatSocketAddress(dns)}`)),
      cwd: this.folder,
      clearEnv: true,
      env: { PLEIADES_API_URL: api, PLEIADES_API_TOKEN: TOKEN, HOME: this.folder },
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, output: `${text(stdout)}${text(stderr)}` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Of the settings: once a token is made, one is needed. */
const TOKEN = "0123456789abcdef0123456789abcdef";

const FILES = {
  secret: TOKEN,
  token: "no token",
  "cluster.key": `ed25519-private:${"A".repeat(43)}`,
  "agent.yaml":
    'agent: { fqdn: a.example.org, tcpPort: 443, regions: { fra: [192.0.2.0/24] }, rfc2136: { server: "127.0.0.1:1", ' +
    "zone: example.org, keyName: agents, secret: c2VjcmV0 } }\n",
  "pleiades.yaml": `database: { path: pleiades.db }\napi: { tokens: [${TOKEN}] }\n` +
    `discovery: { enabled: true, dnsAddr: null, directory: ".", ipAddress: 192.0.2.7 }\n` +
    // That others have the usual port somewhere is nothing to the doctor then.
    `dns: { listenAddr: 127.0.0.1, port: ${freePort()} }\n`,
  "chef.json": `{ "instances": [{ "id": "a", "address": "http.web.prod.shop.gg", "port": 80 }] }`,
  "example.net.zone": "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n",
  // So large that it is read on a thread of its own.
  "large.yaml": `pools:\n  - name: web\n    members: [{ ipAddress: 192.0.2.1, port: 443, region: west }]\n${
    Array.from(
      { length: 1_000 },
      (_, i) => `  - { name: "pool-${i}", members: [{ ipAddress: 192.0.2.2, port: 443 }] }\n`,
    ).join("")
  }services: [{ domain: www.example.org, pool: web }]\n`,
};
