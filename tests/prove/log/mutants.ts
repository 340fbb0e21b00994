/**
 * Deliberate faults in what keeps the log, each of which random lives must find out: `deno task prove log mutants [WORDS]`.
 *
 * @module
 */
import { type Mutant, survives } from "../health_simulation/mutants.ts";

const REPLICA = "src/change/log_replica.ts";
const APART = "src/change/log_apart.ts";
const FOLLOWER = "src/cluster/log_follower.ts";
const TABLES = "src/store/log.ts";

const MUTANTS: readonly Mutant[] = [
  {
    name: "what is published goes behind whatever is there by now",
    file: FOLLOWER,
    from: "const at = await broker.publish({ ...packed, id, after: sequence, afterId: this.#lastId });",
    to:
      'const at = await broker.publish({ ...packed, id, after: (await broker.state()).last, afterId: "" });',
  },
  {
    name: "what the server has lost isn't published again",
    file: REPLICA,
    from: "const lost = stamp === null ? 0 : log.lose(stamp);",
    to: "const lost = 0;",
  },
  {
    name: "what was undone isn't made again",
    file: REPLICA,
    from: "for (const entry of this.#undone) {",
    to: "for (const entry of this.#undone.slice(1)) {",
  },
  {
    name: "what is pending isn't undone for an entry of another node",
    file: REPLICA,
    from: "    if (this.#pending.length === 0) return;\n    this.#flushUndo();",
    to: "    return;",
  },
  {
    name: "the last change that was committed is published first",
    file: TABLES,
    from: "FROM log_pending ORDER BY place LIMIT ?`",
    to: "FROM log_pending ORDER BY place DESC LIMIT ?`",
  },
  {
    name: "entries after the place in common are forgotten where a log begins with a model",
    file: REPLICA,
    from: "if (common !== undefined && common !== now.head) this.#lose(log.stampOf(common)!);",
    to: "",
  },
  {
    name: "the model that is written beside the log has what is pending in it",
    file: REPLICA,
    from: "const changes = modelWithout(store, log.pending());",
    to: "const changes = modelWithout(store, []);",
  },
  {
    name: "of entries that were lost and others that came all are apart",
    file: APART,
    from: "return this.#written.isDisjointFrom(other.#written) &&",
    to: "return true || this.#written.isDisjointFrom(other.#written) &&",
  },
  {
    name: "members that two nodes add are apart",
    file: APART,
    from: 'if (before === null) this.#written.add("places");',
    to: "",
  },
  {
    name: "a message is taken from its first entry on, whatever of it is there",
    file: REPLICA,
    from: "for (const entry of entries.slice(from)) taking.take(entry);",
    to: "for (const entry of entries) taking.take(entry);",
  },
  {
    name: "an entry counts as taken whatever it follows",
    file: REPLICA,
    from: 'if (from < 0) return "broken";',
    to: "",
  },
  {
    name: "an empty server is left empty by those who have a model",
    file: FOLLOWER,
    from:
      'if (replica.position().head !== "" || replica.hasOwnModel()) return await this.#beginWithModel(at);',
    to: "",
  },
  {
    name: "the node with the shorter log begins it again",
    file: FOLLOWER,
    from: "if ((all.at(-1)?.stamp ?? 0) < at.stamp) return",
    to: "if ((all.at(-1)?.stamp ?? 0) > at.stamp) return",
  },
  {
    name: "a node's place is believed wherever the server begins",
    file: FOLLOWER,
    from:
      "if (at.created === created && at.sequence <= last && await this.#isAt(at.sequence, first)) return;",
    to: 'if (at.head !== "") return;',
  },
  {
    name: "where an entry is refused it is tried for ever",
    file: REPLICA,
    from: "        log.settle(entry.id);\n        this.#refused.push({ entry, why });",
    to: "        this.#refused.push({ entry, why });",
  },
];

/** Runs them; those whose names have these words in them. */
export async function mutants([words = ""]: string[]): Promise<boolean> {
  const wanted = MUTANTS.filter(({ name }) => name.includes(words));
  let caught = 0;
  for (const mutant of wanted) {
    const isAlive = await survives(mutant, (first, count) => ["log", "lives", String(count), String(first)]);
    console.log(`${isAlive ? "NOT CAUGHT" : "caught    "} ${mutant.name}`);
    if (!isAlive) caught++;
  }
  console.log(`${caught} of ${wanted.length} mutants caught`);
  return caught === wanted.length;
}
