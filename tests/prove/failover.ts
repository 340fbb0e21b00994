/**
 * Faults and how answers follow them:
 * `deno task prove failover [--rounds N] [--only NAME,NAME] [--slack MS] [--write]`.
 *
 * A real `serve` process watches three sites of three backends, each a process of its own, while a prober asks DNS every
 * 10 ms. One fault after the other befalls them. What is measured is held against what the node itself
 * promises (`pleiades budget`); an answer that names a faulty backend after that time and some slack is one too many.
 * `--write` puts the tables into docs/failover.md.
 *
 * The network that swallows packets needs root and `ip netns`; without them that scenario is left out and says so,
 * and fails under `PLEIADES_TEST_ALL=1`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { deno, ROOT } from "../../scripts/process.ts";
import { program } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";
import { Backend, type Certificates, makeCertificates, PER_SITE, SITES } from "./failover/backends.ts";
import { flap, type Flapping } from "./failover/flapping.ts";
import { type FlappingRow, missesOf, missesOfFlapping, type Row, tables } from "./failover/report.ts";
import { type Scenario, SCENARIOS, type Stage } from "./failover/scenarios.ts";
import { SiteNetworks } from "./failover/site_networks.ts";
import { runTrial, type Terms, type Trial } from "./failover/trial.ts";

/** How a run differs from the full one. */
export interface FailoverOptions {
  /** Names of scenarios, and `flapping`. */
  readonly only: readonly string[];
  /** Times that each is run, but flapping. */
  readonly rounds: number;
  /** Added to what `budget` promises, milliseconds. */
  readonly slackMs: number;
}

/** What came of a run. */
export interface FailoverReport {
  readonly rows: readonly Row[];
  readonly flappings: readonly FlappingRow[];
  /** Every bound that was missed, in words. */
  readonly misses: readonly string[];
  /** Why scenarios were left out. */
  readonly skipped: readonly string[];
}

const TERMS: Omit<Terms, "slackMs"> = { intervalMs: 500, timeoutMs: 300, rise: 2, fall: 2 };
/** For how long the flip guard holds: longer than a fault of less than half may take to show. */
const HOLD_MS = 3_000;
const FLAPPING_RISES = [2, 4] as const;
const EVERYTHING: readonly string[] = [...SCENARIOS.map(({ name }) => name), "flapping"];
const PAGE = `${ROOT}/docs/failover.md`;
const MARKERS = /(<!-- prove failover: begin -->\n)[\s\S]*(<!-- prove failover: end -->)/;

/** Runs the proof; every scenario three times unless told otherwise. */
export async function prove(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "3" },
      only: { type: "string", default: EVERYTHING.join(",") },
      slack: { type: "string", default: "500" },
      write: { type: "boolean", default: false },
    },
  });
  const options = {
    only: values.only.split(","),
    rounds: Number(values.rounds),
    slackMs: Number(values.slack),
  };
  const loadBefore = Deno.loadavg()[0]!;
  const { rows, flappings, misses, skipped } = await failover(options, console.log);
  const { rounds, slackMs } = options;
  const load = [loadBefore, Deno.loadavg()[0]!] as const;
  const text = tables(rows, flappings, { ...TERMS, rounds, slackMs, holdMs: HOLD_MS, load });
  console.log(`\n${text}`);
  for (const line of [...skipped, ...misses]) console.log(line);
  const isWhole = skipped.length === 0 && EVERYTHING.every((name) => options.only.includes(name));
  if (values.write && isWhole) await write(text);
  else if (values.write) console.log("docs/failover.md stays as it is: this run left something out");
  return misses.length === 0 && !(skipped.length > 0 && Deno.env.get("PLEIADES_TEST_ALL") === "1");
}

async function write(text: string): Promise<void> {
  const page = await Deno.readTextFile(PAGE);
  await Deno.writeTextFile(PAGE, page.replace(MARKERS, `$1\n${text}\n$2`));
  await deno(["fmt", PAGE], { quiet: true });
}

/**
 * Runs scenarios one after the other on one node.
 *
 * @param say gets a line after each
 */
export async function failover(
  options: FailoverOptions,
  say: (line: string) => void = () => {},
): Promise<FailoverReport> {
  await using stack = new AsyncDisposableStack();
  // Networks must not outlive the run, whatever ends it; they are on this stack like everything else.
  const onSignal = () => stack.disposeAsync().then(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, onSignal);
    stack.defer(() => Deno.removeSignalListener(signal, onSignal));
  }
  const certificates = await makeCertificates();
  const node = await startNode(certificates, stack);
  const stage = { backends: await startBackends(certificates, { stack, networks: null }), certificates };
  const run = new Run(node, options, say);
  for (const scenario of SCENARIOS.filter(({ name }) => options.only.includes(name))) {
    if (scenario.name === "blackhole") await run.acrossNetworks(scenario, { certificates, stack });
    else await run.scenario(scenario, { ...stage, networks: null });
  }
  if (options.only.includes("flapping")) await run.flapping({ ...stage, networks: null });
  return run;
}

/** Runs scenarios and gathers what came of them. */
class Run implements FailoverReport {
  readonly #node: ServeProcess;
  readonly #options: FailoverOptions;
  readonly #say: (line: string) => void;
  readonly rows: Row[] = [];
  readonly flappings: FlappingRow[] = [];
  readonly skipped: string[] = [];

  constructor(node: ServeProcess, options: FailoverOptions, say: (line: string) => void) {
    this.#node = node;
    this.#options = options;
    this.#say = say;
  }

  get misses(): string[] {
    return [...this.rows.flatMap(missesOf), ...this.flappings.flatMap(missesOfFlapping)];
  }

  async scenario(scenario: Scenario, stage: Stage): Promise<void> {
    const { rounds, slackMs } = this.#options;
    const trials: Trial[] = [];
    while (trials.length < rounds) {
      const trial = await runTrial(this.#node, stage, { scenario, terms: { ...TERMS, slackMs } });
      trials.push(trial);
      const { leaveMs, returnMs, bounds } = trial;
      this.#say(
        `${scenario.name}: left after ${leaveMs.toFixed(0)} of ${bounds.leaveMs} ms, ` +
          `back after ${returnMs.toFixed(0)} of ${bounds.returnMs} ms`,
      );
    }
    this.rows.push({ scenario, slackMs, trials });
  }

  async acrossNetworks(
    scenario: Scenario,
    { certificates, stack }: { readonly certificates: Certificates; readonly stack: AsyncDisposableStack },
  ): Promise<void> {
    const networks = await SiteNetworks.lay().catch((error: Error) => error);
    if (networks instanceof Error) {
      this.skipped.push(`${scenario.name}: left out, as networks can't be laid here: ${networks.message}`);
      return;
    }
    stack.use(networks);
    const backends = await startBackends(certificates, { stack, networks });
    await this.scenario(scenario, { backends, certificates, networks });
  }

  async flapping(stage: Stage): Promise<void> {
    const { slackMs } = this.#options;
    for (const rise of FLAPPING_RISES) {
      const flapping: Flapping = { terms: { ...TERMS, rise, slackMs }, phaseMs: 1_000, times: 10 };
      const trial = await flap(this.#node, stage, flapping);
      this.flappings.push({ flapping, trial });
      this.#say(`flapping, rise ${rise}: ${trial.flips} flips of ${trial.flipsMax}`);
    }
  }
}

async function startNode({ authority }: Certificates, stack: AsyncDisposableStack): Promise<ServeProcess> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-failover-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.writeTextFile(`${folder}/authority.pem`, authority);
  await Deno.writeTextFile(`${folder}/config.yaml`, `health: { flipGuard: { hold: ${HOLD_MS}ms } }\n`);
  return stack.use(
    await ServeProcess.start({
      args: ["-c", `${folder}/config.yaml`, "--db", `${folder}/failover.db`],
      env: { DENO_CERT: `${folder}/authority.pem` },
      executable: program("pleiades"),
    }),
  );
}

/** Those of all sites, behind their networks or on loopback addresses. */
async function startBackends(
  { good: identity }: Certificates,
  { stack, networks }: { readonly stack: AsyncDisposableStack; readonly networks: SiteNetworks | null },
): Promise<Backend[]> {
  const places = SITES.flatMap((_, site) =>
    Array.from({ length: PER_SITE }, (_, number) => ({ site, number }))
  );
  return await Promise.all(places.map(async ({ site, number }) => {
    const address = networks?.address(site, number) ?? `127.1.${site + 1}.${number + 1}`;
    const namespace = networks?.namespace(site) ?? null;
    return stack.use(await Backend.start({ address, site, identity, namespace }));
  }));
}
