/**
 * A balancer has connections of clients that never read, and of clients that never say anything, while others ask over UDP.
 *
 * @module
 */
import { FrontBed, Load } from "./load.ts";

const SERVERS = 2;
const CLIENTS = 100;
const MEASURE_MS = 10_000;
const LATER_MS_MAX = 2;
/** How long descriptors may take to be given back, as they are looked at. */
const LOOKS = 100;

/** Opens so many of either kind. @returns whether UDP was as fast as before, and all descriptors came back */
export async function crowdStreams(
  { each, perSecond }: { readonly each: number; readonly perSecond: number },
): Promise<boolean> {
  await using bed = await FrontBed.start(SERVERS);
  const { port } = bed.balancer;
  using load = new Load(port, CLIENTS);
  load.rate = perSecond;
  await load.run(2_000);
  const descriptors = bed.descriptors();
  load.forgetTimes();
  await load.run(MEASURE_MS);
  const before = load.percentileMs(0.99);
  const crowd = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--no-lock", CROWD, `${port}`, `${each}`],
    ...{ stdin: "null", stdout: "piped", stderr: "inherit" },
  }).spawn();
  const reader = crowd.stdout.getReader();
  await load.until(reader.read());
  load.forgetTimes();
  await load.run(MEASURE_MS);
  const during = load.percentileMs(0.99);
  const { balancer: { tcp } } = await bed.state();
  crowd.kill("SIGKILL"); // a write that isn't taken would keep its descriptor beyond a close
  await Promise.all([crowd.status, reader.cancel()]);
  let left = Infinity;
  for (let look = 0; look < LOOKS && left > descriptors; look++) {
    await load.run(100);
    left = bed.descriptors();
  }
  await load.drain(300);
  console.log(
    `${each} connections that don't read and ${each} that say nothing: p99 over UDP ${
      before.toFixed(2)
    } ms before, ` +
      `${during.toFixed(2)} ms then (may be ${LATER_MS_MAX} ms more); ${tcp["open"]} open, ` +
      `descriptors ${descriptors} before, ${left} after; ${load.lost} datagrams lost`,
  );
  return during <= before + LATER_MS_MAX && left <= descriptors && tcp["open"] === 2 * each &&
    load.lost === 0;
}

/** A process with the connections: of each pair one sends until nothing more is taken, and neither reads. */
const CROWD = `
const [port, each] = Deno.args.map(Number);
const bytes = new Uint8Array(16 * 1024);
const conns = [];
for (let i = 0; i < 2 * each; i++) {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conns.push(conn);
  if (i % 2 === 0) (async () => { for (;;) await conn.write(bytes); })().catch(() => {});
}
console.log("connected");
setTimeout(() => {}, 1e9);
`;
