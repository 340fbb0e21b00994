/**
 * What V8 compiles at a start of a node, made once and carried by the executable: a start then takes a third less of a
 * processor.
 *
 * V8 keeps compiled code for scripts (`node:vm`), not for modules in a way that Deno would take along. So the programs of a node,
 * `serve` and the DNS worker, are bundled as one script each, and the module in their place runs it. They are run once when the
 * executable is made: as a node that takes the place of another one, is asked over UDP and TCP, gets requests, and gives way to a
 * third one. What V8 has compiled by then is the cache. It is bytecode, fits this V8 with these flags, and V8 compiles as ever where it doesn't fit.
 *
 * @module
 */

/** A program that is carried with what V8 makes of it. */
export interface CachedProgram {
  /** Its files are called by it. */
  readonly name: string;
  /** Path relative to the repository. */
  readonly source: string;
  /** What the module in its place exports. */
  readonly exports: readonly string[];
  /** Whether it may read files; what it imports instead stays in memory. */
  readonly mayRead: boolean;
}

const SERVE: CachedProgram = {
  name: "serve",
  source: "src/node/serve.ts",
  exports: ["serve"],
  mayRead: true,
};
const DNS_WORKER: CachedProgram = {
  name: "dns_worker",
  source: "src/dns/worker.ts",
  exports: [],
  mayRead: false,
};

/** All of them. */
export const CACHED_PROGRAMS: readonly CachedProgram[] = [SERVE, DNS_WORKER];

/** What `deno compile` needs for the modules that `loaderOf` gives, in a folder. */
export function loaderFlags(folder: string): string[] {
  const read = CACHED_PROGRAMS.filter(({ mayRead }) => mayRead)
    .flatMap((program) => [scriptFile(program), cacheFile(program)]);
  return ["--unstable-raw-imports", ...read.flatMap((file) => ["--include", `${folder}/${file}`])];
}

/**
 * A CommonJS bundle as a script: a function of what such a module has, and of `import.meta`.
 *
 * @throws {Error} when it has `import.meta` in another way
 */
export function scriptOf(bundle: string): string {
  const script = bundle.replace(/\b(import_meta\w*) = \{\};/g, "$1 = __meta;");
  if (script === bundle && bundle.includes("import_meta")) {
    throw new Error("import.meta is bundled in another way: see how, and change scriptOf()");
  }
  return `(function (exports, require, module, __meta) { "use strict"; ${script}\n})`;
}

/** The file of a program's script, beside the module in its place. */
export function scriptFile({ name }: CachedProgram): string {
  return `${name}_script.js`;
}

/** The file of what V8 has made of it. */
function cacheFile({ name }: CachedProgram): string {
  return `${name}.cache`;
}

/** The module in the place of a program, which runs its script. */
export function loaderOf(program: CachedProgram): string {
  const [script, cache] = [scriptFile(program), cacheFile(program)];
  if (!program.mayRead) {
    return `import cachedData from "./${cache}" with { type: "bytes" };\n` +
      `import source from "./${script}" with { type: "text" };\n` +
      running(program, "source, { filename, cachedData }");
  }
  return "const fileOf = (name) => new URL(`./${name}`, import.meta.url);\n" +
    running(
      program,
      `Deno.readTextFileSync(fileOf("${script}")), ` +
        `{ filename, cachedData: Deno.readFileSync(fileOf("${cache}")) }`,
    );
}

/** Without a cache. */
function recordedLoaderOf(program: CachedProgram): string {
  return `import source from "./${scriptFile(program)}" with { type: "text" };\n` +
    running(program, "source, { filename }");
}

/** @param given what `Script` is made of */
function running(program: CachedProgram, given: string): string {
  return [
    'import process from "node:process";',
    'import { Script } from "node:vm";',
    `const filename = new URL("./${scriptFile(program)}", import.meta.url).href;`,
    `const script = new Script(${given});`,
    "const module = { exports: {} };",
    "script.runInThisContext()(module.exports, process.getBuiltinModule, module, { url: import.meta.url });",
    ...program.exports.map((name) => `export const ${name} = module.exports.${name};`),
    "",
  ].join("\n");
}

/** Of the recorder, for its threads: they may write no files. */
const CHANNEL = "code cache";
/** Threads of the DNS worker: for UDP and for streams. */
const THREADS = 2;

/** A worker that gives away what V8 has made of it. */
function recordedWorker(program: CachedProgram): string {
  return recordedLoaderOf(program) + `
const channel = new BroadcastChannel("${CHANNEL}");
channel.onmessage = ({ data }) => {
  if (data === "record") channel.postMessage(new Uint8Array(script.createCachedData()));
};
`;
}

/**
 * The main program of the recorder. `node DATABASE` runs a node; `record DATABASE DNS API FOLDER` takes its place, is asked, gives way
 * to a third one (`replace DATABASE DNS API`), and writes the caches; `check FOLDER` ends with 1 where V8 doesn't take one.
 */
function recorder(): string {
  return `
import workerSource from "./${scriptFile(DNS_WORKER)}" with { type: "text" };
const [task, ...args] = Deno.args;
// Before anything is compiled: V8 looks at no cache of what it has compiled already.
if (task === "check") {
  const isTaken = (source, file) =>
    !new Script(source, { cachedData: Deno.readFileSync(args[0] + "/" + file) }).cachedDataRejected;
  const areTaken = isTaken(source, "${cacheFile(SERVE)}") && isTaken(workerSource, "${
    cacheFile(DNS_WORKER)
  }");
  Deno.exit(areTaken ? 0 : 1);
}
` + recordedLoaderOf(SERVE) + `
setTimeout(() => Deno.exit(1), ${LIFE_MS_MAX});
let next = null;
const [db, dns = "127.0.0.1:0", api = "127.0.0.1:0", folder] = args;
const terminal = { out: console.log, err: console.error, env: () => undefined, colour: false };
const signals = {
  stopped: new Promise(() => {}),
  onMeaningless() {},
  refuseReloads() {},
  onReload: () => task === "record" && setTimeout(record),
};
async function record() {
  const port = Number(dns.split(":")[1]);
  const base = "http://" + api;
  const post = (path, body) => fetch(base + "/api/v1" + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).then((response) => response.json());
  const { id } = await post("/pools", { name: "web" });
  await post("/pools/" + id + "/members", { ipAddress: "192.0.2.1", port: 80 });
  await post("/services", { domain: "www.example.org", poolId: id });
  for (const path of ["/api/v1/status", "/api/v1/pools", "/metrics"]) await (await fetch(base + path)).text();
  const query = new Uint8Array([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 119, 119, 119, 7, 101, 120, 97, 109, 112, 108, 101,
    3, 111, 114, 103, 0, 0, 1, 0, 1]);
  const udp = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  for (let i = 0; i < 20; i++) {
    await udp.send(query, { transport: "udp", hostname: "127.0.0.1", port });
    await udp.receive();
    using tcp = await Deno.connect({ hostname: "127.0.0.1", port });
    await tcp.write(new Uint8Array([0, query.length, ...query]));
    await tcp.read(new Uint8Array(512));
  }
  udp.close();
  const channel = new BroadcastChannel("${CHANNEL}");
  const recorded = [];
  const all = new Promise((resolve) => {
    channel.onmessage = ({ data }) => recorded.push(data) === ${THREADS} && resolve();
  });
  channel.postMessage("record");
  await all;
  const largest = recorded.sort((a, b) => b.length - a.length)[0];
  Deno.writeFileSync(folder + "/${cacheFile(DNS_WORKER)}", largest);
  const args = ["replace", db, dns, api];
  next = new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "null" }).spawn();
}
const flags = { config: db + ".yaml", db, dns: [dns], api, workers: 1, replace: task !== "node" };
const exitCode = await serve(flags, { terminal, signals });
if (next !== null) {
  Deno.writeFileSync(folder + "/${cacheFile(SERVE)}", script.createCachedData());
  next.kill();
  await next.status;
}
Deno.exit(exitCode);
`;
}

/** How long a process of the recorder lives at most, whatever happens to the one that started it. */
const LIFE_MS_MAX = 120_000;

/**
 * Runs the programs whose scripts are in a folder, and writes there what V8 has made of them.
 *
 * @param compile makes an executable of a module, with V8's flags of the one that is to carry the caches
 * @throws {Error} when a node can't be run here
 */
export async function recordCaches(
  folder: string,
  compile: (entry: string, executable: string, flags: readonly string[]) => Promise<void>,
): Promise<void> {
  const own = `${folder}/recorder`;
  await Deno.mkdir(own);
  for (const program of CACHED_PROGRAMS) {
    await Deno.copyFile(`${folder}/${scriptFile(program)}`, `${own}/${scriptFile(program)}`);
  }
  await Deno.writeTextFile(`${own}/main.js`, recorder());
  await Deno.writeTextFile(`${own}/dns_worker.js`, recordedWorker(DNS_WORKER));
  const executable = `${own}/recorder${Deno.build.os === "windows" ? ".exe" : ""}`;
  const include = ["--include", `${own}/dns_worker.js`];
  await compile(`${own}/main.js`, executable, [
    "-A",
    "--unstable-broadcast-channel",
    "--unstable-raw-imports",
    ...include,
  ]);
  const database = `${own}/node.db`;
  await Deno.writeTextFile(`${database}.yaml`, "{}\n"); // and not the settings of this machine
  await using first = await nodeOf(executable, database);
  const { dns: [dns], api } = first.ready;
  const answers = [dns!, api.replace(/^https?:\/\//, "")];
  const recorded = await commandOf(executable, ["record", database, ...answers, folder]).output();
  if (!recorded.success) {
    throw new Error(`A node can't be recorded here: ${new TextDecoder().decode(recorded.stderr).trim()}`);
  }
  const { success: areTaken } = await commandOf(executable, ["check", folder]).output();
  if (!areTaken) throw new Error("V8 doesn't take what it has compiled itself");
  await Deno.remove(own, { recursive: true });
}

/** The recorder, with none of the settings of this machine. */
function commandOf(executable: string, args: readonly string[]): Deno.Command {
  const stdio = { stdin: "null", stdout: "null", stderr: "piped" } as const;
  return new Deno.Command(executable, {
    ...{ args: [...args], clearEnv: true, env: { PLEIADES_LOG_FORMAT: "json" } },
    ...stdio,
  });
}

/** A node that runs until disposal. */
async function nodeOf(executable: string, database: string) {
  const child = commandOf(executable, ["node", database]).spawn();
  const answers = Promise.withResolvers<string>();
  const read = async () => {
    let said = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const line = /^.*"Pleiades answers DNS".*$/m.exec(said.slice(0, said.lastIndexOf("\n") + 1));
      if (line !== null) answers.resolve(line[0]);
    }
    answers.reject(new Error(`A node can't be run here: ${said.trim()}`));
  };
  const reading = read();
  const end = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended: another one took its place.
    }
    await reading;
    await child.status;
  };
  try {
    const ready = JSON.parse(await answers.promise) as {
      readonly dns: readonly string[];
      readonly api: string;
    };
    return { ready, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}
