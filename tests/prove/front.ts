/**
 * The host's DNS balancer: `deno task prove front [PART [NUMBER…]]`, all parts unless one is named.
 *
 * | part | numbers | what must be so |
 * | --- | --- | --- |
 * | `kills` | kills, clients, queries a second: 60, 10,000, 20,000 | Of eight servers one is killed a second, in turn. At most 64 queries are lost by a kill, the balancer's count is that of the clients, no answer comes to another client, each client is where it was in the end |
 * | `restarts` | queries a second: 20,000 | Two nodes are restarted in turn, ten times, and nothing is lost |
 * | `stopped` | seconds, queries a second: 60, 20,000 | One of four servers is stopped: no memory is used for it, others lose nothing, its clients are elsewhere within 21 s, drops are counted |
 * | `forged` | sources, queries a second: 1,100,000, 20,000 | More sources than can be kept: memory stays in bounds, known clients stay where they are |
 * | `streams` | connections of a kind, queries a second: 1,000, 5,000 | Connections that don't read, and silent ones: UDP is as fast, all descriptors come back; so it is where none is left |
 * | `directory` | queries a second: 2,000 | The directory of sockets is removed, and made again |
 * | `lines` | – | All that mname-balancer's list says, with three servers of mname, three nodes, and both, each a process |
 * | `hours` | hours: 72 | Arrivals, restarts, expiry and rebalancing, simulated: all choices are those of a model |
 *
 * @module
 */
import { isFlawless } from "../dns_load.ts";
import { showLines } from "../front/real_backends.ts";
import { play } from "../front/simulation.ts";
import { remakeDirectory } from "./front/directory.ts";
import { forgeSources } from "./front/forged.ts";
import { isExact, killOneByOne } from "./front/kills.ts";
import { totalOf, wordsOf } from "./front/load.ts";
import { restartInTurn } from "./front/restart.ts";
import { stopOne } from "./front/stopped.ts";
import { crowdStreams, exhaustDescriptors } from "./front/streams.ts";

const LOST_A_KILL_MAX = 64;
const KEPT_MIN = 0.9999;

const PARTS: Readonly<Record<string, (numbers: readonly number[]) => Promise<boolean>>> = {
  kills: async ([kills = 60, clients = 10_000, perSecond = 20_000]) => {
    const result = await killOneByOne({ kills, clients, perSecond });
    const { sent, lost, counted, moved, worst, wrong, unread, kept, control } = result;
    console.log(
      `${sent} queries, ${kills} kills: ${lost} lost, at most ${worst} between two kills; the balancer counted ` +
        `${totalOf(counted)} (${wordsOf(counted)}), and asked another server ${moved} of those under way; ` +
        `${wrong} answers to a wrong client; ${
          (kept * 100).toFixed(3)
        } % of ${clients} clients kept their server; ` +
        `${control} lost before any kill, ${unread} answers that the clients had no room for`,
    );
    return isExact(result) && worst <= LOST_A_KILL_MAX && wrong === 0 && kept >= KEPT_MIN && control === 0;
  },
  restarts: async ([perSecond = 20_000]) => {
    const { report, unanswered } = await restartInTurn({ perSecond, seconds: 250, rounds: 10 });
    console.log(
      `two nodes restarted in turn, ${unanswered.length} times: ${report.lost} of ${report.sent} queries lost, ${report.codes}`,
    );
    return isFlawless(report) && unanswered.every((count) => count === 0);
  },
  stopped: ([seconds = 60, perSecond = 20_000]) => stopOne({ seconds, perSecond }),
  forged: ([sources = 1_100_000, perSecond = 20_000]) => forgeSources({ sources, perSecond }),
  streams: async ([each = 1_000, perSecond = 5_000]) => {
    const isCalm = await crowdStreams({ each, perSecond });
    return await exhaustDescriptors({ perSecond }) && isCalm;
  },
  directory: ([perSecond = 2_000]) => remakeDirectory({ perSecond }),
  lines: async () => {
    for (
      const kinds of [["mname", "mname", "mname"], ["serve", "serve", "serve"], [
        "mname",
        "serve",
        "mname",
      ]] as const
    ) {
      await showLines(kinds, async (name, part) => {
        await part();
        console.log(`${kinds.join(", ")}: ${name}`);
      });
    }
    return true;
  },
  hours: ([hours = 72]) => {
    const startMs = performance.now();
    const { chosen, moved, expired } = play(hours * 3_600, { seed: 72, clients: 1_500, compareEvery: 60 });
    const seconds = (performance.now() - startMs) / 1000;
    console.log(
      `${hours} simulated hours in ${seconds.toFixed(1)} s: ${chosen} choices, ${moved} clients moved, ` +
        `${expired} forgotten, as the model`,
    );
    return Promise.resolve(seconds < 60);
  },
};

/** Runs one part, or all. */
export async function prove([part, ...numbers]: string[]): Promise<boolean> {
  if (part !== undefined && PARTS[part] === undefined) {
    console.log(`There is no part ${part}; there are ${Object.keys(PARTS).join(", ")}`);
    return false;
  }
  let isGood = true;
  for (const [name, run] of Object.entries(PARTS)) {
    if (part !== undefined && part !== name) continue;
    const isGoodPart = await run(numbers.map(Number));
    console.log(`${name}: ${isGoodPart ? "as it must be" : "NOT as it must be"}`);
    isGood &&= isGoodPart;
  }
  return isGood;
}
