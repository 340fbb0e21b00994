/**
 * Faults and how answers follow them: `deno task prove failover [--rounds N] [--only NAME,NAME] [--slack MS] [--write]`.
 *
 * A real `serve` process watches three sites of three backends, each a process of its own, while a prober asks DNS every
 * 10 ms. One fault after the other befalls them. What is measured is held against what the node itself
 * promises (`pleiades budget`); an answer that names a faulty backend after that time and some slack is one too many.
 *
 * @module
 */
import { program } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";
import { Backend, type Certificates, makeCertificates, PER_SITE, SITES } from "./failover/backends.ts";
import { type Scenario, SCENARIOS, type Stage } from "./failover/scenarios.ts";
import { runTrial, type Terms, type Trial } from "./failover/trial.ts";

/** How a run differs from the full one. */
export interface FailoverOptions {
  /** Names of scenarios. */
  readonly only: readonly string[];
  /** Times that each is run. */
  readonly rounds: number;
  readonly terms: Terms;
  /** How long the flip guard holds, milliseconds. */
  readonly holdMs: number;
}

/** All trials of one scenario. */
export interface Row {
  readonly scenario: Scenario;
  readonly trials: readonly Trial[];
}

const TERMS: Terms = { intervalMs: 500, timeoutMs: 300, rise: 2, fall: 2, slackMs: 500 };

/** Runs every scenario, some rounds each. */
export async function failover(options: FailoverOptions): Promise<Row[]> {
  const scenarios = SCENARIOS.filter(({ name }) => options.only.includes(name));
  const rows: Row[] = [];
  await using stack = new AsyncDisposableStack();
  const certificates = await makeCertificates();
  const node = stack.use(await startNode(certificates, { stack, options }));
  const backends = await startBackends(certificates, stack);
  const stage = { backends, certificates, networks: null };
  for (const scenario of scenarios) {
    rows.push({ scenario, trials: await rounds(node, stage, { scenario, options }) });
  }
  return rows;
}

async function rounds(
  node: ServeProcess,
  stage: Stage,
  { scenario, options: { rounds, terms } }: {
    readonly scenario: Scenario;
    readonly options: FailoverOptions;
  },
): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (let round = 0; round < rounds; round++) {
    trials.push(await runTrial(node, stage, { scenario, terms }));
    console.log(scenario.name, JSON.stringify(trials.at(-1)));
  }
  return trials;
}

async function startNode(
  { authority }: Certificates,
  { stack, options: { holdMs } }: {
    readonly stack: AsyncDisposableStack;
    readonly options: FailoverOptions;
  },
): Promise<ServeProcess> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-failover-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.writeTextFile(`${folder}/authority.pem`, authority);
  await Deno.writeTextFile(`${folder}/config.yaml`, `health: { flipGuard: { hold: ${holdMs}ms } }\n`);
  return await ServeProcess.start({
    args: ["-c", `${folder}/config.yaml`, "--db", `${folder}/failover.db`],
    env: { DENO_CERT: `${folder}/authority.pem` },
    executable: program("pleiades"),
  });
}

/** Those of all sites on loopback addresses, a network per site. */
async function startBackends({ good }: Certificates, stack: AsyncDisposableStack): Promise<Backend[]> {
  const places = SITES.flatMap((_, site) =>
    Array.from({ length: PER_SITE }, (_, i) => ({ site, number: i }))
  );
  return await Promise.all(places.map(async ({ site, number }) =>
    stack.use(
      await Backend.start({
        address: `127.1.${site + 1}.${number + 1}`,
        site,
        identity: good,
        namespace: null,
      }),
    )
  ));
}

/** Runs the proof. */
export async function prove(): Promise<boolean> {
  const rows = await failover({
    only: ["kill"],
    rounds: 1,
    terms: TERMS,
    holdMs: 3_000,
  });
  return rows.length > 0;
}
