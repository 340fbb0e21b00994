/**
 * How long a start takes: from spawning `pleiades serve` with 1,000 services in its database to its first answer over
 * UDP. The bar is 300 ms for the executable.
 *
 * A query goes out every 2 ms until one is answered, so the figure is what a resolver sees. Beside it stands the floor of
 * the machine, `pleiades version`: the runtime comes up, loads the program, and ends.
 *
 * `deno task bench start [RUNS]`; the executable is `PLEIADES_EXECUTABLE`, else `dist/pleiades` if it is there.
 *
 * @module
 */
import { encodeQuery } from "../src/wire/message.ts";
import { TYPE } from "../src/wire/record_type.ts";
import { ROOT } from "../scripts/process.ts";
import { freePort } from "../tests/free_port.ts";

/** Run when no name is given. */
export const quick = true;

const SERVICES = 1_000;
const BAR_MS = 300;
const ASK_EVERY_MS = 2;
/** A start that takes longer has failed. */
const START_MAX_MS = 20_000;

/** Measures the executable, if there is one, and the sources; the first argument is the number of starts. */
export async function bench(args: readonly string[]): Promise<void> {
  const runs = Number(args[0] ?? 10);
  const folder = await Deno.makeTempDir();
  try {
    const programs = await programsHere();
    await fill(programs[0]!, folder);
    console.log(`${SERVICES} services, ${runs} starts each; milliseconds to the first answer:`);
    for (const program of programs) await compare(program, { folder, runs });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Program {
  readonly name: string;
  readonly command: readonly string[];
  /** Milliseconds that the median may be; `null` = any. */
  readonly barMs: number | null;
}

async function programsHere(): Promise<Program[]> {
  const sources = [Deno.execPath(), "run", "-A", "--unstable-net", `${ROOT}/main.ts`];
  const executable = Deno.env.get("PLEIADES_EXECUTABLE") || `${ROOT}/dist/pleiades`;
  const isThere = await Deno.stat(executable).then(() => true, () => false);
  return [
    ...(isThere ? [{ name: "executable", command: [executable], barMs: BAR_MS }] : []),
    { name: "sources", command: sources, barMs: null },
  ];
}

async function compare(program: Program, place: { folder: string; runs: number }): Promise<void> {
  const { folder, runs } = place;
  const floor = await repeat(runs, () => version(program));
  const first = await repeat(runs, () => firstAnswer(program, folder));
  const median = medianOf(first);
  const verdict = program.barMs === null ? "" : median <= program.barMs ? " ok" : ` ABOVE ${program.barMs}`;
  const name = program.name.padEnd(10);
  console.log(
    `${name} median ${show(median)}, ${show(Math.min(...first))}–${show(Math.max(...first))}${verdict}`,
  );
  console.log(`${name} version alone: median ${show(medianOf(floor))}`);
}

/** Puts the services into the folder's database. */
async function fill(program: Program, folder: string): Promise<void> {
  const [dns, api] = [freePort(), freePort()];
  const node = serve(program, { folder, dns, api });
  try {
    await untilAnswered(dns);
    const members = [{ ipAddress: "192.0.2.1", port: 443 }, { ipAddress: "192.0.2.2", port: 443 }];
    const services = Array.from({ length: SERVICES }, (_, i) => ({ domain: domainOf(i), pool: "web" }));
    const response = await fetchUntilUp(`http://127.0.0.1:${api}/api/v1/apply`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pools: [{ name: "web", members }], services }),
    });
    if (!response.ok) throw new Error(`Cannot fill the database: ${await response.text()}`);
    await response.body?.cancel();
  } finally {
    await stop(node);
  }
}

async function firstAnswer(program: Program, folder: string): Promise<number> {
  const dns = freePort();
  const startMs = performance.now();
  const node = serve(program, { folder, dns, api: 0 });
  try {
    const answer = await untilAnswered(dns);
    const elapsedMs = performance.now() - startMs;
    const answers = answer[6]! << 8 | answer[7]!;
    if (answers !== 1) throw new Error(`The first answer has ${answers} records instead of one`);
    return elapsedMs;
  } finally {
    await stop(node);
  }
}

async function version({ command: [program, ...args] }: Program): Promise<number> {
  const startMs = performance.now();
  const { success } = await new Deno.Command(program!, { args: [...args, "version"], stdout: "null" })
    .output();
  if (!success) throw new Error("pleiades version failed");
  return performance.now() - startMs;
}

function serve(
  { command: [program, ...args] }: Program,
  { folder, dns, api }: { readonly folder: string; readonly dns: number; readonly api: number },
): Deno.ChildProcess {
  const flags = ["--db", `${folder}/start.db`, "--dns", `127.0.0.1:${dns}`, "--api", `127.0.0.1:${api}`];
  return new Deno.Command(program!, {
    args: [...args, "serve", ...flags],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

async function stop(node: Deno.ChildProcess): Promise<void> {
  node.kill("SIGTERM");
  await node.status;
}

/** Asks until there is an answer. */
async function untilAnswered(port: number): Promise<Uint8Array> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const query = encodeQuery({ id: 1, name: domainOf(SERVICES - 1), type: TYPE.A });
  const ask = () => socket.send(query, { transport: "udp", hostname: "127.0.0.1", port }).catch(() => {});
  const asking = setInterval(ask, ASK_EVERY_MS);
  const deadline = setTimeout(() => socket.close(), START_MAX_MS);
  try {
    const [answer] = await socket.receive();
    return answer;
  } catch (cause) {
    throw new Error(`No answer within ${START_MAX_MS} ms`, { cause });
  } finally {
    clearInterval(asking);
    clearTimeout(deadline);
    try {
      socket.close();
    } catch {
      // The deadline has closed it.
    }
  }
}

/** DNS is up before the API. */
async function fetchUntilUp(url: string, init: RequestInit): Promise<Response> {
  for (const untilMs = performance.now() + START_MAX_MS;;) {
    try {
      return await fetch(url, init);
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function repeat(runs: number, measure: () => Promise<number>): Promise<number[]> {
  const figures: number[] = [];
  for (let i = 0; i < runs; i++) figures.push(await measure());
  return figures;
}

function medianOf(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.floor(sorted.length / 2)]!) / 2;
}

function show(ms: number): string {
  return ms.toFixed(0);
}

function domainOf(i: number): string {
  return `s${i}.example.org`;
}
