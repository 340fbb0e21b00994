/**
 * Servers behind a balancer are killed one after the other, under load.
 *
 * @module
 */
import { FrontBed, Load, totalOf, unansweredBy } from "./load.ts";

const SERVERS = 8;
const SECOND_MS = 1_000;
const BEFORE_KILL_MS = 200;
/** How long one hangs before it ends: with 50 queries under way at 2,500 a second. */
const HANG_MS = 20;
/** Milliseconds within which all answers have come. */
const DRAIN_MS = 300;
/** Time for all clients to come back to where they were. */
const SETTLE_MS = 1_500;
/** What a run without kills is measured for. */
const CONTROL_MS = 5_000;

/** What came of it. */
export interface KillResult {
  /** Queries of clients. */
  readonly sent: number;
  /** Those without an answer. */
  readonly lost: number;
  /** Those without one by what the balancer says of them. */
  readonly counted: Readonly<Record<string, number>>;
  /** Those that a second server was asked. */
  readonly moved: number;
  /** Most that were lost between two kills. */
  readonly worst: number;
  /** Answers that came to another client than they are for. */
  readonly wrong: number;
  /** Answers that the clients themselves had no room for. */
  readonly unread: number;
  /** Share of clients that are with their first server in the end. */
  readonly kept: number;
  /** Lost in the same time without kills. */
  readonly control: number;
}

/** Kills a server a second, in turn, each when all are there. */
export async function killOneByOne(
  { kills, clients, perSecond }: {
    readonly kills: number;
    readonly clients: number;
    readonly perSecond: number;
  },
): Promise<KillResult> {
  await using bed = await FrontBed.start(SERVERS);
  const { balancer } = bed;
  using load = new Load(balancer.port, clients);
  load.rate = perSecond;
  await load.run(Math.max(SECOND_MS, clients / perSecond * 2_000));
  await load.run(CONTROL_MS);
  await load.drain(DRAIN_MS);
  const control = load.lost;
  const first = load.servers.slice();
  let worst = 0;
  for (let kill = 0; kill < kills; kill++) {
    const before = load.lost;
    const id = 5301 + kill % SERVERS;
    const since = balancer.lines.filter(({ msg }) => msg === "backend is ok").length;
    await load.run(BEFORE_KILL_MS);
    bed.signal(id, "SIGSTOP");
    await load.run(HANG_MS);
    const killed = bed.kill(id); // with what was asked a moment ago on its way
    bed.startServer(id);
    await load.run(SECOND_MS - BEFORE_KILL_MS - DRAIN_MS);
    await load.until(Promise.all([killed, balancer.line("backend is ok", since + 1)]));
    await load.drain(DRAIN_MS);
    worst = Math.max(worst, load.lost - before);
  }
  await load.run(SETTLE_MS);
  await load.drain(DRAIN_MS);
  const state = await bed.state();
  const { sent, lost, wrong, overflowed: unread } = load;
  const kept = first.filter((server, client) => server === load.servers[client]).length / clients;
  const counted = unansweredBy(state);
  return { sent, lost, counted, moved: state.balancer.udp["moved"]!, worst, wrong, unread, kept, control };
}

/** Whether the balancer's count is that of the clients. */
export function isExact({ lost, counted }: KillResult): boolean {
  return lost === totalOf(counted);
}
