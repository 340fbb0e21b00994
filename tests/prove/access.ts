/**
 * Wrong tokens are slow for who sends them: `deno task prove access [TOKENS [ROUNDS]]`.
 *
 * 100,000 wrong tokens come from one address, on 50 connections, in rounds; behind each there is as much calm, up to ten
 * seconds. All the while a client at another address makes right requests at a steady pace. Its p99 under attack may be
 * 1.2 × that of the calm at most, all its requests are answered, and so is one with a right token from the attacker's own
 * address. The attacker gives way to the others (`nice`): it is the node that is judged, not a machine with few cores.
 *
 * @module
 */
import { ServeProcess } from "../serve_process.ts";

/** How a run differs from the full one. */
export interface AccessOptions {
  /** Wrong tokens in all. */
  readonly tokens: number;
  /** Times of calm and of attack. */
  readonly rounds: number;
  readonly onProgress: (line: string) => void;
}

/** What came of it. */
export interface AccessReport {
  /** Of right requests, milliseconds. */
  readonly calm: Quantiles;
  readonly attacked: Quantiles;
  /** Statuses of all wrong tokens. */
  readonly refused: Readonly<Record<string, number>>;
  /** Status of a right token from the attacker's address, in the middle of the attack. */
  readonly ownerStatus: number;
  /** Right requests that were answered otherwise than with 200. */
  readonly lost: number;
  /** CPU time of the node for a wrong token, milliseconds. */
  readonly cpuMs: number;
}

/** Of a list of durations. */
export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

/** Largest p99 under attack, by that of the calm. */
const RATIO_MAX = 1.2;
/** Between two right requests. */
const PACE_MS = 4;
/** Longest calm of a round. */
const CALM_MAX_MS = 10_000;
const SETTINGS_TOKEN = "right-right-right-right-right-right-right";

/** Runs the proof. */
export async function prove([tokens = "100000", rounds = "10"]: string[]): Promise<boolean> {
  const { calm, attacked, refused, ownerStatus, lost, cpuMs } = await attackTokens({
    tokens: Number(tokens),
    rounds: Number(rounds),
    onProgress: (line) => console.log(line),
  });
  const ratio = attacked.p99 / calm.p99;
  for (const [what, { count, p50, p99 }] of [["calm", calm], ["under attack", attacked]] as const) {
    console.log(
      `${what.padEnd(14)} ${count} right requests, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
    );
  }
  console.log(`p99            ${ratio.toFixed(2)} × (at most ${RATIO_MAX})`);
  console.log(
    `wrong tokens   ${JSON.stringify(refused)}, each ${cpuMs.toFixed(3)} ms of the node's CPU time`,
  );
  console.log(`right token from the attacker's address: ${ownerStatus}; right requests lost: ${lost}`);
  return ratio <= RATIO_MAX && ownerStatus === 200 && lost === 0;
}

/** Makes the attack on a process of its own. */
export async function attackTokens({ tokens, rounds, onProgress }: AccessOptions): Promise<AccessReport> {
  const folder = await Deno.makeTempDir();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.writeTextFile(
    `${folder}/pleiades.yaml`,
    `api:\n  listenAddr: "::"\n  tokens: [${SETTINGS_TOKEN}]\n`,
  );
  const node = cleanup.use(
    await ServeProcess.start({
      args: ["-c", `${folder}/pleiades.yaml`, "--db", ":memory:", "--api", "[::]:0"],
    }),
  );
  const { port } = new URL(node.api);
  // Whoever comes by IPv6 is at another address than whoever comes by IPv4.
  const client = new Steady(`http://[::1]:${port}/api/v1/pools`);
  const calm: number[] = [];
  const attacked: number[] = [];
  const refused: Record<string, number> = {};
  let ownerStatus = 0;
  let cpuMs = 0;
  for (let round = 0; round < rounds; round++) {
    const begunMs = performance.now();
    const atFirstMs = cpuOf(node.pid);
    const attack = wrongTokens(port, Math.round(tokens / rounds));
    const owner = statusOf(`http://127.0.0.1:${port}/api/v1/pools`);
    attacked.push(...await client.until(attack));
    for (const [status, count] of Object.entries(await attack)) {
      refused[status] = (refused[status] ?? 0) + count;
    }
    ownerStatus = await owner;
    const tookMs = performance.now() - begunMs;
    const behindMs = cpuOf(node.pid);
    const calmMs = Math.min(tookMs, CALM_MAX_MS);
    calm.push(...await client.until(new Promise((resolve) => setTimeout(resolve, calmMs))));
    cpuMs += behindMs - atFirstMs - (cpuOf(node.pid) - behindMs) * tookMs / calmMs;
    const seconds = [tookMs, calmMs].map((ms) => (ms / 1000).toFixed(1));
    onProgress(`round ${round + 1} of ${rounds}: ${seconds[0]} s of attack, ${seconds[1]} s of calm`);
  }
  const wrong = Object.values(refused).reduce((sum, count) => sum + count, 0);
  return {
    ...{ calm: quantiles(calm), attacked: quantiles(attacked), refused, ownerStatus, lost: client.lost },
    cpuMs: cpuMs / wrong,
  };
}

/** A client that asks at a steady pace. */
class Steady {
  lost = 0;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** Durations of all requests until then, milliseconds. */
  async until(end: Promise<unknown>): Promise<number[]> {
    const times: number[] = [];
    let isOver = false;
    end.finally(() => isOver = true);
    while (!isOver) {
      const startMs = performance.now();
      const response = await fetch(this.#url, { headers: { authorization: `Bearer ${SETTINGS_TOKEN}` } });
      await response.text();
      times.push(performance.now() - startMs);
      if (response.status !== 200) this.lost++;
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, PACE_MS - (performance.now() - startMs)))
      );
    }
    return times;
  }
}

/** Sends wrong tokens from 127.0.0.1; gives how often each status came. */
async function wrongTokens(port: string, count: number): Promise<Record<string, number>> {
  const { stdout } = await new Deno.Command("nice", {
    args: [
      ...["-n", "19", Deno.execPath()],
      "run",
      "-A",
      new URL("access/attacker.ts", import.meta.url).pathname,
      "127.0.0.1",
      port,
      `${count}`,
      "50",
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** CPU time of a process so far, milliseconds (proc(5)). */
function cpuOf(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

const MS_PER_TICK = 10;

async function statusOf(url: string): Promise<number> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${SETTINGS_TOKEN}` } });
  await response.body?.cancel();
  return response.status;
}

function quantiles(times: readonly number[]): Quantiles {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}
