/**
 * Every commit gets the verdict that it should: `deno task prove gitops [SERVICES [GONE_SECONDS [KILLS [ONLY]]]]`.
 *
 * A real `serve` process follows a repository that real programs serve: over https by `git http-backend`, over ssh by
 * `sshd`, and as a folder. It is pushed what should be applied and what shouldn't: commits by signers that are allowed, by
 * subkeys, by SSH keys, merges; by strangers, by keys that have expired or are revoked, by none; a branch that is rewritten, a
 * model that is broken. The repository is gone for a minute, the credentials are wrong for a while, and at last a model of
 * 10,000 services is pushed. Another process asks the node all the while: no answer may be missing.
 *
 * Then nodes are killed while they apply commits: each is applied as a whole or not at all, and is the one that is said to be.
 *
 * @module
 */
import { Keys, output, type Signer } from "./gitops/keys.ts";
import { GitFixture, GitHttps, GitSsh } from "../gitops/git_fixture.ts";
import { program } from "../programs.ts";
import { Store } from "../../src/store/store.ts";
import { ServeProcess } from "../serve_process.ts";
import { LineProcess } from "../store/line_process.ts";
import { fileOf } from "../settings/other_values.ts";
import { startEcho } from "./stall/echo.ts";
import { nowMs, type TimedSample } from "./stall/process.ts";

/** How a run differs from the full one. */
export interface GitopsOptions {
  /** Of the large commit. */
  readonly services: number;
  /** How often such a commit comes; each changes all of them. */
  readonly applies: number;
  /** How long the repository is gone. */
  readonly goneMs: number;
  /** Ways to look at. */
  readonly ways: readonly Way[];
  /** Members that are probed every second. */
  readonly probed: number;
  /** Told what comes next. */
  readonly onStep: (step: string) => void;
}

/** How the repository is served. */
export type Way = "https" | "ssh" | "file";

/** What came of one step. */
export interface GitopsRow {
  readonly way: Way;
  readonly step: string;
  readonly expected: string;
  readonly seen: string;
  readonly tookMs: number;
}

/** What came of a run. */
export interface GitopsReport {
  readonly rows: readonly GitopsRow[];
  /** Longest wait for an answer, and the 99th percentile while large commits were applied, and while nothing was; ms. */
  readonly dnsMs: { readonly longest: number; readonly large: number; readonly rest: number };
  /** The same of a bare echo in C that is asked beside the node: what the machine itself makes of such work. */
  readonly echoMs: { readonly longest: number; readonly large: number; readonly rest: number };
  /** Queries without an answer. */
  readonly lost: number;
  /** By how much the latest probe was late while large commits were applied, ms. */
  readonly lateMs: number;
}

const WAYS: readonly Way[] = ["https", "ssh", "file"];
const QUERIES_PER_SECOND = 500;
const PROBE_INTERVAL_MS = 1_000;
/** What `stall/dns.ts` has for a query without an answer. */
const LOST_MS = 5_000;
const PROBE_LATE_MS_MAX = 100;
const DNS_FACTOR_MAX = 1.2;
/** Enough for a 99th percentile of thousands of answers. */
const APPLIES = 10;
/** What `git http-backend` asks for. */
const [USER, PASSWORD] = ["deploy", "hunter2-of-the-proof"];

/** Runs the proof; 10,000 services, a minute without the repository, 50 kills and all ways unless told otherwise. */
export async function prove(
  [services = "10000", gone = "60", kills = "50", only = ""]: string[],
): Promise<boolean> {
  const report = await follow({
    services: Number(services),
    applies: APPLIES,
    goneMs: Number(gone) * 1_000,
    probed: 100,
    ways: WAYS.filter((way) => only === "" || way === only),
    onStep: (step) => console.log(step),
  });
  for (const { way, step, expected, seen, tookMs } of report.rows) {
    const verdict = seen === expected ? "ok" : `MISSED, expected ${expected}`;
    console.log(
      `${way.padEnd(6)}${step.padEnd(44)}${seen.padEnd(20)}${tookMs.toFixed(0).padStart(8)} ms  ${verdict}`,
    );
  }
  const { dnsMs, echoMs, lost, lateMs } = report;
  const ofMachineMs = Math.max(0, echoMs.large - echoMs.rest);
  const isFast = dnsMs.large - ofMachineMs <= dnsMs.rest * DNS_FACTOR_MAX;
  console.log(`queries lost                ${lost}  ${lost === 0 ? "ok" : "MISSED"}`);
  console.log(
    `UDP p99 while ${services} come   ${dnsMs.large.toFixed(2)} ms, at rest ${
      dnsMs.rest.toFixed(2)
    } ms, longest ` +
      `${dnsMs.longest.toFixed(0)} ms  ${isFast ? "ok" : "MISSED"}`,
  );
  console.log(
    `the same of an echo in C    ${echoMs.large.toFixed(2)} ms, at rest ${
      echoMs.rest.toFixed(2)
    } ms, longest ` +
      `${echoMs.longest.toFixed(0)} ms`,
  );
  console.log(
    `latest probe                ${lateMs.toFixed(0)} ms  ${lateMs <= PROBE_LATE_MS_MAX ? "ok" : "MISSED"}`,
  );
  const faults = await killed({ kills: Number(kills), services: Number(services), withinMs: 8_000 });
  for (const fault of faults) console.log(fault);
  console.log(
    `${kills} kills                    ${faults.length} faults  ${faults.length === 0 ? "ok" : "MISSED"}`,
  );
  return faults.length === 0 && lost === 0 && isFast && lateMs <= PROBE_LATE_MS_MAX &&
    report.rows.every(({ seen, expected }) => seen === expected);
}

/** How often a node is killed, and what it is doing then. */
export interface KillOptions {
  /** How often. */
  readonly kills: number;
  /** Of each commit; all of them differ from one commit to the next. */
  readonly services: number;
  /** Kills come up to so long after the start, milliseconds. */
  readonly withinMs: number;
}

/** Kills nodes while they apply commits; gives a line for each database that a commit is half in, or another one than it says. */
export async function killed({ kills, services, withinMs }: KillOptions): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-gitops-" });
  const faults: string[] = [];
  try {
    await using fixture = await GitFixture.create();
    const settings = `${folder}/pleiades.yaml`;
    const url = `file://${fixture.path}`;
    await Deno.writeTextFile(settings, fileOf({ "gitops.repoURL": url, "gitops.requireSignature": false }));
    const versions = new Map<string, number>();
    for (let version = 1; version <= kills; version++) {
      const text = `pools: [{ name: web }]\n${largeOf(services, version)}`;
      versions.set(await fixture.commit({ "model.yaml": text }), version);
      {
        await using serve = ServeProcess.spawn({
          args: ["-c", settings, "--db", `${folder}/node.db`],
          executable: program("pleiades"),
        });
        // Spread over the whole of a sync, and a little beyond.
        await new Promise((resolve) => setTimeout(resolve, withinMs * version / kills));
        serve.kill("SIGKILL");
      }
      faults.push(
        ...faultsOf(`${folder}/node.db`, { versions, services }).map((fault) => `kill ${version}: ${fault}`),
      );
    }
    return faults;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function faultsOf(
  path: string,
  { versions, services }: { readonly versions: ReadonlyMap<string, number>; readonly services: number },
): string[] {
  using store = Store.open(path);
  const applied = store.gitApplied.last();
  const ttls = new Set(store.model().services.map(({ ttl }) => ttl));
  if (applied === null) return ttls.size === 0 ? [] : ["there is a model, and no commit"];
  const version = versions.get(applied.sha)!;
  const entry = store.history.get(applied.generation);
  return [
    ...ttls.size === 1 && ttls.has(version)
      ? []
      : [`commit ${version} is said, the model is of ${[...ttls].join(", ")}`],
    ...store.counts().services === services ? [] : [`${store.counts().services} services`],
    ...entry?.via === "git" && entry.reason.includes(applied.sha)
      ? []
      : [`the history says ${JSON.stringify(entry)}`],
  ];
}

/** Pushes everything by each way. */
export async function follow(options: GitopsOptions): Promise<GitopsReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-gitops-" });
  const keys = await Keys.make(`${folder}/keys`);
  try {
    const reports: WayReport[] = [];
    for (const way of options.ways) {
      options.onStep(`over ${way}`);
      reports.push(await followBy(way, { options, keys, folder: `${folder}/${way}` }));
    }
    const dns = pooled(reports.map(({ dns }) => dns));
    return {
      rows: reports.flatMap(({ rows }) => rows),
      dnsMs: summed(dns),
      echoMs: summed(pooled(reports.map(({ echo }) => echo))),
      lost: [...dns.large, ...dns.rest].filter((value) => value >= LOST_MS).length,
      lateMs: Math.max(...reports.map(({ lateMs }) => lateMs)),
    };
  } finally {
    await keys.end();
    await Deno.remove(folder, { recursive: true });
  }
}

/** What came of one way; waits in milliseconds, a query without an answer among them. */
interface WayReport {
  readonly rows: readonly GitopsRow[];
  readonly dns: Waits;
  readonly echo: Waits;
  readonly lateMs: number;
}

/** Waits for answers while large commits were applied, and at other times; milliseconds. */
interface Waits {
  readonly large: readonly number[];
  readonly rest: readonly number[];
}

function pooled(each: readonly Waits[]): Waits {
  return { large: each.flatMap(({ large }) => large), rest: each.flatMap(({ rest }) => rest) };
}

function summed({ large, rest }: Waits): GitopsReport["dnsMs"] {
  const answered = [...large, ...rest].filter((value) => value < LOST_MS);
  return { longest: Math.max(...answered), large: p99(large), rest: p99(rest) };
}

/** The repository as a server shows it. */
interface Served extends AsyncDisposable {
  readonly settings: Readonly<Record<string, unknown>>;
}

async function followBy(
  way: Way,
  { options, keys, folder }: {
    readonly options: GitopsOptions;
    readonly keys: Keys;
    readonly folder: string;
  },
): Promise<WayReport> {
  await Deno.mkdir(folder);
  await using fixture = await GitFixture.create();
  await using backends = new LineProcess(new URL("stall/backends.ts", import.meta.url), [
    String(options.probed),
    String(PROBE_INTERVAL_MS),
  ]);
  const ports: readonly number[] = JSON.parse((await backends.receive())!);
  const clone = new Clone(`${folder}/clone`, keys, fixture.path);
  const first = await clone.commit({ "model.yaml": modelOf(ports), "version.yaml": versionOf(0) }, "alice");
  const served = await serveBy(way, fixture, folder);
  await using stack = new AsyncDisposableStack();
  stack.use(served);
  const settings = `${folder}/pleiades.yaml`;
  const write = (more: Readonly<Record<string, unknown>> = {}) =>
    Deno.writeTextFile(
      settings,
      fileOf({
        "gitops.pollInterval": "1h",
        "gitops.allowedSigners": [...keys.fingerprints, keys.allowedSigners],
        "gitops.keyring": keys.keyring,
        ...served.settings,
        ...more,
      }),
    );
  await write();
  await using serve = await ServeProcess.start({
    args: ["-c", settings, "--db", `${folder}/node.db`],
    executable: program("pleiades"),
  });
  const rows: GitopsRow[] = [];
  const step = async (
    name: string,
    expected: string,
    make: () => Promise<unknown> = () => Promise.resolve(),
  ) => {
    await make();
    const beginMs = nowMs();
    const seen = await sync(serve);
    rows.push({ way, step: name, expected, seen, tookMs: nowMs() - beginMs });
  };
  const push = (version: number, signer: Signer) =>
    clone.commit({ "version.yaml": versionOf(version) }, signer);
  await applied(serve, first);
  await using dns = new LineProcess(new URL("stall/dns.ts", import.meta.url), [
    ...[serve.dns.hostname, String(serve.dns.port)],
    ...["www.example.org", String(QUERIES_PER_SECOND)],
  ]);
  await using echo = new LineProcess(new URL("stall/dns.ts", import.meta.url), [
    ...["127.0.0.1", String(await startEcho(stack, folder))],
    ...["www.example.org", String(QUERIES_PER_SECOND)],
  ]);
  await Promise.all([dns.receive(), echo.receive()]);

  await step("signed by an allowed key", "applied", () => push(1, "alice"));
  await step("not signed", "refused verify", () => push(2, null));
  await step("signed by a stranger", "refused verify", () => push(3, "mallory"));
  await step("signed by a key that has expired", "refused verify", () => push(4, "expired"));
  await step("signed by a key that is revoked", "refused verify", () => push(5, "revoked"));
  await step("signed by a subkey of an allowed key", "applied", () => push(6, "subkey"));
  await step(
    "a signed merge of what isn't signed",
    "applied",
    () => clone.merge({ "version.yaml": versionOf(7) }),
  );
  await step("signed with an allowed SSH key", "applied", () => push(8, "carol"));
  await step(
    "a branch that is rewritten",
    "refused ancestry",
    () => clone.rewrite({ "version.yaml": versionOf(9) }),
  );
  await step(
    "the branch as it was, and one more",
    "applied",
    () => clone.restore({ "version.yaml": versionOf(10) }),
  );
  await step(
    "a model that is broken",
    "refused read",
    () => clone.commit({ "version.yaml": "services: 1\n" }, "alice"),
  );
  await step("a good one behind it", "applied", () => push(11, "alice"));
  if (way !== "file") {
    const wrong = way === "https"
      ? { "gitops.auth.password": "wrong" }
      : { "gitops.auth.sshKeyPath": `${folder}/ssh/stranger` };
    await step("credentials that are wrong", "failed fetch", () => reload(serve, () => write(wrong)));
    await step("the right ones again", "unchanged", () => reload(serve, () => write()));
  }
  await step(
    "a repository that is gone",
    "failed fetch",
    () => Deno.rename(fixture.path, `${fixture.path}.gone`),
  );
  options.onStep(`gone for ${options.goneMs / 1000} s`);
  await new Promise((resolve) => setTimeout(resolve, options.goneMs));
  await step("the repository is back", "unchanged", () => Deno.rename(`${fixture.path}.gone`, fixture.path));
  const windows: { readonly beginMs: number; readonly endMs: number }[] = [];
  for (let apply = 1; apply <= options.applies; apply++) {
    await clone.commit({ "large.yaml": largeOf(options.services, apply) }, "alice");
    const beginMs = nowMs();
    await step(
      `${options.services} services at once${apply === 1 ? "" : `, changed (${apply - 1})`}`,
      "applied",
    );
    windows.push({ beginMs, endMs: nowMs() });
  }
  const [dnsMs, echoMs, probesLateMs] = await Promise.all(
    [dns, echo, backends].map(async (watcher): Promise<TimedSample[]> =>
      JSON.parse((await watcher.ask("stop"))!)
    ),
  );
  const isLarge = ([atMs]: TimedSample) =>
    windows.some(({ beginMs, endMs }) => atMs >= beginMs && atMs <= endMs);
  const waits = (samples: readonly TimedSample[]): Waits => ({
    large: samples.filter(isLarge).map(([, value]) => value),
    rest: samples.filter((sample) => !isLarge(sample)).map(([, value]) => value),
  });
  return {
    rows,
    dns: waits(dnsMs!),
    echo: waits(echoMs!),
    lateMs: Math.max(0, ...probesLateMs!.filter(isLarge).map(([, late]) => late)),
  };
}

function p99(values: readonly number[]): number {
  const ascending = values.toSorted((a, b) => a - b);
  return ascending[Math.ceil(0.99 * ascending.length) - 1] ?? NaN;
}

async function serveBy(way: Way, fixture: GitFixture, folder: string): Promise<Served> {
  if (way === "file") {
    return {
      settings: { "gitops.repoURL": `file://${fixture.path}` },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  if (way === "https") {
    const server = await GitHttps.serve(fixture.folder, { credentials: `${USER}:${PASSWORD}` });
    await Deno.writeTextFile(`${folder}/ca.pem`, server.authority);
    return {
      settings: {
        "gitops.repoURL": `${server.url}/dns.git`,
        "gitops.caFile": `${folder}/ca.pem`,
        "gitops.auth.user": USER,
        "gitops.auth.password": PASSWORD,
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  }
  const server = await GitSsh.serve(`${folder}/ssh`);
  return {
    settings: {
      "gitops.repoURL": `ssh://${server.user}@127.0.0.1:${server.port}${fixture.path}`,
      "gitops.auth.sshKeyPath": server.keyPath,
      "gitops.auth.knownHostsPath": server.knownHostsPath,
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Where commits are made, and pushed from. */
class Clone {
  readonly #folder: string;
  readonly #keys: Keys;
  readonly #remote: string;
  #isMade = false;

  constructor(folder: string, keys: Keys, remote: string) {
    this.#folder = folder;
    this.#keys = keys;
    this.#remote = remote;
  }

  /** Commits files, and pushes; gives the id. */
  async commit(files: Readonly<Record<string, string>>, signer: Signer): Promise<string> {
    await this.#commit(files, signer);
    return await this.#push();
  }

  /** A commit that isn't signed on a branch beside, and one that merges it and is. */
  async merge(files: Readonly<Record<string, string>>): Promise<string> {
    await this.#git("checkout", "--quiet", "-b", "beside");
    await this.#commit(files, null);
    await this.#git("checkout", "--quiet", "main");
    await this.#git(...this.#keys.optionsOf("alice"), "merge", "--quiet", "--no-ff", "-m", "Merge", "beside");
    await this.#git("branch", "--quiet", "-D", "beside");
    return await this.#push();
  }

  /** Another commit in the place of the last one. */
  async rewrite(files: Readonly<Record<string, string>>): Promise<string> {
    await this.#git("branch", "--quiet", "--force", "before");
    await this.#git("reset", "--quiet", "--hard", "HEAD^");
    return await this.commit(files, "alice");
  }

  /** What was before it was rewritten, and one more. */
  async restore(files: Readonly<Record<string, string>>): Promise<string> {
    await this.#git("reset", "--quiet", "--hard", "before");
    return await this.commit(files, "alice");
  }

  async #commit(files: Readonly<Record<string, string>>, signer: Signer): Promise<void> {
    if (!this.#isMade) await output("git", ["init", "--quiet", "--initial-branch=main", this.#folder]);
    this.#isMade = true;
    for (const [path, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${this.#folder}/${path}`, text);
    }
    await this.#git("add", "--all");
    await this.#git(...this.#keys.optionsOf(signer), "commit", "--quiet", "--allow-empty", "-m", "A change");
  }

  async #push(): Promise<string> {
    await this.#git("push", "--quiet", "--force", this.#remote, "main");
    return await this.#git("rev-parse", "HEAD");
  }

  #git(...args: string[]): Promise<string> {
    return output("git", args, { cwd: this.#folder });
  }
}

/** A pool of probed members, and the name that is asked for all the while. */
function modelOf(ports: readonly number[]): string {
  const members = ports.map((port) => `      - { ipAddress: 127.0.0.1, port: ${port} }\n`).join("");
  return `pools:\n  - name: probed\n    members:\n${members}` +
    `    healthCheck: { type: tcp, intervalMs: ${PROBE_INTERVAL_MS}, timeoutMs: 900 }\n` +
    "  - { name: web, members: [{ ipAddress: 192.0.2.10, port: 443 }] }\n" +
    "services:\n  - { domain: www.example.org, pool: web }\n  - { domain: probed.example.org, pool: probed }\n";
}

/** A service whose TTL says which commit it is of. */
function versionOf(version: number): string {
  return `services:\n  - { domain: version.example.org, pool: web, ttl: ${100 + version} }\n`;
}

function largeOf(services: number, version: number): string {
  const each = Array.from(
    { length: services },
    (_, i) => `  - { domain: s${i}.large.example.org, pool: web, ttl: ${version} }\n`,
  );
  return `services:\n${each.join("")}`;
}

/** What came of a look: `applied`, `unchanged`, `refused verify`, `failed fetch` … */
async function sync({ api }: ServeProcess): Promise<string> {
  const response = await fetch(`${api}/gitops/sync`, { method: "POST" });
  const body = await response.json();
  if (response.ok) return body.result;
  const { problem } = await (await fetch(`${api}/gitops`)).json();
  return problem === null ? `HTTP ${response.status}: ${body.detail}` : `${problem.kind} ${problem.step}`;
}

/** Resolves when the commit is applied. */
async function applied({ api }: ServeProcess, commit: string): Promise<void> {
  for (;;) {
    const status = await (await fetch(`${api}/gitops`)).json();
    if (status.applied?.commit === commit) return;
    if (status.problem !== null) throw new Error(status.problem.message);
  }
}

async function reload(serve: ServeProcess, write: () => Promise<void>): Promise<void> {
  await write();
  const heard = serve.nextLine((line) => /"(Reloaded|Not reloaded)/.test(line));
  serve.kill("SIGHUP");
  const line = await heard;
  if (line.includes("Not reloaded")) throw new Error(line);
}
