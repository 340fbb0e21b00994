/**
 * Deliberate faults in what joins reports and probes, each of which the simulation must find out.
 *
 * @module
 */
const ROOT = new URL("../../../", import.meta.url).pathname;

/** A fault, as a change of one place of the text. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const VIEW = "src/health/global_view.ts";
const POLICY = "src/health/policy.ts";
const PEERS = "src/cluster/peer_view.ts";
const REPORTS = "src/cluster/peer_reports.ts";
const MEMBERS = "src/cluster/membership.ts";
const CLUSTER = "src/cluster/cluster.ts";

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "heartbeats are dated by the wall clock",
    file: PEERS,
    from: "this.#membership.hear(node, heartbeat, this.#terms.clock.monotonicMs())",
    to: "this.#membership.hear(node, heartbeat, this.#terms.clock.unixMs())",
  },
  {
    name: "reports of a former boot count",
    file: REPORTS,
    from: "if (report && this.#bootOf(node) === boot) {",
    to: "if (report && this.#bootOf(node) !== null) {",
  },
  {
    name: "nodes are heard of for ever",
    file: MEMBERS,
    from: "if (nowMs - heardMs <= this.#ttlMs) continue;",
    to: "if (nowMs >= heardMs) continue;",
  },
  {
    name: "reports aren't counted up",
    file: "src/cluster/publisher.ts",
    from: "for (const address of touched) this.#own.get(address)!.seq = ++this.#seq;",
    to: "for (const address of touched) this.#own.get(address)!.seq = 1;",
  },
  {
    name: "what comes in is kept, and health isn't told",
    file: CLUSTER,
    from: "sliceEnded: () => view.tellChanged(),",
    to: "sliceEnded: () => {},",
  },
  {
    name: "a node that is new isn't given time to find something",
    file: VIEW,
    from: "const isDue = nowMs - Math.max(sinceMs, entry.sinceMs) >= entry.patienceMs;",
    to: "const isDue = nowMs - sinceMs >= 0;",
  },
  {
    name: "only nodes that report count in the quorum",
    file: VIEW,
    from: "if (isDue && !reports.some((report) => report.node === node)) silent++;",
    to: "void isDue;",
  },
  {
    name: "what is reported is what the policy made of it",
    file: VIEW,
    from: "const found = this.#options.checker.found(key);\n      if (found === null",
    to: 'const found = this.verdict(key);\n      if (found.state === "unknown"',
  },
  {
    name: "reports are taken up only when this node's own probes find something else",
    file: VIEW,
    from: "if (entries.length <= AT_ONCE_MAX) return this.#judge(entries, new Outcome());",
    to: "if (entries.length <= AT_ONCE_MAX) return;",
  },
  {
    name: "nodes that go change nothing",
    file: VIEW,
    from: "this.#readMembers();\n      return this.#sweepAll();",
    to: "return this.#readMembers();",
  },
  {
    name: "the first results of a run that agree with the last one aren't reported",
    file: "src/health/node_health.ts",
    from: "onConfirmed: (key) => this.#view.confirm(key),",
    to: "",
  },
  {
    name: "a quorum must be exceeded",
    file: POLICY,
    from: "found * 100 >= quorumMinPercent * of",
    to: "found * 100 > quorumMinPercent * of",
  },
  {
    name: "any healthy peer is enough for prefer-local",
    file: POLICY,
    from: "return ownRuling ?? peersRuling;",
    to: 'return own === "healthy" ? ownRuling! : healthy > 0 ? peersRuling : ownRuling ?? peersRuling;',
  },
  {
    name: "one peer is enough to count as blind",
    file: "src/health/self_doubt.ts",
    from: "return healthy > unhealthy + 1 ?",
    to: "return healthy > unhealthy ?",
  },
  {
    name: "a node that counts as blind goes on by its own probes",
    file: POLICY,
    from: "const own = evidence.isBlind && reported > 0 ? null : evidence.own;",
    to: "const own = evidence.own;",
  },
  {
    name: "a node that was blind once stays so",
    file: "src/health/self_doubt.ts",
    from: "outvoted * 4 > all",
    to: "all > 0",
  },
];

/**
 * Whether the simulation doesn't see the fault, run on a copy of the program.
 *
 * @throws {Error} when the text to change isn't there
 */
export async function survives(
  { file, from, to }: Mutant,
  argsOf: (first: number, count: number) => readonly string[] = (first, count) => [
    "health_simulation",
    `${first}+${count}`,
  ],
): Promise<boolean> {
  const copy = await Deno.makeTempDir({ prefix: "pleiades-mutant-" });
  try {
    const run = async (command: string, args: string[], cwd: string) =>
      await new Deno.Command(command, { args, cwd, stdout: "piped", stderr: "piped" }).output();
    await run("cp", ["-r", "deno.json", "deno.lock", "src", "scripts", "tests", copy], ROOT);
    const text = await Deno.readTextFile(`${copy}/${file}`);
    if (!text.includes(from)) throw new Error(`${file} has no ${JSON.stringify(from)} to change`);
    await Deno.writeTextFile(`${copy}/${file}`, text.replace(from, to));
    for (const [first, count] of BATCHES) {
      const { code, stderr } = await run(
        Deno.execPath(),
        ["run", "-A", "--no-check", "tests/prove/main.ts", ...argsOf(first, count)],
        copy,
      );
      if (code === 0) continue;
      const said = new TextDecoder().decode(stderr);
      if (!/seed \d+: /i.test(said)) throw new Error(`The copy failed for another reason: ${said}`);
      return false;
    }
    return true;
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/** The first seed and how many: most faults are found at once. */
const BATCHES = [[1, 10], [11, 40]] as const;
