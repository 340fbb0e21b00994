/**
 * Ctrl-C at every step of what an operator runs: no lock is left.
 *
 * @module
 */
import { NameServer, ZONE } from "../../agent/name_servers.ts";
import { AgentCommand } from "./commands.ts";
import { recordsAt, seconds, settingsAt, told } from "./fleet.ts";

const FQDN = `stopped.${ZONE}`;
const SERVERS = ["192.0.2.1", "192.0.2.2"];
const signal = new AbortController().signal;

/** Steps of a replacement, and what is to be run to destroy a server. */
const STEPS = [
  ["blocking", "/bin/true"],
  ["removing", "/bin/true"],
  ["draining", "/bin/true"],
  ["destroying", "/bin/sleep, '60'"],
  ["waiting", "/bin/true"],
] as const;

/** Ends commands at each of their steps. */
export async function leavesNoLock(folder: string): Promise<boolean> {
  await using server = await NameServer.start("knot");
  const records = recordsAt(server.address);
  const config = `${folder}/stopped.yaml`;
  const lock = async () => (await records.read(`_blocked.${FQDN}`, "TXT", signal)).values;
  const results: boolean[] = [];
  let longestS = 0;
  const stop = async (command: AgentCommand, ended: Deno.Signal, wanted: number) => {
    const startMs = performance.now();
    command.signal(ended);
    const code = await command.ended();
    const left = await lock();
    longestS = Math.max(longestS, (performance.now() - startMs) / 1000);
    if (code !== wanted || left.length > 0) console.log(`      ${code} ${left} ${command.lines.join(" | ")}`);
    results.push(code === wanted && left.length === 0);
  };
  for (const [step, destroyer] of STEPS) {
    const expected = await records.read(FQDN, "A", signal);
    await records.write(FQDN, "A", SERVERS, { ttl: 5, wait: false, expected }, signal);
    const block = ["  regions: { all: [192.0.2.0/24] }", `  destroy: { command: [${destroyer}] }`];
    const lines = ["log: { level: warn }", "agent:", ...settingsAt(FQDN, server.address), ...block, ""];
    Deno.writeTextFileSync(config, lines.join("\n"));
    await using command = new AgentCommand("rolling-replace", "all", "-c", config);
    if (await command.says(new RegExp(` ${step}`))) await stop(command, "SIGINT", 1);
    else {
      console.log(`      it ended before it was ${step}: ${command.lines.join(" | ")}`);
      results.push(false);
    }
  }
  for (const ended of ["SIGINT", "SIGTERM"] as const) {
    await using command = new AgentCommand("block", "192.0.2.9", "--for", "5m", "-c", config);
    while ((await lock()).length === 0);
    await stop(command, ended, 0);
  }
  return told(
    results.every(Boolean) && longestS <= 1,
    `commands that are ended at each of ${results.length} steps leave no lock, ${
      seconds(longestS)
    } later at most`,
  );
}
