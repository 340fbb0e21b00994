/**
 * A server behind a balancer is stopped (SIGSTOP), so that it neither reads nor ends.
 *
 * @module
 */
import { FrontBed, Load, settled, totalOf, unansweredBy } from "./load.ts";

const SERVERS = 4;
const CLIENTS = 1_000;
/** Longest that its clients may be without answers: a heartbeat is due every 5 s, looked at once a second, and waited for 15 s. */
const DARK_SECONDS_MAX = 21;
const GROWTH_MIB_MAX = 4;

/** Stops one of four for so long. @returns whether all was as it should be */
export async function stopOne(
  { seconds, perSecond }: { readonly seconds: number; readonly perSecond: number },
): Promise<boolean> {
  await using bed = await FrontBed.start(SERVERS);
  using load = new Load(bed.balancer.port, CLIENTS);
  load.rate = perSecond;
  const { servers: first, residentMiB: before } = await settled(bed, load);
  const control = load.lost;
  load.forgetTimes();
  bed.signal(5301, "SIGSTOP");
  await load.run(seconds * 1000);
  const after = await bed.residentMiB();
  await load.drain(300);
  const state = await bed.state();
  const isOwn = (client: number) => first[client] === 5301;
  const others = load.unanswered.reduce((sum, count, client) => isOwn(client) ? sum : sum + count, 0);
  const darkSeconds = load.longestMs.reduce((most, ms, i) => isOwn(i) ? Math.max(most, ms) : most, 0) / 1000;
  const counted = unansweredBy(state);
  const dropped = state.remotes.reduce((sum, { udpDropped }) => sum + udpDropped!, 0);
  const stuck = state.backends.find(({ id }) => id === 5301)!["stuck"]!;
  console.log(
    `a server stopped for ${seconds} s: ${
      (after - before).toFixed(1)
    } MiB of growth (may be ${GROWTH_MIB_MAX}), ` +
      `others lost ${others}, its own clients were without answers for ${darkSeconds.toFixed(1)} s ` +
      `(may be ${DARK_SECONDS_MAX}); dropped ${stuck} at the server, ${
        counted["stuck"]
      } in all, ${dropped} at clients; ` +
      `${load.lost} lost, ${totalOf(counted)} counted; ${control} before`,
  );
  return after - before <= GROWTH_MIB_MAX && others === 0 && darkSeconds <= DARK_SECONDS_MAX &&
    stuck === dropped && stuck === counted["stuck"] && load.lost === totalOf(counted) && control === 0;
}
