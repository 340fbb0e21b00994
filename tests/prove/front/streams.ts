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
  const crowd = new Crowd(port, each);
  await load.until(crowd.ready);
  load.forgetTimes();
  await load.run(MEASURE_MS);
  const during = load.percentileMs(0.99);
  const { balancer: { tcp } } = await bed.state();
  await crowd.end();
  const left = await descriptorsAfter(bed, load, descriptors);
  await load.drain(300);
  const { balancer: { tcp: after } } = await bed.state();
  console.log(
    `${each} connections that don't read and ${each} that say nothing: p99 over UDP ${
      before.toFixed(2)
    } ms before, ` +
      `${during.toFixed(2)} ms then (may be ${LATER_MS_MAX} ms more); ${tcp["open"]} open, ` +
      `descriptors ${descriptors} before, ${left} after (${after["open"]} open); ${load.lost} datagrams lost`,
  );
  return during <= before + LATER_MS_MAX && left <= descriptors && tcp["open"] === 2 * each &&
    load.lost === 0;
}

/**
 * Opens connections until the balancer has no descriptor left. @returns whether UDP went on, and a connection was served
 * when there were descriptors again
 */
export async function exhaustDescriptors({ perSecond }: { readonly perSecond: number }): Promise<boolean> {
  await using bed = await FrontBed.start(SERVERS);
  const { port, pid } = bed.balancer;
  using load = new Load(port, CLIENTS);
  load.rate = perSecond;
  await load.run(2_000);
  const descriptors = bed.descriptors();
  const most = descriptors + SPARE_DESCRIPTORS;
  await new Deno.Command("prlimit", { args: ["--pid", `${pid}`, `--nofile=${most}:${most}`] }).output();
  const crowd = new Crowd(port, SPARE_DESCRIPTORS);
  await load.until(crowd.ready);
  await load.run(3_000);
  const held = bed.descriptors();
  await crowd.end();
  await load.run(1_000); // those that waited to be accepted are, and end
  const left = await descriptorsAfter(bed, load, descriptors);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const read = conn.read(new Uint8Array(1));
  await load.until(conn.write(new Uint8Array(1)));
  await load.until(read);
  await load.drain(300);
  const { backends } = await bed.state();
  const faults = backends.reduce((sum, backend) => sum + backend["faults"]!, 0);
  console.log(
    `no descriptors left: ${held} of ${most} held, ${left} after (${descriptors} before), then ${await read} byte ` +
      `over TCP; ${load.lost} datagrams lost, ${faults} faults of servers`,
  );
  return held >= most - 2 && left <= descriptors && await read === 1 && load.lost === 0 && faults === 0;
}

/** Descriptors that a balancer has beyond those it needs. */
const SPARE_DESCRIPTORS = 40;

/** What is open when connections have ended, or after ten seconds. */
async function descriptorsAfter(bed: FrontBed, load: Load, wanted: number): Promise<number> {
  for (let look = 0; look < LOOKS && bed.descriptors() > wanted; look++) await load.run(100);
  return bed.descriptors();
}

/** A process with connections: of each pair one sends until nothing more is taken, and neither reads. */
class Crowd {
  /** Resolves when all are connected. */
  readonly ready: Promise<unknown>;
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<Uint8Array>;

  constructor(port: number, pairs: number) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--no-lock", CROWD, `${port}`, `${pairs}`],
      ...{ stdin: "null", stdout: "piped", stderr: "inherit" },
    }).spawn();
    this.#stdout = this.#child.stdout.getReader();
    this.ready = this.#stdout.read();
  }

  /** Ends it: a write that isn't taken would keep its descriptor beyond a close. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await Promise.all([this.#child.status, this.#stdout.cancel()]);
  }
}

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
