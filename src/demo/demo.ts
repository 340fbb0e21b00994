/**
 * `pleiades demo`: a whole node on a throw-away database, with backends that it stops and starts, told live.
 *
 * Everything is real and runs in this process: the node that `serve` runs, web servers on loopback addresses, health
 * checks between the two. Only the database is gone afterwards.
 *
 * @module
 */
import { CommandFailed, type ExitCode } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../clock.ts";
import type { SettingsFlags } from "../settings/loading.ts";
import { loadSettings, type Settings } from "../settings/settings.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { formatSocketAddress } from "../ip.ts";
import { type RunningNode, startNode } from "../node/node.ts";
import { signalled } from "../node/signals.ts";
import { newId } from "../model/id.ts";
import { createLogger } from "../telemetry/log.ts";
import { VERSION } from "../version.ts";
import { TYPE } from "../wire/record_type.ts";
import { type Backend, startBackends } from "./backends.ts";
import { Drill } from "./drill.ts";
import { findProgram, invocation, systemStart } from "./invocation.ts";
import { listenForKeys } from "./keys.ts";
import { type DemoEvent, introduce, type Introduction, type Look, narrate } from "./narration.ts";
import { askAll } from "./own_queries.ts";
import { backendTarget, CHECK, sampleEdits, SERVICES } from "./sample.ts";
import { Watcher } from "./watcher.ts";

/** What the command line of `demo` says. */
export interface DemoFlags {
  /** `--dns ADDR:PORT`; absent = loopback. */
  readonly dns?: string;
  /** `--api ADDR:PORT`; absent = loopback. */
  readonly api?: string;
  /** Whether to play the story once, without pauses, and to judge it. */
  readonly once?: boolean;
}

/** Where the demo listens by default, when that is free; beside the defaults of `serve`. */
const DNS = "127.0.0.1:5300";
const API = "127.0.0.1:8053";
const ANY_PORT = "127.0.0.1:0";

/** Before a backend is stopped, and before it is started again. */
const PAUSE_MS = 10_000;
const PAUSE_ONCE_MS = 500;
/** The backend that the story is about, by index; the shop stands and falls with it. */
const HERO = 1;

const QUIET = "From here on it is quiet until a query or a change comes in.";

/** Answers looked at a second; far more than are told. */
const SAMPLES_PER_SECOND = 200;

/**
 * Runs the demo until it is told to stop.
 *
 * @throws {CommandFailed} when it can't start, or with `once` when the answers didn't do what was promised
 */
export async function demo(flags: DemoFlags, terminal: Terminal): Promise<ExitCode> {
  using stopped = signalled(["SIGINT", "SIGTERM", "SIGHUP"]);
  terminal.err("Starting a node and its backends…");
  const kept = await perform(flags, terminal, stopped.promise.then(() => {}));
  terminal.out("Stopped. Nothing is left behind: no process, no port, no file.");
  if (kept === false) {
    throw new CommandFailed("The answers did not follow the backend in time; see LATE above");
  }
  return 0;
}

/** Resolves to whether the promise was kept when everything is down again; `null` when nothing waited for it. */
async function perform(
  flags: DemoFlags,
  terminal: Terminal,
  stopped: Promise<void>,
): Promise<boolean | null> {
  await using stack = new AsyncDisposableStack();
  const ending = new AbortController();
  const look = (): Look => ({ colour: terminal.colour, width: terminalWidth() });
  const tell = (event: DemoEvent) => {
    if (!ending.signal.aborted) {
      terminal.out(
        narrate(event, new Date(systemClock.unixMs()).toTimeString().slice(0, "08:00:00".length), look()),
      );
    }
  };

  const folder = stack.use(throwawayFolder()).path;
  const backends = await startBackends();
  for (const backend of backends) stack.use(backend);
  const watcher = new Watcher({ clock: systemClock, tell, signal: ending.signal });
  const node = stack.use(await startDemoNode(flags, { folder, watcher, terminal }));
  stack.defer(() => ending.abort());
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {}); // heard below
  watcher.follow(node.events).catch(failed.reject);

  const { generation } = node.changes.commit(sampleEdits(backends.map(({ address }) => address), newId), {
    via: "demo",
    by: "",
    reason: "samples",
  });
  await node.settled(generation);
  await watcher.firstVerdicts(backends.map(({ address }) => backendTarget(address).key));

  const server = node.dns[0]!;
  const type = TYPE[backends[HERO]!.hostname.includes(":") ? "AAAA" : "A"];
  const drill = stack.use(
    new Drill({
      clock: systemClock,
      check: CHECK,
      tell,
      // Twice round, so that an address that is answered at all is seen.
      ask: () => askAll(server, SERVICES.map(({ domain }) => ({ domain, type })), 2 * backends.length + 1),
    }),
  );
  const story = new AbortController();
  ending.signal.addEventListener("abort", () => story.abort());
  const quit = Promise.withResolvers<null>();
  const onKey = (key: string) => {
    if (key === "q" || key === "\x03") return quit.resolve(null);
    const backend = backends[key === "s" ? HERO : Number(key) - 1];
    if (!backend) return;
    story.abort();
    act(drill, backend).catch(quit.reject);
  };
  const keys = flags.once ? null : listenForKeys({ onKey, onEnd: () => quit.resolve(null) });
  if (keys) stack.use(keys);

  const introduction = introductionOf(node, { backends, hasKeys: keys !== null, once: flags.once ?? false });
  terminal.out(introduce(introduction, look()));
  watcher.begin(node.store, drill);
  const told = play(drill, backends[HERO]!, {
    pauseMs: flags.once ? PAUSE_ONCE_MS : PAUSE_MS,
    signal: story.signal,
  });
  told.then(() => flags.once || tell({ kind: "remark", text: QUIET })).catch(quit.reject);
  return await Promise.race([
    stopped.then(() => null),
    quit.promise,
    node.lost,
    failed.promise,
    ...(flags.once ? [told] : []),
  ]);
}

/** A folder that is gone when it is disposed of, or when the process is ended: `demo | head` closes our stdout. */
function throwawayFolder(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync({ prefix: "pleiades-demo-" });
  const remove = () => Deno.removeSync(path, { recursive: true });
  globalThis.addEventListener("unload", remove);
  return {
    path,
    [Symbol.dispose]: () => {
      globalThis.removeEventListener("unload", remove);
      remove();
    },
  };
}

/** Stops a backend that runs, starts one that doesn't. */
async function act(drill: Drill, backend: Backend): Promise<void> {
  await (backend.isRunning ? drill.stop(backend) : drill.start(backend));
}

/** One backend dies and comes back; resolves to whether the answers kept up, `null` when the story was ended. */
async function play(
  drill: Drill,
  backend: Backend,
  { pauseMs, signal }: { readonly pauseMs: number; readonly signal: AbortSignal },
): Promise<boolean | null> {
  await systemClock.sleep(pauseMs, signal);
  if (signal.aborted) return null;
  const gone = await drill.stop(backend);
  await systemClock.sleep(pauseMs, signal);
  if (signal.aborted) return null;
  const back = await drill.start(backend);
  return gone === true && back === true;
}

/**
 * Starts the node. By default it listens where the documentation says, or else on any free port.
 *
 * @throws {CommandFailed} for a wrong flag, with a line for each
 */
async function startDemoNode(
  flags: DemoFlags,
  { folder, watcher, terminal }: {
    readonly folder: string;
    readonly watcher: Watcher;
    readonly terminal: Terminal;
  },
): Promise<RunningNode> {
  const log = createLogger({
    level: "error",
    format: "text",
    clock: systemClock,
    write: (line) => terminal.err(line),
  });
  const start = (dns: string, api: string) =>
    startNode({
      settings: settingsOf({ db: `${folder}/demo.db`, dns: [flags.dns ?? dns], api: flags.api ?? api }),
      log,
      watchAnswers: { perSecond: SAMPLES_PER_SECOND, onSample: (sample) => watcher.onSample(sample) },
    });
  if (flags.once) return await start(ANY_PORT, ANY_PORT);
  try {
    return await start(DNS, API);
  } catch (error) {
    if (flags.dns && flags.api) throw error;
    return await start(ANY_PORT, ANY_PORT);
  }
}

function settingsOf(flags: SettingsFlags): Settings {
  const { settings, problems } = loadSettings({ file: null, env: {}, flags });
  if (settings) return settings;
  throw new CommandFailed(problems.map(formatProblem).join("\n"), 2);
}

function introductionOf(
  node: RunningNode,
  { backends, hasKeys, once }: {
    readonly backends: readonly Backend[];
    readonly hasKeys: boolean;
    readonly once: boolean;
  },
): Introduction {
  const [server] = node.dns;
  const dns = formatSocketAddress(server!);
  const api = `http://${formatSocketAddress(node.api!)}`;
  const program = invocation(systemStart());
  const name = SERVICES[0]!.domain;
  const { hostname, port } = server!;
  const numbers = backends.map(({ number }) => number).join(" ");
  return {
    version: VERSION,
    dns,
    api,
    services: SERVICES,
    backends: backends.map(({ number, address }) => `${number} ${formatSocketAddress(address)}`),
    tries: [
      ...(findProgram("dig") ? [`dig @${hostname} -p ${port} ${name} +short`] : []),
      `${program} query @${dns} ${name}`,
      `${program} members list --api ${api}`,
      `${program} explain ${name} --api ${api}`,
    ],
    next: [
      ...(hasKeys ? [`Keys: ${numbers} = stop or start that backend, q or Ctrl-C = quit`] : []),
      once
        ? "Now backend 2 is stopped, then started again."
        : "In 10 s backend 2 is stopped, 10 s later it is started again: keep asking.",
    ],
  };
}

/** Columns of the terminal, if it says how many; a line that goes elsewhere isn't broken. */
function terminalWidth(): number {
  return Deno.stdout.isTerminal() ? Deno.consoleSize().columns || 80 : Infinity;
}
