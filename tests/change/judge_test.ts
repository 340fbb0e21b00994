/**
 * What is wrong between the objects of a model: the same sentence, at its place, by whichever way the model comes.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Edit } from "../../src/change/edit.ts";
import { OfflineModel } from "../../src/change/offline_model.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import type { ModelFormat } from "../../src/model/model_tree.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { createMember, createPool, createService, id, ORIGIN, zoneText } from "./samples.ts";

type Section = "pools" | "services" | "zones";

/** Objects of a model; each is a line of its own however it is written. */
type Objects = Readonly<Partial<Record<Section, readonly object[]>>>;

/** A part of an object, found by the last of these words in its line. */
interface Part {
  readonly section: Section;
  readonly index: number;
  readonly words: string;
}

interface Fault {
  readonly model: Objects;
  /** Where it is said. */
  readonly at: Part;
  /** `{first}` stands for the place of `first`. */
  readonly says: string;
  readonly first?: Part;
  /** Whether it is found while the object's line is at hand. */
  readonly isWithinReach?: boolean;
}

const members = (...addresses: string[]) => addresses.map((ipAddress) => ({ ipAddress, port: 443 }));
const hosts = (count: number) => Array.from({ length: count }, (_, i) => `192.0.2.${i}`);
const manyMembers = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ ipAddress: "192.0.2.1", port: 1 + i }));
const falling = (name: string, fallbackPool: string) => ({ name, onAllDown: "fallback", fallbackPool });
const CUT = zoneText("sub 300 NS ns.example.net.");

const FAULTS: Readonly<Record<string, Fault>> = {
  "a service whose pool is missing": {
    model: {
      pools: [{ name: "web" }],
      services: [{ domain: "a.example" }, { domain: "b.example", pool: "wbe" }],
    },
    at: { section: "services", index: 1, words: '"wbe"' },
    says: 'pool "wbe" doesn\'t exist (did you mean "web"?)',
  },
  "a pool that nothing is like": {
    model: { pools: [{ name: "web" }], services: [{ domain: "b.example", pool: "entirely-other" }] },
    at: { section: "services", index: 0, words: '"entirely-other"' },
    says: 'pool "entirely-other" doesn\'t exist (define it under pools:)',
  },
  "a missing pool among thousands": {
    model: {
      pools: Array.from({ length: 3_000 }, (_, i) => ({ name: `pool-${i}-of-many` })),
      services: [{ domain: "b.example", pool: "pool-2999-of-mnay" }],
    },
    at: { section: "services", index: 0, words: '"pool-2999-of-mnay"' },
    says: 'pool "pool-2999-of-mnay" doesn\'t exist (did you mean "pool-2999-of-many"?)',
  },
  "a missing fallback": {
    model: { pools: [falling("a", "b")] },
    at: { section: "pools", index: 0, words: '"b"' },
    says: 'pool "b" doesn\'t exist (did you mean "a"?)',
  },
  "a pool twice": {
    model: { pools: [{ name: "a" }, { name: "b" }, { name: "a" }] },
    at: { section: "pools", index: 2, words: '"a"' },
    says: 'pool "a" is defined twice (also at {first}); keep one',
    first: { section: "pools", index: 0, words: '{"name"' },
    isWithinReach: true,
  },
  "a service twice": {
    model: { services: [{ domain: "a.example" }, { domain: "A.example." }] },
    at: { section: "services", index: 1, words: '"A.example."' },
    says: 'service "a.example" is defined twice (also at {first}); keep one',
    first: { section: "services", index: 0, words: '{"domain"' },
    isWithinReach: true,
  },
  "a zone twice": {
    model: { zones: [{ domain: "example.org", text: CUT }, { domain: "example.org", text: CUT }] },
    at: { section: "zones", index: 1, words: '"example.org"' },
    says: 'zone "example.org" is defined twice (also at {first}); keep one',
    first: { section: "zones", index: 0, words: '{"domain"' },
    isWithinReach: true,
  },
  "a circle of fallbacks, into which a pool leads": {
    model: { pools: [falling("x", "a"), falling("a", "b"), falling("b", "a")] },
    at: { section: "pools", index: 1, words: '"b"' },
    says: "pools fall back to each other in a circle: a → b → a (let one of them have another onAllDown)",
  },
  "a service answered by its own name": {
    model: {
      pools: [{ name: "a", members: [{ target: "www.example.org", port: 443 }] }],
      services: [{ domain: "www.example.org", pool: "a" }],
    },
    at: { section: "services", index: 0, words: '"a"' },
    says: 'service "www.example.org" is answered by pool "a", which has this very name as a member ' +
      "(name the host that is behind it, or another pool)",
  },
  "a service below a zone cut": {
    model: {
      services: [{ domain: "sub.example.org" }, { domain: "a.b.sub.example.org" }],
      zones: [{ domain: "example.org", text: CUT }],
    },
    at: { section: "services", index: 1, words: '"a.b.sub.example.org"' },
    says: 'service "a.b.sub.example.org" is below "sub.example.org", which NS records delegate to other ' +
      'servers (serve the zone "sub.example.org" here too, or delete the delegation)',
  },
  "a member twice": {
    model: { pools: [{ name: "a", members: members("192.0.2.1", "192.0.2.2", "192.0.2.1") }] },
    at: { section: "pools", index: 0, words: '{"ipAddress":"192.0.2.1"' },
    says: "member 192.0.2.1 port 443 is in the pool twice (also at {first}); keep one",
    first: { section: "pools", index: 0, words: '{"ipAddress":"192.0.2.1","port":443},{"ip' },
    isWithinReach: true,
  },
  "a member twice among many": {
    model: { pools: [{ name: "a", members: members(...hosts(40), "192.0.2.7") }] },
    at: { section: "pools", index: 0, words: '{"ipAddress":"192.0.2.7"' },
    says: "member 192.0.2.7 port 443 is in the pool twice (also at {first}); keep one",
    first: { section: "pools", index: 0, words: '{"ipAddress":"192.0.2.7","port":443},{' },
    isWithinReach: true,
  },
  "a rule that leads to none of the members": {
    model: {
      pools: [{
        name: "a",
        members: members("192.0.2.1"),
        geoRules: [{ country: "DE", member: "192.0.2.2" }],
      }],
    },
    at: { section: "pools", index: 0, words: '"192.0.2.2"' },
    says: "member 192.0.2.2 isn't in this pool (its members are 192.0.2.1)",
    isWithinReach: true,
  },
  "a pool with too many members": {
    model: { pools: [{ name: "a", members: manyMembers(257) }] },
    at: { section: "pools", index: 0, words: '[{"ipAddress"' },
    says: "members must be at most 256 in a pool (delete some, or divide them among several pools)",
    isWithinReach: true,
  },
  "a pool with too many geo rules": {
    model: {
      pools: [{
        name: "a",
        members: members("192.0.2.1"),
        geoRules: Array.from({ length: 1001 }, (_, i) => ({ asn: 1 + i, member: "192.0.2.1" })),
      }],
    },
    at: { section: "pools", index: 0, words: '[{"asn":1,' },
    says:
      "geoRules must be at most 1000 in a pool (join prefixes, name countries or networks, or let a map " +
      "file tell clients apart)",
    isWithinReach: true,
  },
  "a rule in a pool without members": {
    model: { pools: [{ name: "a", geoRules: [{ country: "DE", member: "192.0.2.2" }] }] },
    at: { section: "pools", index: 0, words: '"192.0.2.2"' },
    says: "member 192.0.2.2 isn't in this pool (it has no members)",
    isWithinReach: true,
  },
  "a zone with a broken record": {
    model: { zones: [{ domain: "example.org", text: zoneText("www 300 A 192.0.2") }] },
    at: { section: "zones", index: 0, words: '"@ 300 SOA' },
    says: 'line 4 of the text: "192.0.2" is no IPv4 address; write one such as 192.0.2.1',
    isWithinReach: true,
  },
};

const SECTIONS = ["pools", "services", "zones"] as const;

/** The model's lines; the object of each is the rest of it. */
function linesOf(model: Objects, format: ModelFormat): { text: string; section: Section; index: number }[] {
  return SECTIONS.flatMap((section) => {
    const objects = (model[section] ?? []).map((object, index) => {
      const json = JSON.stringify(object);
      const text = format === "yaml" ? `- ${json}` : `{"${section.slice(0, -1)}":${json}}`;
      return { text, section, index };
    });
    const head = { text: `${section}:`, section, index: -1 };
    return format === "yaml" && objects.length > 0 ? [head, ...objects] : objects;
  });
}

/** `file:line:column`, or the line alone where that is all that is known. */
function placeOf(
  { section, index, words }: Part,
  { model, file, format, byLine }: {
    readonly model: Objects;
    readonly file: string;
    readonly format: ModelFormat;
    readonly byLine: boolean;
  },
): string {
  const lines = linesOf(model, format);
  const line = lines.findIndex((each) => each.section === section && each.index === index);
  const column = lines[line]!.text.lastIndexOf(words);
  ok(column >= 0, words);
  return `${file}:${line + 1}:${byLine ? 1 : column + 1}`;
}

async function validated(text: string, format: ModelFormat): Promise<string[]> {
  using model = await OfflineModel.readBytes({ file: "-", bytes: new TextEncoder().encode(text), format });
  return model.problems.map(formatProblem);
}

async function validatedInFolder(text: string, format: ModelFormat): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-judge-" });
  try {
    await Deno.writeTextFile(`${folder}/a.yaml`, "# nothing\n");
    await Deno.writeTextFile(`${folder}/model.${format}`, text);
    using model = await OfflineModel.read(folder);
    return model.problems.map((problem) =>
      formatProblem(problem).replaceAll(`${folder}/model.${format}`, "-")
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function applied(text: string, format: ModelFormat): Promise<string[]> {
  using store = Store.memory();
  const outcome = await new Changes({ store, clock: new ManualClock() }).apply(new Blob([text]).stream(), {
    file: "-",
    format,
    origin: ORIGIN,
    dryRun: false,
    ifGeneration: null,
    signal: new AbortController().signal,
  });
  equal(store.generation(), 0);
  deepEqual(store.database.all("SELECT name FROM temp.sqlite_schema"), []);
  return outcome.kind === "invalid" ? outcome.problems.map(formatProblem) : [outcome.kind];
}

/** Ways by which a model comes; lines that are applied are gone when another object disagrees with them. */
const WAYS = [
  { name: "validated as YAML", say: validated, format: "yaml", forgets: false },
  { name: "validated as NDJSON", say: validated, format: "ndjson", forgets: false },
  { name: "validated in a folder of YAML", say: validatedInFolder, format: "yaml", forgets: false },
  { name: "validated in a folder of NDJSON", say: validatedInFolder, format: "ndjson", forgets: false },
  { name: "applied as YAML", say: applied, format: "yaml", forgets: false },
  { name: "applied as NDJSON", say: applied, format: "ndjson", forgets: true },
] as const;

for (const [what, { model, at, says, first, isWithinReach = false }] of Object.entries(FAULTS)) {
  Deno.test(`${what} is told alike by every way, each time with its place`, async () => {
    for (const { name, say, format, forgets } of WAYS) {
      const text = linesOf(model, format).map(({ text }) => `${text}\n`).join("");
      const options = { model, file: "-", format };
      const place = placeOf(at, { ...options, byLine: forgets && !isWithinReach });
      const isSameObject = first?.section === at.section && first.index === at.index;
      const other = first && placeOf(first, { ...options, byLine: forgets && !isSameObject });
      deepEqual(await say(text, format), [`${place}: ${says.replace("{first}", other ?? "")}`], name);
    }
  });
}

Deno.test("of very many faults a thousand are told by every way, and no more are looked for", async () => {
  const services = Array.from({ length: 1_500 }, (_, i) => ({ domain: `s${i}.example`, pool: "none" }));
  for (const { name, say, format } of WAYS) {
    const problems = await say(linesOf({ services }, format).map(({ text }) => `${text}\n`).join(""), format);
    equal(problems.length, 1_001, name);
    match(problems[999]!, /:\d+:\d+: pool "none" doesn't exist \(define it under pools:\)$/, name);
    equal(problems[1_000], "-: no more than 1000 problems are shown (fix these first)", name);
  }
});

Deno.test("a huge line that a thousand others repeat isn't read again for each of them", async () => {
  const first = `{"pool":{"name":"a"${" ".repeat(2 << 20)}}}\n`;
  const problems = await validated(first + '{"pool":{"name":"a"}}\n'.repeat(900), "ndjson");
  equal(problems.length, 900);
  equal(problems[0], '-:2:17: pool "a" is defined twice (also at -:1:1); keep one');
});

Deno.test("broken objects are judged against the others as well, by every way", async () => {
  const model: Objects = {
    pools: [{ name: "a", maxAnswers: -1, ...{ onAllDown: "fallback", fallbackPool: "gone" } }],
    services: [{ domain: "a.example", pool: "a", ttl: -1 }, { domain: 7, pool: "gone" }],
  };
  for (const { name, say, format } of WAYS) {
    const problems = await say(linesOf(model, format).map(({ text }) => `${text}\n`).join(""), format);
    deepEqual(
      problems.map((problem) => problem.replace(/^-:\d+:\d+: /, "")).sort(),
      [
        "domain must be a domain such as www.example.com, is 7",
        "maxAnswers must be 0–100, is -1",
        'pool "gone" doesn\'t exist (define it under pools:)',
        'pool "gone" doesn\'t exist (define it under pools:)',
        "ttl must be 0–86400 seconds, is -1",
      ],
      name,
    );
  }
});

const EDITS: Readonly<Record<string, { readonly edits: readonly Edit[]; readonly says: string }>> = {
  "a circle of fallbacks, into which a pool leads": {
    edits: [
      createPool(1, { name: "a", onAllDown: "fallback", fallbackPoolId: id(2) }),
      createPool(2, { name: "b", onAllDown: "fallback", fallbackPoolId: id(1) }),
    ],
    says: FAULTS["a circle of fallbacks, into which a pool leads"]!.says,
  },
  "a service answered by its own name": {
    edits: [
      createPool(1, { name: "a" }),
      createMember(2, 1, { target: "www.example.org" }),
      createService(3, { domain: "www.example.org", poolId: id(1) }),
    ],
    says: FAULTS["a service answered by its own name"]!.says,
  },
  "a service below a zone cut": {
    edits: [
      { kind: "putZone", domain: "example.org", text: CUT },
      createService(3, { domain: "a.b.sub.example.org" }),
    ],
    says: FAULTS["a service below a zone cut"]!.says,
  },
  "a pool with too many members": {
    edits: [
      createPool(1, { name: "a" }),
      ...manyMembers(257).map((fields, i) => createMember(1_000 + i, 1, fields)),
    ],
    says: FAULTS["a pool with too many members"]!.says,
  },
  "a service whose pool is missing": {
    edits: [createService(3, { domain: "a.example", poolId: id(9) })],
    says: `pool "${id(9)}" doesn't exist (create it first, or leave poolId null for the static fallback)`,
  },
};

for (const [what, { edits, says }] of Object.entries(EDITS)) {
  Deno.test(`of a single edit ${what} is told in the same words`, () => {
    using store = Store.memory();
    const changes = new Changes({ store, clock: new ManualClock() });
    let said: readonly string[] = [];
    try {
      changes.commit(edits, ORIGIN);
    } catch (cause) {
      if (!(cause instanceof ChangeRefused)) throw cause;
      said = cause.problems.map(({ message }) => message);
    }
    equal(said[0], says);
  });
}
