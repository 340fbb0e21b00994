/**
 * A service as a process: reads the settings, starts it, and ends it when it is told to.
 *
 * @module
 */
import type { ExitCode } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../clock.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { signalled } from "../node/signals.ts";
import { notify } from "../node/systemd.ts";
import { loadSettings, type Settings } from "../settings/settings.ts";
import { createLogger, type Logger } from "../telemetry/log.ts";
import { Registry } from "../telemetry/metrics.ts";
import { VERSION } from "../version.ts";
import {
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
  using stopped = signalled(["SIGTERM", "SIGINT"]);
  const settings = settingsFor(service, flags, terminal);
  if (settings === null) return 1;
  const log = createLogger({ ...settings.log, clock: systemClock });
  for (const warning of serviceWarnings(settings.distribute)) log.warn(warning);
  const registry = new Registry({});
  const host = settings.distribute.service.host ?? Deno.hostname();
  const ground = { settings: settings.distribute, clock: systemClock, log, registry, host };
  try {
    await using running = await STARTS[service](ground);
    await using _metrics = serveMetrics(settings.distribute, registry);
    log.info("Pleiades distributes zones", { version: VERSION, service, host, listens: running.listens });
    await tell(log, `READY=1\nSTATUS=Running as ${service}`);
    log.info("Stopping", { signal: await stopped.promise });
    await tell(log, "STOPPING=1");
  } catch (error) {
    log.error("Cannot go on", { error });
    return 1;
  }
  log.info("Stopped");
  return 0;
}

async function tell(log: Logger, state: string): Promise<void> {
  try {
    await notify(Deno.env.get("NOTIFY_SOCKET"), state);
  } catch (error) {
    log.warn("Cannot notify the service manager", { error });
  }
}
