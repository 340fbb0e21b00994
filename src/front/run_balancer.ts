/**
 * `pleiades balancer`: judges its command line, runs a balancer until it is told to stop.
 *
 * @module
 */
import { hostname } from "node:os";
import { resolve } from "node:path";
import { CommandFailed, type ExitCode } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../clock.ts";
import { formatIp, parseIp } from "../ip.ts";
import { listenFault } from "../sockets/listening.ts";
import { Balancer, type BalancerOptions } from "./balancer.ts";
import { bunyanLine, FRONT_LEVELS, type FrontEvent, type FrontLevel, frontLog } from "./front_log.ts";

/** What the command line of `balancer` says. */
export interface BalancerFlags {
  /** `-b`. */
  readonly address: string;
  /** `-p`. */
  readonly port: string;
  /** `-l`. */
  readonly level: string;
  /** `-s`; absent = it was left out. */
  readonly sockets?: string;
}

/** Runs a balancer; 0 when it was stopped, 1 when it can't be run. */
export async function runBalancer(flags: BalancerFlags, terminal: Terminal): Promise<ExitCode> {
  const options = judged(flags, terminal.env("LOG_LEVEL"));
  const head = { hostname: hostname(), pid: Deno.pid };
  const take = (event: FrontEvent) => writeLine(bunyanLine(event, systemClock.unixMs(), head));
  const log = frontLog(options.level, take);
  const stopped = Promise.withResolvers<Deno.Signal>();
  const signals = (["SIGTERM", "SIGINT"] as const).map((signal) => {
    const hear = () => stopped.resolve(signal);
    Deno.addSignalListener(signal, hear);
    return { signal, hear };
  });
  try {
    await using balancer = await Balancer.start({ ...options, take, clock: systemClock });
    const { hostname: address, port } = balancer.address;
    log.info("listening", { address, port, sockets: options.directory });
    const end = await Promise.race([stopped.promise, balancer.lost]);
    if (end instanceof Error) {
      log.fatal("the balancer can't go on", { reason: end.message });
      return 1;
    }
    log.info("stopping", { signal: end });
    return 0;
  } catch (error) {
    const advice = { ss: "-lnp", choice: "-p PORT" };
    log.fatal(listenFault(options.address, error, advice));
    return 1;
  } finally {
    for (const { signal, hear } of signals) Deno.removeSignalListener(signal, hear);
  }
}

/** @throws {CommandFailed} with what is wrong */
function judged(
  { address, port, level, sockets }: BalancerFlags,
  levelOfEnvironment: string | undefined,
): Pick<BalancerOptions, "address" | "directory" | "level"> {
  const bytes = parseIp(address);
  if (bytes === null) {
    throw new CommandFailed(`-b "${address}" is no IP address; write one such as 192.0.2.53`);
  }
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new CommandFailed(`-p "${port}" is no port; write a number from 0 to 65535 (0 = any free port)`);
  }
  if (!sockets) {
    throw new CommandFailed(
      "-s DIR is required: the directory of the servers' sockets, such as /run/pleiades",
    );
  }
  return {
    address: { hostname: formatIp(bytes), port: Number(port) },
    directory: resolve(sockets),
    level: levelOf(levelOfEnvironment ?? level, levelOfEnvironment === undefined ? "-l" : "LOG_LEVEL"),
  };
}

function levelOf(text: string, from: string): FrontLevel {
  const level = FRONT_LEVELS.find((each) => each === text);
  if (level) return level;
  throw new CommandFailed(`${from} "${text}" is no level; choose one of ${FRONT_LEVELS.join(", ")}`);
}

function writeLine(line: string): void {
  let bytes = new TextEncoder().encode(`${line}\n`);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  } catch {
    // Nothing reads the log any more (a closed pipe); forwarding matters more than saying so.
  }
}
