/**
 * What `pleiades agent run`, `block` and `rolling-replace` do.
 *
 * @module
 */
import { CommandFailed, type ExitCode, wrongUsage } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock, systemRng } from "../clock.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { canonicalIp, formatSocketAddress, isUnicast, parseIp } from "../ip.ts";
import { feedWatchdog, notify } from "../node/systemd.ts";
import { loadSettings, type Settings } from "../settings/settings.ts";
import { listenFault } from "../sockets/listening.ts";
import { createLogger, type Logger } from "../telemetry/log.ts";
import { EXPOSITION_CONTENT_TYPE, Registry } from "../telemetry/metrics.ts";
import { registerProcessMetrics } from "../telemetry/process.ts";
import { VERSION } from "../version.ts";
import { runAgent } from "./agent.ts";
import { block } from "./block.ts";
import { withCauses } from "./causes.ts";
import { type RecordManager, RecordsRefused } from "./records.ts";
import { type ReplaceStep, rollingReplace } from "./rolling_replace.ts";
import {
  AgentMisconfigured,
  type AgentSettings,
  destroyerOf,
  nameAndPort,
  ownAddresses,
  probeOf,
  recordsOf,
  regionOf,
  setupOf,
} from "./setup.ts";

/** What the command lines share. */
export interface AgentFlags {
  /** `-c`; absent = the default file when it exists. */
  readonly config?: string;
  /** The same, as the tool that this continues spells it. */
  readonly configFile?: string;
}

/** What `block` takes. */
export interface BlockFlags extends AgentFlags {
  /** `--for`, milliseconds. */
  readonly for: number;
  /** The same, as the tool that this continues spells it. */
  readonly blockDuration?: number;
}

/** Where a command's words go, and what ends it. */
export interface AgentContext {
  /** Results and failures. */
  readonly terminal: Terminal;
  /** Resolves with the signal that asks for the end. */
  readonly stopped: Promise<Deno.Signal>;
}

/** Runs an agent until it is told to stop. @throws {CommandFailed} when what is set makes none */
export async function run(flags: AgentFlags, { terminal, stopped }: AgentContext): Promise<ExitCode> {
  const { settings, log } = settingsOf(flags, terminal);
  const stop = new AbortController();
  stopped.then((signal) => {
    log.info("Stopping", { signal });
    stop.abort();
  });
  const { agent } = settings;
  const parts = { clock: systemClock, log };
  const setup = orFailed(() => setupOf(settings, parts));
  const addresses = await findAddresses(agent, log, stop.signal);
  for (const address of addresses) {
    await judgeRecords(setup, { address, log }, stop.signal);
  }
  if (stop.signal.aborted) return 0;
  const registry = new Registry({ cluster: settings.cluster.id, node: settings.node.id });
  registerProcessMetrics(registry, { version: VERSION, clock: systemClock });
  await using serving = serveMetrics(settings, registry, log);
  void serving;
  const env = Deno.env.toObject();
  const intervalMs = agent.checkInterval;
  const limits = { minimumFailures: agent.minimumFailures, maximumFailures: agent.maximumFailures };
  const { fqdn, ...rest } = setup;
  log.info("The agent runs", { fqdn, addresses, intervalMs, ...limits });
  const running = runAgent({ fqdn, addresses, intervalMs, limits }, {
    ...parts,
    ...rest,
    rng: systemRng,
    registry,
  }, stop.signal);
  const onError = (error: unknown) => log.warn("The service manager can't be reached", { error });
  await notify(env.NOTIFY_SOCKET, "READY=1").catch(onError);
  using watchdog = await feedWatchdog({ env, isWell: () => true, onError });
  void watchdog;
  await running;
  return 0;
}

/** Blocks a server. @throws {CommandFailed} when it can't be */
export async function blockServer(
  ip: string,
  flags: BlockFlags,
  { terminal, stopped }: AgentContext,
): Promise<ExitCode> {
  const address = canonicalIp(ip);
  if (address === null || !isUnicast(parseIp(address)!)) {
    throw wrongUsage(`Cannot block ${JSON.stringify(ip)}: give a server's address such as 192.0.2.10`);
  }
  const { settings, log } = settingsOf(flags, terminal);
  const { records, fqdn } = orFailed(() => ({
    fqdn: nameAndPort(settings.agent).fqdn,
    records: recordsOf(settings.agent, { clock: systemClock, log }),
  }));
  const stop = new AbortController();
  stopped.then(() => stop.abort());
  const durationMs = flags.blockDuration ?? flags.for;
  try {
    await block({ fqdn, records, clock: systemClock, log }, { address, durationMs }, stop.signal);
  } catch (error) {
    if (error instanceof RangeError) throw wrongUsage(error.message);
    throw failed(error);
  }
  terminal.err(`${address} may add itself again`);
  return 0;
}

/** Replaces the servers of regions, one region after the other. @throws {CommandFailed} at the first failure */
export async function replaceServers(
  names: readonly string[],
  flags: AgentFlags,
  { terminal, stopped }: AgentContext,
): Promise<ExitCode> {
  const { settings, log } = settingsOf(flags, terminal);
  const { agent } = settings;
  const parts = { clock: systemClock, log };
  const setup = orFailed(() => ({
    fqdn: nameAndPort(agent).fqdn,
    records: recordsOf(agent, parts),
    probe: probeOf(agent),
    regions: names.map((name) => ({
      name,
      region: regionOf(agent, name, parts),
      destroyer: destroyerOf(agent, name, parts),
    })),
  }));
  const stop = new AbortController();
  stopped.then(() => stop.abort());
  const type = await addressTypeOf(setup, stop.signal);
  for (const { name, ...inRegion } of setup.regions) {
    using progress = new ReplaceProgress(terminal, name);
    try {
      const options = { ...setup, ...parts, ...inRegion, type, intervalMs: agent.writtenInterval } as const;
      await rollingReplace({ ...options, onStep: (step) => progress.show(step) }, stop.signal);
    } catch (error) {
      if (stop.signal.aborted) {
        throw new CommandFailed(`Stopped while ${name} was replaced; the lock is gone`);
      }
      throw failed(error);
    }
  }
  return 0;
}

/** Servers of a name are told by their IPv4 addresses, and where it has none by the others. */
async function addressTypeOf(
  { fqdn, records }: { readonly fqdn: string; readonly records: RecordManager },
  signal: AbortSignal,
): Promise<"A" | "AAAA"> {
  try {
    return (await records.read(fqdn, "A", signal)).values.length > 0 ? "A" : "AAAA";
  } catch (error) {
    throw failed(error);
  }
}

/** What is done, a line a server; on a terminal also what is waited for. */
class ReplaceProgress implements Disposable {
  readonly #terminal: Terminal;
  readonly #region: string;
  #shown = "";

  constructor(terminal: Terminal, region: string) {
    this.#terminal = terminal;
    this.#region = region;
  }

  show({ address, index, count, doing, waitingFor }: ReplaceStep): void {
    const at = `${this.#region} ${index}/${count} ${address}`;
    const { status, out } = this.#terminal;
    if (doing === "replaced") {
      status?.("");
      out(`${at} replaced`);
      return;
    }
    const text = `${at} ${doing}${waitingFor === undefined ? "" : ` for ${waitingFor}`}`;
    if (text === this.#shown) return;
    this.#shown = text;
    if (status !== undefined) status(text);
    else this.#terminal.err(text);
  }

  [Symbol.dispose](): void {
    this.#terminal.status?.("");
  }
}

function settingsOf(
  { config, configFile }: AgentFlags,
  terminal: Terminal,
): { readonly settings: Settings; readonly log: Logger } {
  const file = config ?? configFile;
  const { settings, problems, notes } = loadSettings({
    ...(file !== undefined && { file }),
    env: Deno.env.toObject(),
  });
  if (settings === null) throw new CommandFailed(problems.map(formatProblem).join("\n"));
  for (const note of notes) terminal.err(`note: ${formatProblem(note)}`);
  return { settings, log: createLogger({ ...settings.log, clock: systemClock }) };
}

/** What is set up wrongly ends the start; a provider that can't be reached is asked again by the rounds. */
async function judgeRecords(
  { fqdn, records }: { readonly fqdn: string; readonly records: RecordManager },
  { address, log }: { readonly address: string; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  try {
    await records.check?.(fqdn, address.includes(":") ? "AAAA" : "A", signal);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof RecordsRefused) throw failed(error);
    log.warn("The record can't be read yet", { fqdn, error });
  }
}

function serveMetrics(settings: Settings, registry: Registry, log: Logger): AsyncDisposable {
  const { enablePrometheus, listenAddr: hostname, port } = settings.metrics;
  if (!enablePrometheus || hostname === null) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const answer = (request: Request) => {
    if (new URL(request.url).pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
    return new Response(registry.expose(), { headers: { "content-type": EXPOSITION_CONTENT_TYPE } });
  };
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ hostname, port, onListen: () => {} }, answer);
  } catch (error) {
    const advice = { ss: "-ltnp", choice: "metrics.port" };
    throw new CommandFailed(listenFault({ hostname, port }, error, advice), 1, { cause: error });
  }
  log.info("Metrics are served", { at: formatSocketAddress({ hostname, port: server.addr.port }) });
  return server;
}

function orFailed<Value>(make: () => Value): Value {
  try {
    return make();
  } catch (error) {
    throw failed(error);
  }
}

/** A provider that can't be reached is tried again, for its network may come up later than this program. */
async function findAddresses(
  agent: AgentSettings,
  log: Logger,
  signal: AbortSignal,
): Promise<readonly string[]> {
  let told = "";
  for (;;) {
    try {
      return await ownAddresses(agent, signal);
    } catch (error) {
      if (signal.aborted) return [];
      if (error instanceof AgentMisconfigured) throw failed(error);
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== told) {
        log.warn(
          "This server's own address can't be found before the provider is reached; it is tried again",
          {
            reason,
          },
        );
      }
      told = reason;
      await systemClock.sleep(agent.checkInterval, signal);
    }
  }
}

/** A failure that is expected, as one line. */
function failed(error: unknown): Error {
  if (error instanceof AgentMisconfigured || error instanceof RecordsRefused) {
    return new CommandFailed(error.message);
  }
  return error instanceof Error
    ? new CommandFailed(withCauses(error), 1, { cause: error })
    : new Error(String(error));
}
