/**
 * A node as it is shipped, with 10,000 names for the nearest of five sites: processor time of its threads for an answer, at so many
 * questions a second, each from another /24, right after the first answer, later, and when a site was forced down in all pools.
 *
 * @module
 */
import { encodeQuery } from "../../src/wire/message.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { freePort } from "../../tests/free_port.ts";
import { questionLine, questions, type Workload, WORKLOADS } from "../dns/workloads.ts";
import { OURS } from "../peers/pleiades.ts";
import { buildC } from "../programs/c_program.ts";
import { SITES } from "../dns/geo_database.ts";
import { type CpuShares, cpuSharesOf } from "./cpu.ts";

/** A second of questions. */
export interface NodeSecond {
  readonly name: string;
  /** Processor time of an answer, nanoseconds. */
  readonly perAnswer: CpuShares;
}

/** What a node took. */
export interface NodeTaken {
  /** In their order. */
  readonly seconds: readonly NodeSecond[];
  /** From the request that forces a site down in all pools to the reply, milliseconds. */
  readonly forceDownMs: number;
}

/** Seconds' worth of different questions; all but the first are asked as fast as can be before clients count as known. */
const SECONDS = 12;
/** How long that takes at most, seconds. */
const KNOWN_SECONDS = 4;
/** After which time all that a start leaves for later is done, milliseconds. */
const SETTLED_MS = 2_000;
const ASK_EVERY_MS = 2;
const UNDER_WAY = 2048;

/** Where everything is that the seconds need. */
interface Bed {
  readonly folder: string;
  readonly flood: string;
  readonly answers: number;
  readonly workload: Workload;
}

/** Starts the executable twice, and asks it at once and after a while; `null` = there is no executable. */
export async function nodeTaken(answers: number): Promise<NodeTaken | null> {
  const { program } = OURS.find(({ name }) => name === "pleiades-executable")!;
  if (!await Deno.stat(program).then(() => true, () => false)) return null;
  const folder = await Deno.makeTempDir();
  try {
    const workload = WORKLOADS.find(({ id }) => id === "c")!;
    const bed = { folder, answers, workload, flood: await buildC("flood", folder) };
    await writeQuestions(bed);
    const { seconds, forceDownMs } = await askNode(bed, 0);
    const { seconds: [settled] } = await askNode(bed, SETTLED_MS);
    const name = `first second, ${SETTLED_MS / 1000} s after a start`;
    return { seconds: [...seconds, { ...settled!, name }], forceDownMs };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A file of questions for each second, and one of all but the first. */
async function writeQuestions({ folder, answers, workload }: Bed): Promise<void> {
  const lines = questions(workload).slice(0, SECONDS * answers).map(questionLine);
  for (let second = 0; second < SECONDS; second++) {
    const own = lines.slice(second * answers, (second + 1) * answers);
    await Deno.writeTextFile(`${folder}/second-${second}`, own.join(""));
  }
  await Deno.writeTextFile(`${folder}/all`, lines.slice(answers).join(""));
}

async function askNode(bed: Bed, settleMs: number): Promise<NodeTaken> {
  const { folder: above, workload, answers } = bed;
  const peer = OURS.find(({ name }) => name === "pleiades-executable")!;
  const folder = await Deno.makeTempDir({ dir: above });
  const port = freePort();
  const place = { program: peer.program, folder, port, workload, zoneFile: `${above}/zone` };
  const [program, ...prepared] = await peer.prepare(place);
  const api = `127.0.0.1:${freePort()}`;
  const args = [...prepared, "--api", api];
  const stdio = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const node = new Deno.Command(program, { args, cwd: folder, ...stdio }).spawn();
  try {
    await untilAnswered(port, questions(workload)[0]!.name);
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const second = async (name: string, file: string): Promise<NodeSecond> => {
      const before = cpuSharesOf(node.pid);
      const answered = await ask(bed, { port, file, seconds: 1, perSecond: answers });
      return { name, perAnswer: perAnswer(before, cpuSharesOf(node.pid), answered) };
    };
    const cold = [
      await second("first second after a start", "second-0"),
      await second("second second", "second-1"),
      await second("third second", "second-2"),
    ];
    if (settleMs > 0) return { seconds: cold, forceDownMs: 0 };
    await ask(bed, { port, file: "all", seconds: KNOWN_SECONDS, perSecond: null });
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    const known = await second("later, clients known", "second-1");
    const beforeMs = performance.now();
    await forceDown(api, SITES[0]!.name);
    const forceDownMs = performance.now() - beforeMs;
    const fallen = await second("first second without a site", "second-1");
    const fallenSecond = await second("second second without it", "second-2");
    return { seconds: [...cold, known, fallen, fallenSecond], forceDownMs };
  } finally {
    node.kill("SIGTERM");
    await node.status;
  }
}

function perAnswer(before: CpuShares, after: CpuShares, answers: number): CpuShares {
  return {
    main: (after.main - before.main) / answers,
    v8: (after.v8 - before.v8) / answers,
    others: (after.others - before.others) / answers,
  };
}

/** @returns how many answers there were */
async function ask(
  { folder, flood }: Bed,
  { port, file, seconds, perSecond }: {
    readonly port: number;
    readonly file: string;
    readonly seconds: number;
    /** `null` = as fast as answers come. */
    readonly perSecond: number | null;
  },
): Promise<number> {
  const args = [
    port,
    `${folder}/${file}`,
    seconds,
    UNDER_WAY,
    1,
    1,
    ...perSecond === null ? [] : [perSecond],
  ];
  const { stdout } = await new Deno.Command(flood, { args: args.map(String) }).output();
  return Number(new TextDecoder().decode(stdout).split(" ")[0]);
}

async function untilAnswered(port: number, name: string): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const query = encodeQuery({ id: 1, name, type: TYPE.A });
  const send = () => socket.send(query, { transport: "udp", hostname: "127.0.0.1", port }).catch(() => {});
  const asking = setInterval(send, ASK_EVERY_MS);
  try {
    await socket.receive();
  } finally {
    clearInterval(asking);
    socket.close();
  }
}

/** As an operator takes a site out of all pools; resolves when workers answer so. */
async function forceDown(api: string, region: string): Promise<void> {
  const override = {
    target: `region:${region}`,
    state: "down",
    reason: "its uplink is cut",
    owner: "bench",
    for: "1h",
  };
  const response = await fetch(`http://${api}/api/v1/overrides`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(override),
  });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`${api} says ${response.status}: ${text}`);
}
