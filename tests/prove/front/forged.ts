/**
 * A balancer is asked from more addresses than it can keep.
 *
 * @module
 */
import { FrontBed, Load, settled } from "./load.ts";

const SERVERS = 4;
const KNOWN = 1_000;
const GROWTH_MIB_MAX = 64;

/** Asks from so many addresses at that rate. @returns whether memory stayed in bounds, and known clients where they were */
export async function forgeSources(
  { sources, perSecond }: { readonly sources: number; readonly perSecond: number },
): Promise<boolean> {
  await using bed = await FrontBed.start(SERVERS);
  using load = new Load(bed.balancer.port, sources);
  load.rate = perSecond;
  load.clients = KNOWN;
  const { servers, residentMiB: before } = await settled(bed, load);
  const first = servers.slice(0, KNOWN);
  load.clients = sources;
  const startMs = performance.now();
  while (load.sent < sources + 10 * perSecond) await load.run(1_000);
  const seconds = (performance.now() - startMs) / 1000;
  const after = await bed.residentMiB();
  load.clients = KNOWN;
  await load.run(1_000);
  await load.drain(300);
  const moved = first.filter((server, client) => server !== load.servers[client]).length;
  const { balancer: { clients } } = await bed.state();
  console.log(
    `${sources} sources in ${seconds.toFixed(0)} s: ${(after - before).toFixed(1)} MiB of growth ` +
      `(may be ${GROWTH_MIB_MAX}), ${moved} of ${KNOWN} known clients moved, ${load.wrong} wrong answers; ` +
      `${clients["count"]} kept, ${clients["unrecorded"]} choices without a record, ${load.lost} lost`,
  );
  return after - before <= GROWTH_MIB_MAX && moved === 0 && load.wrong === 0;
}
