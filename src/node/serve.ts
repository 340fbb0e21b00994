/**
 * `pleiades serve`: reads the settings, runs a node until it is told to stop, and reloads on SIGHUP.
 *
 * @module
 */
import type { ExitCode } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../clock.ts";
import type { SettingsFlags, ZoneInEffect } from "../settings/loading.ts";
import { judgeDatabases } from "../settings/databases.ts";
import { type LoadedSettings, loadSettings, type Settings } from "../settings/settings.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { filesOpenToOthers, octal } from "../doctor/file_modes.ts";
import { AddressTaken } from "../dns/worker_launch.ts";
import { type Holder, holderAt } from "../doctor/kernel_sockets.ts";
import { descriptorDemands } from "../doctor/resources.ts";
import { Beforehand } from "./beforehand.ts";
import { descriptorWarning, raiseDescriptorLimit } from "./descriptors.ts";
import { formatSocketAddress } from "../ip.ts";
import { keepLibc } from "../libc.ts";
import { type RunningNode, startNode } from "./node.ts";
import type { ServeSignals } from "./signals.ts";
import { DatabaseTaken } from "../replace/process_lock.ts";
import { Place } from "./place.ts";
import { feedWatchdog, notify } from "./systemd.ts";
import { createLogger, type Logger } from "../telemetry/log.ts";
import { VERSION } from "../version.ts";

/** What the command line of `serve` says. */
export interface ServeFlags extends SettingsFlags {
  /** `-c FILE`; absent = the default file when it exists. */
  readonly config?: string;
  /** Whether to take the place of the node that runs on the same database. */
  readonly replace?: boolean;
}

/** Runs a node; resolves to the exit code when it was stopped by SIGTERM or SIGINT, or could not go on. */
export async function serve(
  flags: ServeFlags,
  { terminal, signals }: { readonly terminal: Terminal; readonly signals: ServeSignals },
): Promise<ExitCode> {
  let running: Settings | null = null;
  const load = () =>
    judgeDatabases(
      loadSettings({
        ...(flags.config && { file: flags.config }),
        ...{ env: Deno.env.toObject(), flags },
        zonesInEffect: running === null ? [] : zonesOf(running),
      }),
    );
  const loaded = await load();
  if (!loaded.settings) {
    for (const problem of loaded.problems) terminal.err(formatProblem(problem));
    return loaded.problems.some(({ file }) => file.startsWith("--")) ? 2 : 1;
  }
  const { settings, file } = loaded;
  const log = createLogger({ ...settings.log, clock: systemClock });
  for (const note of loaded.notes) log.warn(formatProblem(note));
  warnOfOpenSecrets(loaded, log);
  signals.onMeaningless((signal) => log.debug("Ignored a signal", { signal }));
  using _libc = keepLibc();
  const limit = raiseDescriptorLimit();
  await using place = new Place(settings, log);
  using beforehand = new Beforehand();
  try {
    await place.take(flags.replace ?? false, () => beforehand.make(settings));
  } catch (error) {
    const pid = error instanceof DatabaseTaken && error.pid !== null ? { pid: error.pid } : {};
    log.error(error instanceof Error ? error.message : String(error), pid);
    return 1;
  }
  const starting = startNode({
    ...{ settings: place.settings, log, predecessor: place.predecessor },
    threads: beforehand.threads,
  });
  const stopped = signals.stopped.then((signal) => ({ signal }));
  let started: RunningNode | { readonly signal: Deno.Signal };
  try {
    started = await Promise.race([starting, stopped]);
  } catch (error) {
    const fault = startFault(error, settings.database.path);
    await place.giveUp(fault);
    log.error(fault, { ...await holderOf(error, place.settings) });
    return 1;
  }
  if ("signal" in started) {
    await place.giveUp("it was told to stop");
    // Nothing has been answered yet, and what a start writes bears a kill: whatever it still waits for is left alone.
    starting.catch(() => {});
    log.info("Stopped before the start was done", started);
    return 0;
  }
  const node = started;
  try {
    await place.makeOurs(node);
  } catch (error) {
    log.error("Not taken over: the process that was to be replaced goes on", { error });
    await node[Symbol.asyncDispose]();
    return 1;
  }
  greet(node, { settings, file, log });
  const warning = limit && descriptorWarning(limit, demandsOf(node, settings));
  if (warning) log.warn(warning);
  await tell(
    log,
    `${place.isSuccession ? `MAINPID=${Deno.pid}\n` : ""}READY=1\nSTATUS=Answering on ${
      node.dns.map(formatSocketAddress).join(", ")
    }`,
  );
  place.concludeWith(node);
  running = settings;
  const ending = new AbortController();
  signals.onReload(async () => {
    running = await reload(node, { load, log, ending: ending.signal }) ?? running;
  });
  using _fed = await watched(node, log);
  const exitCode = await Promise.race([
    stopped.then(({ signal }) => {
      log.info("Stopping", { signal });
      return 0 as const;
    }),
    node.lost.catch((error) => {
      log.error("Stopping: no DNS worker is left", { error });
      return 1 as const;
    }),
    place.lost.then(() => 0 as const),
  ]);
  signals.refuseReloads();
  ending.abort();
  // Only the main process is believed, and only what it says goes on.
  // The sign of life is on behalf of the next one, whose first one came when it wasn't the main process yet: many that take
  // over one after the other would else be taken for dead.
  const { successorPid } = place;
  await tell(log, successorPid === null ? "STOPPING=1" : `MAINPID=${successorPid}\nWATCHDOG=1`);
  await node[Symbol.asyncDispose]();
  await place.farewell(node);
  log.info("Stopped");
  return exitCode;
}

/** A secret that others may read, or change, is one no longer. */
function warnOfOpenSecrets({ secretFiles }: LoadedSettings, log: Logger): void {
  for (const { path, mode } of filesOpenToOthers(secretFiles)) {
    log.warn("Other users may use a file that holds secrets", {
      ...{ file: path, mode: octal(mode), fix: `chmod g-wx,o= ${path}` },
    });
  }
}

/** What failed in one line. Where SQLite or the code stumbles over what is stored, it names the file and what to do. */
function startFault(error: unknown, database: string): string {
  const message = error instanceof Error ? error.message : String(error);
  const isOfContent = error instanceof TypeError || error instanceof RangeError ||
    /\bmalformed\b|not a database/.test(message);
  if (!isOfContent || database === "none" || database === ":memory:") return message;
  return `Cannot start from the database ${database}, which seems to be damaged: ${message} (look: ` +
    `sqlite3 ${database} "PRAGMA integrity_check"; put a copy in its place: pleiades restore COPY --db ${database})`;
}

/** The program that has the address which could not be had; `null` = that isn't why, or it can't be known. */
async function holderOf(error: unknown, { api, metrics }: Settings): Promise<Holder | null> {
  const isTaken = error instanceof Error && error.cause instanceof Deno.errors.AddrInUse;
  const control = [
    { hostname: api.listenAddr, port: api.port },
    ...metrics.listenAddr === null ? [] : [{ hostname: metrics.listenAddr, port: metrics.port }],
  ];
  const addresses = error instanceof AddressTaken ? [error.address] : isTaken ? control : [];
  for (const address of addresses) {
    const holder = address.port === 0 ? null : await holderAt(address);
    if (holder !== null) return holder;
  }
  return null;
}

/** Says what listens, what is served and what is lacking: each a line, the last ones as hints. */
function greet(
  node: RunningNode,
  { settings, file, log }: {
    readonly settings: Settings;
    readonly file: string | null;
    readonly log: Logger;
  },
): void {
  const { pools, members, services, zones } = node.store.counts();
  log.info("Pleiades answers DNS", {
    version: VERSION,
    dns: node.dns.map(formatSocketAddress),
    api: node.api && `${settings.api.tls.certFile ? "https" : "http"}://${formatSocketAddress(node.api)}`,
    settings: file ?? "defaults",
    database: node.store.path,
  });
  log.info("Serving", {
    zones: zones + settings.dns.domain.length + settings.dns.zones.length,
    services,
    pools,
    members,
    fallback: settings.fallback?.endpoints.length ?? 0,
  });
  for (const hint of hints(node, settings)) log.info(`Hint: ${hint}`);
}

/** Probes are counted as the targets of now. */
function demandsOf({ dns, store }: RunningNode, settings: Settings) {
  return descriptorDemands(settings, { listeners: dns.length, members: store.counts().members });
}

function hints(node: RunningNode, settings: Settings): string[] {
  const lines: string[] = [];
  const { services, zones } = node.store.counts();
  const empty = services + zones + settings.dns.domain.length + settings.dns.zones.length === 0;
  if (empty) {
    lines.push("nothing is served yet, so every answer is REFUSED; begin with: pleiades pools create web");
  }
  if (node.api && settings.api.tokens.length === 0 && !node.store.tokens.isAnyKept()) {
    lines.push(
      "the API requires no token, so it listens on loopback only (api.tokens, or pleiades tokens create)",
    );
  }
  if (node.dns.every(({ port }) => port !== 53)) {
    lines.push("resolvers ask on port 53; this node doesn't listen there (dns.port, or --dns ADDR:53)");
  }
  if (node.store.readOnly) {
    lines.push("there is no database (database.path: none), so nothing can be changed by API");
  }
  return lines;
}

function zonesOf({ dns: { zones, ttl } }: Settings): ZoneInEffect[] {
  return zones.map(({ domain, text }) => ({ domain, text, defaultTtl: ttl }));
}

/**
 * Takes over the settings file as it is now, or says why not and changes nothing.
 *
 * @returns what was taken over
 */
async function reload(node: RunningNode, options: ReloadOptions): Promise<Settings | null> {
  const { log, ending } = options;
  await tell(log, "RELOADING=1");
  const taken = await takeOver(node, options);
  if (!ending.aborted) await tell(log, "READY=1");
  return taken;
}

interface ReloadOptions {
  readonly load: () => Promise<LoadedSettings>;
  readonly log: Logger;
  /** Aborted when the node begins to stop: what is loaded then comes too late. */
  readonly ending: AbortSignal;
}

async function takeOver(node: RunningNode, { load, log, ending }: ReloadOptions): Promise<Settings | null> {
  const loaded = await load();
  if (ending.aborted) return null;
  for (const problem of loaded.problems) log.error(`Not reloaded: ${formatProblem(problem)}`);
  if (!loaded.settings) {
    node.refuse(loaded.refusedDatabases);
    return null;
  }
  for (const note of loaded.notes) log.warn(formatProblem(note));
  warnOfOpenSecrets(loaded, log);
  try {
    const restart = await node.use(loaded.settings);
    log.info("Reloaded the settings", { settings: loaded.file ?? "defaults" });
    if (restart.length > 0) log.warn("These keys take effect at the next start only", { keys: restart });
    return loaded.settings;
  } catch (error) {
    log.error("Not reloaded; the previous settings stay", { error });
    return null;
  }
}

/** Tells the service manager, if it asked for it, that the main thread and the DNS workers turn. */
async function watched(node: RunningNode, log: Logger): Promise<Disposable> {
  const onError = (error: unknown) => log.warn("Cannot notify the service manager", { error });
  try {
    return await feedWatchdog({ env: Deno.env.toObject(), isWell: () => node.isAnswering(), onError });
  } catch (error) {
    onError(error);
    return { [Symbol.dispose]: () => {} };
  }
}

async function tell(log: Logger, state: string): Promise<void> {
  try {
    await notify(Deno.env.get("NOTIFY_SOCKET"), state);
  } catch (error) {
    log.warn("Cannot notify the service manager", { error });
  }
}
