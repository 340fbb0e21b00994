/**
 * What a relayed answer costs the balancer, and what it costs dnsdist in front of the same node: CPU time of the relaying
 * process alone, in paired rounds (ABBA), saturated and at a rate.
 *
 * `deno task bench front [--seconds N] [--rounds N]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { BalancerProcess } from "../tests/front/balancer_process.ts";
import { freePort } from "../tests/free_port.ts";
import { ServeProcess } from "../tests/serve_process.ts";
import { cpuTime, processTree } from "./dns/account.ts";
import { buildC } from "./programs/c_program.ts";

/** A program that relays, and how to end it. */
interface Relay extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

interface Round {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly lost: number;
}

/** Compares the two. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { seconds: { type: "string", default: "4" }, rounds: { type: "string", default: "2" } },
  });
  const seconds = Number(values.seconds);
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const flood = await buildC("flood", folder);
  const questions = `${folder}/questions`;
  await Deno.writeTextFile(questions, "www.example.org A\n");
  const node = stack.use(await answeringNode(folder));
  const relays = [
    stack.use(await balancer(folder)),
    stack.use(await dnsdist(folder, node.dns.port)),
  ];
  for (const window of [256, 64]) {
    const rounds = relays.map((): Round[] => []);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const i of [0, 1, 1, 0]) {
        rounds[i]!.push(await measure(relays[i]!, { flood, questions, seconds, window }));
      }
    }
    for (const [i, relay] of relays.entries()) {
      const mean = (of: (round: Round) => number) =>
        rounds[i]!.reduce((sum, round) => sum + of(round), 0) / rounds[i]!.length;
      console.log(
        `${window} under way  ${relay.name.padEnd(10)} ${
          mean(({ perSecond }) => perSecond).toFixed(0).padStart(8)
        }/s  ` +
          `${mean(({ cpuUs }) => cpuUs).toFixed(2).padStart(6)} µs of CPU an answer  lost ${
            mean(({ lost }) => lost)
          }`,
      );
    }
    const cost = (i: number) => rounds[i]!.reduce((sum, { cpuUs }) => sum + cpuUs, 0);
    console.log(`${window} under way  ratio ${(cost(0) / cost(1)).toFixed(2)}`);
  }
}

/** A node that answers directly and behind the balancer. */
async function answeringNode(folder: string): Promise<ServeProcess> {
  const settings = `${folder}/node.yaml`;
  await Deno.mkdir(`${folder}/sockets`);
  await Deno.writeTextFile(
    settings,
    `dns: { domain: example.org, backendSocket: ${folder}/sockets/5301, cookies: { enabled: false } }\n` +
      "loadbalancer: { endpoints: [192.0.2.1] }\nworkers: 1\n",
  );
  return await ServeProcess.start({ args: ["-c", settings, "--db", "none"] });
}

async function balancer(folder: string): Promise<Relay> {
  const process = await BalancerProcess.start(`${folder}/sockets`, { args: ["-l", "info"] });
  await process.line("backend is ok");
  return {
    ...{ name: "balancer", port: process.port, pid: process.pid },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

async function dnsdist(folder: string, backend: number): Promise<Relay> {
  const port = freePort();
  const file = `${folder}/dnsdist.conf`;
  await Deno.writeTextFile(
    file,
    `setLocal("127.0.0.1:${port}", {reusePort=false})\nsetACL("127.0.0.0/8")\n` +
      `newServer({address="127.0.0.1:${backend}", healthCheckMode="up"})\nsetUDPMultipleMessagesVectorSize(64)\n`,
  );
  const child = new Deno.Command("dnsdist", {
    args: ["--supervised", "--disable-syslog", "-C", file],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  return {
    ...{ name: "dnsdist", port, pid: child.pid },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

async function measure(
  { port, pid }: Relay,
  { flood, questions, seconds, window }: {
    readonly flood: string;
    readonly questions: string;
    readonly seconds: number;
    readonly window: number;
  },
): Promise<Round> {
  const tree = processTree(pid);
  const before = cpuTime(tree);
  const { stdout } = await new Deno.Command(flood, {
    args: [`${port}`, questions, `${seconds}`, `${window}`, "0"],
  })
    .output();
  const [answers = 0, took = 0, lost = 0] = new TextDecoder().decode(stdout).trim().split(/\s+/).map(Number);
  if (answers === 0) throw new Error("Nothing was answered");
  const cpu = cpuTime(tree).seconds - before.seconds;
  return { perSecond: answers / took, cpuUs: cpu * 1e6 / answers, lost };
}
