/**
 * `deno task prove differential [--seed N] [--worlds N] [--per-zone N] [--minutes N] [--show KIND]`: random zones, served by a real
 * `serve`, Knot and NSD at once; the same questions to all three, by UDP and TCP.
 *
 * Where Knot and NSD agree and ours differs, it is presumed to be wrong, unless it differs by a choice that is
 * documented (`ALLOWED`). Where the two differ, either is right. What is presumed wrong is printed with all three
 * answers, and with the seed and the number of the world that bring it back.
 *
 * Knot 3.2 never answers again after some questions about wildcards that are CNAMEs; then it is started anew, and left
 * out for that zone.
 *
 * @module
 */
import { seededRng } from "../../src/clock.ts";
import { formatMessage } from "../../src/wire/message.ts";
import { program } from "../programs.ts";
import { ALLOWED, compare, type Finding } from "./differential/compare.ts";
import { type Reply, Servers, type Who } from "./differential/servers.ts";
import {
  type RandomQuestion,
  randomQuestions,
  type RandomWorld,
  randomWorld,
  type RandomZone,
  zoneText,
} from "./differential/zones.ts";

/** What a run is given. */
export interface DifferentialOptions {
  readonly seed: number;
  readonly worlds: number;
  readonly perZone: number;
  /** Findings that are shown whole, by the beginning of `verdict: field: reason`. */
  readonly show: string;
  /** Told of what is presumed wrong, and now and then of how far it is. */
  readonly onLine: (line: string) => void;
  /** Ends the run after the world at hand. */
  readonly signal: AbortSignal;
}

/** What came of it. */
export interface DifferentialReport {
  worlds: number;
  zones: number;
  records: number;
  udp: number;
  tcp: number;
  /** Times that Knot had to be started anew. */
  hangs: number;
  /** Findings by `verdict: field: reason`. */
  readonly findings: Map<string, number>;
}

const WORLDS = 10;
const PER_ZONE = 300;
/** Questions under way at once. */
const LANES = 16;
/** To one question by TCP come so many by UDP. */
const TCP_SHARE = 6;
/** So many findings of a kind are shown whole. */
const SHOWN_MAX = 3;
/** The seeds of two worlds of a run lie so far apart, and those of two runs so far times this. */
const SEED_STEP = 100_000;

/** Runs the proof. */
export async function prove(args: string[]): Promise<boolean> {
  const missing = ["knotd", "nsd"].filter((name) => program(name) === null);
  if (missing.length > 0) {
    console.log(`missing: ${missing.join(", ")} (Debian packages knot and nsd)`);
    return false;
  }
  const number = (flag: string, otherwise: number) => {
    const at = args.indexOf(flag);
    return at < 0 ? otherwise : Number(args[at + 1]);
  };
  const seed = number("--seed", 1);
  const minutes = number("--minutes", 0);
  const report = await differ({
    seed,
    worlds: number("--worlds", minutes > 0 ? SEED_STEP : WORLDS),
    perZone: number("--per-zone", PER_ZONE),
    show: args.includes("--show") ? args[args.indexOf("--show") + 1]! : "bug",
    onLine: (line) => console.log(line),
    signal: minutes > 0 ? AbortSignal.timeout(minutes * 60_000) : new AbortController().signal,
  });
  const { worlds, zones, records, udp, tcp, hangs } = report;
  console.log(
    `seed ${seed}: ${worlds} worlds, ${zones} zones, ${records} records; ${udp} questions by UDP, ${tcp} by TCP`,
  );
  console.log(`Knot was started anew ${hangs} times`);
  for (const [kind, count] of [...report.findings].sort()) {
    console.log(`${String(count).padStart(8)}  ${kind}`);
  }
  for (const [reason, why] of Object.entries(ALLOWED)) console.log(`allowed, ${reason}: ${why}`);
  return presumedBugs(report) === 0;
}

/** How many findings are presumed to be bugs. */
export function presumedBugs({ findings }: DifferentialReport): number {
  return [...findings].reduce((sum, [kind, count]) => sum + (kind.startsWith("bug") ? count : 0), 0);
}

/** Compares over so many worlds. */
export async function differ(options: DifferentialOptions): Promise<DifferentialReport> {
  const report: DifferentialReport = {
    worlds: 0,
    zones: 0,
    records: 0,
    udp: 0,
    tcp: 0,
    hangs: 0,
    findings: new Map(),
  };
  for (let number = 0; number < options.worlds && !options.signal.aborted; number++) {
    await new WorldRun(options, report, number).run();
    report.worlds++;
  }
  return report;
}

class WorldRun {
  readonly #options: DifferentialOptions;
  readonly #report: DifferentialReport;
  readonly #number: number;
  readonly #rng;
  #world: RandomWorld;
  #servers!: Servers;
  /** Whether Knot hangs on the zone at hand. */
  #knotHangs = false;

  constructor(options: DifferentialOptions, report: DifferentialReport, number: number) {
    this.#options = options;
    this.#report = report;
    this.#number = number;
    this.#rng = seededRng(options.seed * SEED_STEP + number);
    this.#world = randomWorld(this.#rng);
  }

  async run(): Promise<void> {
    const refused = await this.#start();
    if (refused.length > 0) {
      // What a peer has refused it answers SERVFAIL for, as it does where a chain leads there.
      this.#count("free: zones that a peer refuses", refused.length);
      await this.#servers[Symbol.asyncDispose]();
      this.#world = { zones: this.#world.zones.filter((zone) => !refused.includes(zone)) };
      await this.#start();
    }
    await using servers = this.#servers;
    for (const zone of this.#world.zones) {
      this.#report.zones++;
      this.#report.records += zone.records.length;
      this.#knotHangs = false;
      await this.#askAbout(zone);
      if (!this.#knotHangs) continue;
      this.#report.hangs++;
      await servers.startKnot();
    }
  }

  /** Starts the servers, and gives the zones that not all of them serve. */
  async #start(): Promise<RandomZone[]> {
    this.#servers = await Servers.start(this.#world);
    const refused: RandomZone[] = [];
    for (const zone of this.#world.zones) {
      const asked = { name: zone.domain, type: "SOA", udpSize: null };
      const replies = await Promise.all(
        ["knot", "nsd"].map((who) => this.#servers.client(who as Who).tcp(asked)),
      );
      if (replies.some((reply) => reply?.message?.answers.length !== 1)) refused.push(zone);
    }
    return refused;
  }

  async #askAbout(zone: RandomZone): Promise<void> {
    const questions = randomQuestions(zone, this.#options.perZone, this.#rng);
    let asked = 0;
    const lane = async () => {
      for (const question of questions) await this.#ask(question, ++asked % TCP_SHARE === 0);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  async #ask(question: RandomQuestion, stream: boolean): Promise<void> {
    if (stream) this.#report.tcp++;
    else this.#report.udp++;
    const ask = async (who: Who): Promise<Reply | null> => {
      if (who === "knot" && this.#knotHangs) return null;
      const client = this.#servers.client(who);
      return (stream ? await client.tcp(question) : await client.udp(question)) ??
        (stream ? await client.tcp(question) : await client.udp(question));
    };
    const [pleiades, knot, nsd] = await Promise.all([ask("pleiades"), ask("knot"), ask("nsd")]);
    if (!knot) this.#knotHangs = true;
    const isCut = [pleiades, knot, nsd].some((reply) => reply?.message?.flags.tc);
    const carriesMore = !stream && (pleiades?.message?.additionals.length ?? 0) > 0;
    const whole = isCut || carriesMore ? await this.#servers.client("pleiades").tcp(question) : null;
    const replies = { pleiades: pleiades ?? null, knot: knot ?? null, nsd: nsd ?? null };
    const findings = compare(question, replies, { world: this.#world, stream, whole });
    for (const finding of findings) this.#take(finding, question, replies);
    if (isCut && !stream) await this.#ask(question, true);
  }

  #take(finding: Finding, question: RandomQuestion, replies: Readonly<Record<Who, Reply | null>>): void {
    const { verdict, field, reason } = finding;
    const kind = `${verdict}: ${field}: ${reason}`;
    const { onLine, seed, show } = this.#options;
    if (this.#count(kind) > SHOWN_MAX || !kind.startsWith(show)) return;
    onLine(`\n== ${kind}: ${question.name} ${question.type}, UDP size ${question.udpSize}`);
    onLine(
      `world ${this.#number} of seed ${seed}, zones ${
        this.#world.zones.map(({ domain }) => domain).join(" ")
      }`,
    );
    for (const [who, reply] of Object.entries(replies)) {
      onLine(
        `-- ${who}, ${reply?.size} bytes: ${
          reply?.fault ?? (reply?.message && formatMessage(reply.message))
        }`,
      );
    }
    const around = this.#world.zones.filter(({ domain }) => question.name.toLowerCase().endsWith(domain));
    for (const zone of around) onLine(`-- zone ${zone.domain}\n${zoneText(zone)}`);
  }

  #count(kind: string, more = 1): number {
    const { findings } = this.#report;
    const count = (findings.get(kind) ?? 0) + more;
    findings.set(kind, count);
    return count;
  }
}
