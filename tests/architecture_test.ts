/**
 * Who may import whom: read from the module graph that Deno itself sees, beginning at `main.ts` and at every worker.
 *
 * A subject is a folder of `src/` or a file directly in it. The table says what each subject may import besides
 * itself; imports of types count like any other, since they too bind the two together.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { filesBelow } from "../scripts/check.ts";
import { deno, ROOT } from "../scripts/process.ts";
import { codeOnly, findings, none } from "./source_text.ts";

/** The ground: what anything may build on. */
const GROUND = [
  "ip",
  "clock",
  "any_signal",
  "version",
  "thread",
  "shared_memory",
  "shared_weight",
  "kernel_text",
  "libc",
  "slices",
  "timer",
  "turns",
  "listeners",
  "port",
  "telemetry",
];
/** What capabilities see besides the ground: never each other, and never DNS. */
const CAPABILITY = ["input", "model", "settings", "change", "events"];

/** What each subject may import besides the ground; whatever isn't here hasn't been thought about yet. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  ip: [],
  clock: [],
  any_signal: [],
  version: [],
  thread: [],
  shared_memory: ["libc"],
  shared_weight: [],
  kernel_text: ["libc"],
  libc: [],
  listeners: [],
  port: [],
  slices: ["clock"],
  timer: [],
  turns: [],
  telemetry: ["ip", "clock", "slices"],
  sockets: [],
  wire: [],
  dns_client: ["wire"],
  input: ["wire"],
  model: ["wire", "input"],
  geo: ["input", "model"],
  settings: ["wire", "input", "model", "geo", "events"],
  desired: ["wire", "input", "model", "settings"],
  balance: ["model", "geo"],
  snapshot: ["wire", "input", "model", "geo", "desired", "balance"],
  dns: ["sockets", "wire", "input", "model", "geo", "balance", "snapshot", "license"],
  health: ["input", "model", "settings", "desired"],
  // Connections to NATS, for capabilities.
  nats: ["sockets"],
  resolver: ["wire", "input", "model", "settings"],
  // The verdicts of the last run are kept in the database, hence `health`.
  store: ["wire", "input", "model", "desired", "health"],
  change: ["wire", "input", "model", "desired", "store"],
  // Runs the engine over what is answered now, and says why in words.
  explain: [
    "wire",
    "input",
    "model",
    "geo",
    "settings",
    "desired",
    "balance",
    "snapshot",
    "dns",
    "health",
    "resolver",
    "store",
  ],
  // What would be answered, by the engine over small tables.
  plan: [
    "wire",
    "input",
    "model",
    "geo",
    "settings",
    "desired",
    "balance",
    "snapshot",
    "dns",
    "health",
    "store",
    "change",
  ],
  // Plain data and a ring: whoever follows a node needs nothing else of it.
  events: [],
  traffic: ["store"],
  // Two processes of one node: what they say to each other, and which of them has the database.
  replace: ["sockets"],
  webhooks: CAPABILITY,
  // The set-up of a machine and a process: files, sockets, limits. What a node knows of itself is handed to it.
  doctor: [
    "sockets",
    "wire",
    "input",
    "geo",
    "settings",
    "store",
    "resolver",
    "dns_client",
    "gitops",
    "nats",
    "cluster",
  ],
  license: [...CAPABILITY, "snapshot"],
  gitops: CAPABILITY,
  // What nodes tell each other of is health, the names of what is probed, and what is committed.
  cluster: [...CAPABILITY, "desired", "health", "nats", "store"],
  // Answers DNS at a listener of its own.
  discovery: [...CAPABILITY, "consul", "sockets", "wire"],
  // Another program's API, over the connections that probes have.
  consul: ["health"],
  api: [
    "sockets",
    "wire",
    "input",
    "model",
    "desired",
    "health",
    "store",
    "change",
    "explain",
    "plan",
    "events",
    "webhooks",
    "gitops",
    "cluster",
    "discovery",
    "doctor",
  ],
  // On top like the other faces: the database by the path of every change, a node by the commands that the shell has for it.
  tui: ["input", "model", "geo", "settings", "desired", "store", "change", "plan", "cli"],
  cli: ["wire", "input", "model", "settings", "dns_client", "events"],
  // A program of its own beside the node: it stands on top, like the faces.
  agent: ["sockets", "wire", "input", "settings", "health", "cli"],
  // A program of its own, which knows nothing of DNS but how a frame carries it.
  front: ["sockets", "wire", "cli"],
  console: ["input", "model"],
  // Certificates of our own, and a listener that shows the latest.
  tls: ["input", "sockets"],
  // A companion: processes of their own around PowerDNS, on top like faces.
  distribute: ["sockets", "wire", "input", "settings", "consul", "nats", "tls", "cli"],
};

/** The composition roots: only they see everything. The table of commands loads whatever a command runs. */
const SEE_EVERYTHING = ["main", "node", "demo", "src/cli/commands.ts"];

/** Files that may import a subject although the table forbids it, with the reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "src/agent/agent_command.ts -> node": "it hears the signals that serve hears",
  "src/agent/commands.ts -> node": "the service manager is told by the same datagrams",
  "src/agent/doctor_check.ts -> doctor": "it is one of the doctor's checks, where there is an agent",
  "src/cli/backup.ts -> store": "backup and restore work on the file, with no node running",
  "src/cli/cluster.ts -> cluster": "keys are drawn with no node running",
  "src/cli/license.ts -> license": "tokens are signed and judged with no node running",
  "src/cli/discovery.ts -> discovery": "registrations are judged and written with no node running",
  "src/cli/doctor.ts -> agent": "an agent's set-up is examined with none running",
  "src/cli/doctor.ts -> doctor": "a machine is examined with no node running",
  "src/cli/model_upload.ts -> change": "files are judged before anything is sent, by the judge of commits",
  "src/cli/offline_tokens.ts -> change": "the first token is created with no node running",
  "src/cli/offline_tokens.ts -> store": "the same: it works on the file",
  "src/distribute/run.ts -> node":
    "signals and the service manager are the same for every process that serves",
  "src/cli/validate.ts -> change": "files are judged with no node running, by the judge of commits",
};

/** Who may use the writing half of the store. */
const WRITERS = ["change", "store"];

Deno.test("every import goes the way the architecture allows", async () => {
  const wrong = (await imports()).filter(({ from, to }) => {
    const [importer, imported] = [subjectOf(from), subjectOf(to)];
    if (importer === imported) return false;
    if (SEE_EVERYTHING.includes(importer) || SEE_EVERYTHING.includes(from)) return false;
    const allowed = MAY_IMPORT[importer];
    if (allowed?.includes(imported) || (allowed && isGround(imported) && !isGround(importer))) return false;
    return !(`${from} -> ${imported}` in EXCEPTIONS);
  });
  none(wrong.map(({ from, to }) => `${from} must not import ${to}`));
});

function isGround(subject: string): boolean {
  return GROUND.includes(subject);
}

Deno.test("every exception is still needed", async () => {
  const edges = new Set((await imports()).map(({ from, to }) => `${from} -> ${subjectOf(to)}`));
  none(Object.keys(EXCEPTIONS).filter((exception) => !edges.has(exception)));
});

Deno.test("nobody but change/ writes to the store", async () => {
  const writers = (await imports()).filter(({ to }) => to === "src/store/write.ts").map(({ from }) => from);
  ok(writers.length > 0, "src/store/write.ts isn't where this test looks for it");
  none(writers.filter((from) => !WRITERS.includes(subjectOf(from))));
});

Deno.test("only snapshot/ knows offsets", async () => {
  const readers = (await imports()).filter(({ to }) => to === "src/snapshot/layout.ts").map(({ from }) =>
    from
  );
  ok(readers.length > 0, "src/snapshot/layout.ts isn't where this test looks for it");
  none(readers.filter((from) => subjectOf(from) !== "snapshot"));
});

Deno.test("every source file is reached from main.ts, a worker or what deno.json exports", async () => {
  const { exports } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const exported = Object.values<string>(exports).map((file) => file.replace(/^\.\//, ""));
  const reached = reachedFrom(["main.ts", ...exported, ...await workerEntries()], await importsByFile());
  none((await filesBelow("src")).filter((file) => !reached.has(file)));
});

Deno.test("the engine and all it reaches is pure: no runtime, no timers, nothing asynchronous", async () => {
  const files = [...reachedFrom(["src/dns/engine.ts"], await importsByFile())];
  ok(files.length > 3, "src/dns/engine.ts isn't where this test looks for it");
  const impure = files.flatMap((file) => {
    const source = Deno.readTextFileSync(`${ROOT}/${file}`);
    const code = codeOnly(source);
    return [
      ...findings({ file, text: code }, /\bDeno\b|\basync\b|\bawait\b|\bPromise\b/),
      ...findings({ file, text: code }, /\b(setTimeout|setInterval|queueMicrotask|performance|Date)\b/),
      ...findings({ file, text: source }, /^(?:import|\} from).*"(?!\.)[^"]*";$/),
    ];
  });
  none(impure);
});

Deno.test("a node loads nothing that speaks NATS unless it is to be in a cluster", async () => {
  const loaded = (await imports()).filter(({ isLoaded }) => isLoaded);
  const targets = new Map(
    [...Map.groupBy(loaded, ({ from }) => from)].map(([from, those]) => [from, those.map(({ to }) => to)]),
  );
  const reached = reachedFrom(["main.ts", "src/node/serve.ts"], targets);
  ok(reached.has("src/node/cluster.ts"), "src/node/cluster.ts isn't where this test looks for it");
  none(
    [...reached].filter((file) =>
      /^import (?!type\b)[^;]*? from "@nats-io\//m.test(Deno.readTextFileSync(`${ROOT}/${file}`))
    ),
  );
});

interface Import {
  /** Path of the importing file, relative to the repository. */
  readonly from: string;
  readonly to: string;
  /** Whether the one isn't loaded without the other: not where only types are imported, nor by `import()`. */
  readonly isLoaded: boolean;
}

/** Every import between our own files, once. */
let known: Promise<readonly Import[]> | null = null;

function imports(): Promise<readonly Import[]> {
  return known ??= readImports();
}

/** Reads the graphs of the roots, and of each file that they don't reach. */
async function readImports(): Promise<readonly Import[]> {
  const edges = new Map<string, Import>();
  const seen = new Set<string>();
  for (const root of ["main.ts", ...await workerEntries(), ...await filesBelow("src")]) {
    if (seen.has(root)) continue;
    seen.add(root);
    for (const edge of await graphOf(root)) {
      edges.set(`${edge.from} ${edge.to}`, edge);
      seen.add(edge.from).add(edge.to);
    }
  }
  return [...edges.values()];
}

async function importsByFile(): Promise<ReadonlyMap<string, readonly string[]>> {
  const edges = Map.groupBy(await imports(), ({ from }) => from);
  return new Map([...edges].map(([from, those]) => [from, those.map(({ to }) => to)]));
}

async function workerEntries(): Promise<string[]> {
  return (await filesBelow("src")).filter((file) => file.endsWith("/worker.ts"));
}

async function graphOf(root: string): Promise<Import[]> {
  const { code, output, stdout } = await deno(["info", "--json", root], { quiet: true });
  ok(code === 0, output);
  const graph: ModuleGraph = JSON.parse(stdout);
  return graph.modules.flatMap(({ specifier, dependencies = [] }) =>
    dependencies.flatMap(({ code, type, isDynamic = false }) => {
      const target = code?.specifier ?? type?.specifier;
      const [from, to] = [ownFile(specifier), target === undefined ? null : ownFile(target)];
      const isLoaded = code !== undefined && !isDynamic;
      return from === null || to === null ? [] : [{ from, to, isLoaded }];
    })
  );
}

/** The part of `deno info --json` that is read here. */
interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly isDynamic?: boolean;
      readonly code?: { readonly specifier: string };
      readonly type?: { readonly specifier: string };
    }[];
  }[];
}

const HERE = new URL("..", import.meta.url).href;

/** Path of a TypeScript file of this repository; `null` for everything else. */
function ownFile(specifier: string): string | null {
  return specifier.startsWith(HERE) && /\.tsx?$/.test(specifier) ? specifier.slice(HERE.length) : null;
}

function subjectOf(file: string): string {
  return file.replace(/^src\//, "").split("/")[0]!.replace(/\.tsx?$/, "");
}

function reachedFrom(
  files: readonly string[],
  targets: ReadonlyMap<string, readonly string[]>,
): Set<string> {
  const reached = new Set<string>();
  for (const queue = [...files]; queue.length > 0;) {
    const file = queue.pop()!;
    if (reached.has(file)) continue;
    reached.add(file);
    queue.push(...targets.get(file) ?? []);
  }
  return reached;
}
