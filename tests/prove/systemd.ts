/**
 * The node's unit as it is shipped, under a real systemd: `deno task prove systemd [REPLACEMENTS]`.
 *
 * Systemd is the first process of a machine of its own (`systemd/machine.ts`), which has the executable
 * (`PLEIADES_EXECUTABLE`, or `dist/pleiades`) and the unit with all that it forbids. The node is started, reads its settings
 * again, is replaced by `systemctl reload` with the drop-in that is shipped for that while dnsperf asks it on port 53, gets
 * settings that don't hold, is killed, and is stopped. Systemd must know the main process at each step and never restart it
 * by itself but where it was killed, and no query may be lost before.
 *
 * @module
 */
import { ROOT } from "../../scripts/process.ts";
import { program } from "../programs.ts";
import { SystemdMachine } from "./systemd/machine.ts";

/** How a run differs from the full one. */
export interface SystemdProofOptions {
  /** How often it is replaced. */
  readonly replacements: number;
  /** Whether systemd's watchdog is waited for, twice its time. */
  readonly watchesWatchdog: boolean;
}

/** What came of a run. */
export interface SystemdReport {
  /** Main processes that systemd knew, one after the other. */
  readonly mainPids: readonly number[];
  /** Queries sent and lost while it was replaced; `null` = there is no dnsperf. */
  readonly load: { readonly sent: number; readonly lost: number } | null;
  /** A line for each thing that wasn't as it is to be. */
  readonly faults: readonly string[];
}

/** Runs the proof; 10 replacements unless told otherwise. */
export async function prove([replacements = "10"]: string[]): Promise<boolean> {
  const executable = program("pleiades") ?? `${ROOT}/dist/pleiades`;
  const report = await underSystemd(executable, {
    ...{ replacements: Number(replacements), watchesWatchdog: true },
  });
  if (report === null) {
    console.log("systemd can't be run here: it takes root, unshare(1) and cgroups that may be made");
    return false;
  }
  const { mainPids, load, faults } = report;
  console.log(`main processes     ${mainPids.join(" ")}`);
  console.log(`queries            ${load ? `${load.sent} sent, ${load.lost} lost` : "no dnsperf"}`);
  console.log(`faults             ${faults.length}`);
  for (const fault of faults) console.log(`  ${fault}`);
  return faults.length === 0 && load !== null && load.sent > 0 && load.lost === 0;
}

const LOG = "/run/pleiades.log";
const SETTINGS = "/etc/pleiades/config.yaml";
const WATCHDOG_SECONDS = 5;
const PAUSE_MS = 50;

/** Runs the unit under systemd; `null` = it can't be run here. */
export async function underSystemd(
  executable: string,
  { replacements, watchesWatchdog }: SystemdProofOptions,
): Promise<SystemdReport | null> {
  const packaged = (path: string) => Deno.readTextFileSync(`${ROOT}/packaging/${path}`);
  const dnsperf = program("dnsperf");
  const watchdog = watchesWatchdog ? `WatchdogSec=${WATCHDOG_SECONDS}\n` : "";
  await using machine = await SystemdMachine.start({
    executables: { pleiades: executable },
    units: {
      "pleiades.service": packaged("pleiades.service"),
      // There is no journal.
      "pleiades.service.d/10-log.conf": `[Service]\nStandardError=append:${LOG}\n${watchdog}`,
      "load.service": "[Service]\nKillSignal=SIGINT\nStandardOutput=file:/run/load.txt\n" +
        `ExecStart=${dnsperf} -s 127.0.0.1 -d /run/units/questions -l 3600 -Q 1000\n`,
      "questions": "www.example.org A\n",
    },
  });
  if (machine === null) return null;
  const run = async (...line: string[]) => {
    const { success, text } = await machine.run(...line);
    if (!success) throw new Error(`${line.join(" ")}: ${text}\n${(await machine.run("cat", LOG)).text}`);
    return text;
  };
  const mainPid = async () => Number(await machine.property("pleiades", "MainPID"));
  const until = async (isSo: () => Promise<boolean>) => {
    while (!await isSo()) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  };
  const isLogged = (text: string) => async () => (await run("cat", LOG)).includes(text);
  const faults: string[] = [];
  const expect = async (when: string, wanted: Readonly<Record<string, string>>) => {
    for (const [name, value] of Object.entries(wanted)) {
      const found = await machine.property("pleiades", name);
      if (found !== value) faults.push(`${when}: ${name} is ${found}, and not ${value}`);
    }
  };
  const RUNNING = { ActiveState: "active", SubState: "running", Result: "success" };

  await run("systemctl", "start", "pleiades");
  const mainPids = [await mainPid()];
  await expect("started", { ...RUNNING, NRestarts: "0" });
  await run("pleiades", "pools", "create", "web");
  await run("pleiades", "members", "create", "--pool", "web", "--ip", "192.0.2.1", "--port", "443");
  await run("pleiades", "services", "create", "www.example.org", "--pool", "web");
  if (await run("pleiades", "query", "www.example.org", "@127.0.0.1", "-o", "short") !== "192.0.2.1") {
    faults.push("started: it doesn't answer on port 53");
  }

  await run("systemctl", "reload", "pleiades");
  await until(isLogged("Reloaded the settings"));
  await expect("reloaded", { ...RUNNING, MainPID: String(mainPids[0]) });

  await run(
    "sh",
    "-c",
    `cat > /run/units/pleiades.service.d/replace.conf <<'END'\n${
      packaged("pleiades.service.d/replace.conf")
    }END`,
  );
  await run("systemctl", "daemon-reload");
  if (dnsperf !== null) await run("systemctl", "start", "load");
  for (let round = 1; round <= replacements; round++) {
    await run("systemctl", "reload", "pleiades");
    await until(async () => await mainPid() !== mainPids.at(-1));
    mainPids.push(await mainPid());
    await expect(`replaced ${round} times`, { ...RUNNING, NRestarts: "0" });
  }
  if (watchesWatchdog) {
    await new Promise((resolve) => setTimeout(resolve, 2 * WATCHDOG_SECONDS * 1000));
    await expect("watched", { ...RUNNING, NRestarts: "0", MainPID: String(mainPids.at(-1)) });
  }
  if (dnsperf !== null) await run("systemctl", "stop", "load");

  await run("sh", "-c", `echo 'workers: none' > ${SETTINGS}`);
  await run("systemctl", "reload", "pleiades");
  await until(isLogged("config.yaml:1:10: "));
  await expect("given wrong settings", { ...RUNNING, NRestarts: "0", MainPID: String(mainPids.at(-1)) });
  await run("rm", SETTINGS);

  await run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "pleiades");
  await until(async () => await machine.property("pleiades", "NRestarts") === "1");
  await until(async () => await machine.property("pleiades", "ActiveState") === "active");
  mainPids.push(await mainPid());
  if (await run("pleiades", "query", "www.example.org", "@127.0.0.1", "-o", "short") !== "192.0.2.1") {
    faults.push("restarted: it doesn't answer on port 53");
  }

  await run("systemctl", "stop", "pleiades");
  await expect("stopped", { ActiveState: "inactive", Result: "success", MainPID: "0" });
  if (new Set(mainPids).size !== mainPids.length) faults.push(`a main process came twice: ${mainPids}`);
  return { mainPids, load: dnsperf === null ? null : await loadOf(machine), faults };
}

async function loadOf(machine: SystemdMachine): Promise<{ sent: number; lost: number }> {
  const { text } = await machine.run("cat", "/run/load.txt");
  const figure = (label: string) => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(text)?.[1] ?? NaN);
  return { sent: figure("Queries sent"), lost: figure("Queries lost") };
}
