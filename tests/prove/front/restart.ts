/**
 * Nodes behind a balancer are restarted one after the other, and no query is lost.
 *
 * @module
 */
import { systemClock } from "../../../src/clock.ts";
import { Balancer } from "../../../src/front/balancer.ts";
import type { FrontEvent } from "../../../src/front/front_log.ts";
import { DnsLoad, type LoadReport } from "../../dns_load.ts";
import { Loopback } from "../../dns/loopback.ts";

const WORLD = { pools: [{ name: "web", members: ["192.0.2.1"] }], services: { "www.example.com": "web" } };

/**
 * Restarts two nodes in turn, so many times each, while one client asks; what its load says, and what each node hadn't
 * answered when it was gone.
 *
 * @param seconds how long is asked at most
 */
export async function restartInTurn(
  { perSecond, seconds, rounds }: {
    readonly perSecond: number;
    readonly seconds: number;
    readonly rounds: number;
  },
): Promise<{ readonly report: LoadReport; readonly unanswered: readonly unknown[] }> {
  const directory = await Deno.makeTempDir();
  const events: FrontEvent[] = [];
  let told = () => {};
  const heard = async (message: string, count: number) => {
    while (events.filter((event) => event.message === message).length < count) {
      await new Promise<void>((resolve) => told = resolve);
    }
  };
  const start = (id: number) => Loopback.start(WORLD, { backendSocket: `${directory}/${id}` });
  const nodes = new Map<number, Loopback>();
  try {
    for (const id of [5301, 5302]) nodes.set(id, await start(id));
    await using balancer = await Balancer.start({
      ...{ address: { hostname: "127.0.0.1", port: 0 }, directory, level: "debug", clock: systemClock },
      take: (event) => {
        events.push(event);
        told();
      },
    });
    await heard("backend announces extensions", 2);
    await using load = await DnsLoad.start({
      server: balancer.address,
      questions: ["www.example.com A"],
      ...{ perSecond, seconds },
    });
    // The one client has the first node; when that goes, it has the second, until that goes, too.
    for (let restarts = 0; restarts < 2 * rounds; restarts++) {
      const id = restarts % 2 === 0 ? 5301 : 5302;
      await nodes.get(id)![Symbol.asyncDispose]();
      nodes.delete(id);
      await heard("backend is gone", restarts + 1);
      nodes.set(id, await start(id));
      await heard("backend announces extensions", restarts + 3);
    }
    const report = await load.stop();
    const gone = events.filter(({ message }) => message === "backend is gone");
    return { report, unanswered: gone.map(({ fields }) => fields["lost"]) };
  } finally {
    for (const node of nodes.values()) await node[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  }
}
