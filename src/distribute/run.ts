/**
 * A service as a process: reads the settings, starts it, starts it again by other settings on SIGHUP, and ends it when it is told
 * to.
 *
 * @module
 */
import type { ExitCode } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../clock.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { ServeSignals } from "../node/signals.ts";
import { feedWatchdog, notify } from "../node/systemd.ts";
import { loadSettings, type Settings } from "../settings/settings.ts";
import { createLogger, type Logger } from "../telemetry/log.ts";
import { Registry } from "../telemetry/metrics.ts";
import { VERSION } from "../version.ts";
import {
  type DistributeSettings,
  serveMetrics,
  serviceFaults,
  type ServiceGround,
  type ServiceName,
  serviceWarnings,
} from "./service.ts";
import {
  type RunningService,
  startApiProxy,
  startHealthChecker,
  startSecondarySyncer,
  startZoneProvider,
} from "./services.ts";

/** How each service is started. */
const STARTS: Readonly<
  Record<Exclude<ServiceName, "status">, (ground: ServiceGround) => RunningService | Promise<RunningService>>
> = {
  "api-proxy": startApiProxy,
  "zone-provider": startZoneProvider,
  "health-checker": startHealthChecker,
  "secondary-syncer": startSecondarySyncer,
};

/** The settings of a service; `null` = they can't be used, which was said. */
export function settingsFor(
  service: ServiceName,
  { config }: { readonly config?: string },
  terminal: Terminal,
): Settings | null {
  const loaded = loadSettings({ ...(config !== undefined && { file: config }), env: Deno.env.toObject() });
  for (const problem of loaded.problems) terminal.err(formatProblem(problem));
  if (loaded.settings === null) return null;
  const faults = serviceFaults(service, loaded.settings.distribute);
  for (const fault of faults) terminal.err(`error: ${fault}`);
  return faults.length === 0 ? loaded.settings : null;
}

/** Runs a service; resolves to the exit code when it was told to stop, or couldn't start. */
export async function run(
  service: Exclude<ServiceName, "status">,
  flags: { readonly config?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  using signals = new ServeSignals();
  const first = settingsFor(service, flags, terminal);
  if (first === null) return 1;
  const log = createLogger({ ...first.log, clock: systemClock });
  const lost = Promise.withResolvers<null>();
  try {
    let settings = first.distribute;
    let running = await begin(service, settings, log);
    await tell(log, `READY=1\nSTATUS=Running as ${service}`);
    const onError = (error: unknown) => log.warn("Cannot notify the service manager", { error });
    using _fed = await feedWatchdog({ env: Deno.env.toObject(), isWell: () => true, onError })
      .catch((error): Disposable => {
        onError(error);
        return { [Symbol.dispose]: () => {} };
      });
    let reloading = Promise.resolve();
    signals.onReload(() =>
      reloading = (async () => {
        await tell(log, "RELOADING=1");
        const next = settingsFor(service, flags, terminal)?.distribute ?? null;
        if (next === null) log.error("Not reloaded; the settings before stay");
        else {
          await running[Symbol.asyncDispose]();
          try {
            running = await begin(service, next, log);
            settings = next;
            log.info("Reloaded the settings");
          } catch (error) {
            log.error("Not reloaded; the settings before stay", { error });
            running = await begin(service, settings, log);
          }
        }
        await tell(log, "READY=1");
      })().catch((error) => {
        log.error("Cannot go on", { error });
        lost.resolve(null);
      })
    );
    const signal = await Promise.race([signals.stopped, lost.promise]);
    signals.refuseReloads();
    await reloading;
    if (signal === null) return 1;
    log.info("Stopping", { signal });
    await tell(log, "STOPPING=1");
    await running[Symbol.asyncDispose]();
  } catch (error) {
    log.error("Cannot go on", { error });
    return 1;
  }
  log.info("Stopped");
  return 0;
}

/** Starts a service and its metrics. @throws {Error} when it can't be started */
async function begin(
  service: Exclude<ServiceName, "status">,
  settings: DistributeSettings,
  log: Logger,
): Promise<AsyncDisposable> {
  for (const warning of serviceWarnings(settings)) log.warn(warning);
  const registry = new Registry({});
  const host = settings.service.host ?? Deno.hostname();
  await using stack = new AsyncDisposableStack();
  const running = stack.use(
    await STARTS[service]({ settings, clock: systemClock, log, registry, host }),
  );
  stack.use(serveMetrics(settings, registry));
  log.info("Pleiades distributes zones", { version: VERSION, service, host, listens: running.listens });
  return stack.move();
}

async function tell(log: Logger, state: string): Promise<void> {
  try {
    await notify(Deno.env.get("NOTIFY_SOCKET"), state);
  } catch (error) {
    log.warn("Cannot notify the service manager", { error });
  }
}
