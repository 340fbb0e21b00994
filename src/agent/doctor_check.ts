/**
 * The doctor's check of an agent: whether its settings make one, whether its record could be kept, and whether its peers would
 * find this server well. Nothing is changed.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import type { Check, Examined } from "../doctor/check.ts";
import type { Remark } from "../doctor/finding.ts";
import { createLogger } from "../telemetry/log.ts";
import { withCauses } from "./causes.ts";
import { RecordsRefused } from "./records.ts";
import { AgentMisconfigured, type AgentSetup, ownAddresses, setupOf } from "./setup.ts";

/** Longest wait for this server's own service, milliseconds; a check has two seconds in all. */
const PROBE_MS = 800;

/** What an agent needs. */
export const agentRecord: Check = {
  id: "agent",
  looksAt: "the record of agent.fqdn",
  when: "of files",
  look: async ({ settings }, signal) => {
    const log = createLogger({ level: "error", format: "text", clock: systemClock, write: () => {} });
    let setup: AgentSetup;
    try {
      setup = setupOf(settings, { clock: systemClock, log });
    } catch (error) {
      return [misconfigured(error)];
    }
    return [
      ...await remarksOnDestroyer(settings),
      ...await remarksOnRecord(settings, setup, signal),
    ];
  },
};

type Set = Examined["settings"];

/** A program that isn't there would be noticed when the first server fails. */
async function remarksOnDestroyer({ agent: { destroy: { command: [program] } } }: Set): Promise<Remark[]> {
  if (program === undefined || !program.includes("/")) return [];
  try {
    const { isFile, mode } = await Deno.stat(program);
    if (isFile && (mode === null || (mode & 0o111) !== 0)) return [];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return [{
    level: "problem",
    subject: `agent.destroy.command ${program}`,
    message: "there is no such program, or it isn't executable: no server that fails could be ended",
    fix: "install it, or make it executable (chmod +x)",
  }];
}

async function remarksOnRecord({ agent }: Set, setup: AgentSetup, signal: AbortSignal): Promise<Remark[]> {
  const { fqdn, records, probe } = setup;
  try {
    const addresses = await ownAddresses(agent, signal);
    const remarks: Remark[] = [];
    for (const address of addresses) {
      await records.check?.(fqdn, address.includes(":") ? "AAAA" : "A", signal);
      const late = AbortSignal.timeout(PROBE_MS);
      const fault = await probe(address, late);
      if (fault === null) continue;
      remarks.push({
        level: "warning",
        subject: `${address} port ${agent.tcpPort}`,
        message: `peers would remove this server: ${late.aborted ? "no answer in time" : fault}`,
        fix: "start its service, or fix agent.tcpPort, agent.doTls or agent.http",
      });
    }
    return remarks;
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof AgentMisconfigured || error instanceof RecordsRefused) return [misconfigured(error)];
    return [{
      level: "warning",
      subject: `the record of ${fqdn}`,
      message: `can't be read: ${error instanceof Error ? withCauses(error) : error}`,
      fix: "let its provider run, and be reached from here; the agent asks again in each round",
    }];
  }
}

/** Messages end with their fix, in parentheses or behind a colon. @throws what is another kind of error */
function misconfigured(error: unknown): Remark {
  if (!(error instanceof AgentMisconfigured) && !(error instanceof RecordsRefused)) throw error;
  const parts = /^(.*?)(?: \(((?:[^()]|\([^()]*\))+)\)|: (set .*))$/s.exec(error.message);
  return {
    level: "problem",
    subject: "agent",
    message: parts?.[1] ?? error.message,
    fix: parts?.[2] ?? parts?.[3] ?? "correct it; docs/agent.md has what each part needs",
  };
}
