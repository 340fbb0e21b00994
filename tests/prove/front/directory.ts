/**
 * The directory of the servers' sockets is removed under a balancer, and made again.
 *
 * @module
 */
import { FrontBed, Load } from "./load.ts";

const CLIENTS = 100;

/** Removes it with all that is in it. @returns whether the balancer found the new one, and told of itself in it */
export async function remakeDirectory({ perSecond }: { readonly perSecond: number }): Promise<boolean> {
  await using bed = await FrontBed.start(2);
  using load = new Load(bed.balancer.port, CLIENTS);
  load.rate = perSecond;
  await load.run(1_000);
  // Sessions outlive the files of their sockets.
  await bed.removeDirectory();
  await load.until(bed.balancer.line("the directory can't be read"));
  await load.run(1_000);
  await load.drain(300);
  const { lost } = load;
  for (const id of bed.ids) await bed.kill(id);
  await bed.makeDirectory();
  bed.startServer(5301);
  await load.until(bed.balancer.line("backend is ok", 3));
  await load.until(bed.balancer.line("the directory can be read again"));
  await load.drain(300);
  const before = load.lost;
  await load.run(1_000);
  await load.drain(300);
  const { backends } = await bed.state();
  const words = backends.map(({ id, ok }) => `${id} ${ok ? "is ok" : "is gone"}`).join(", ");
  console.log(
    `the directory removed and made again: ${lost} lost while it was gone, ${
      load.lost - before
    } afterwards; ${words}`,
  );
  return lost === 0 && load.lost === before && words === "5301 is ok, 5302 is gone";
}
