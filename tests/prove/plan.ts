/**
 * What a plan foretells is what comes: `deno task prove plan [PAIRS [FIRST_SEED [CLIENTS]]]`.
 *
 * Random pairs of models (every algorithm, geo rules and geofences, chains of pools, names as members, zones with records
 * under services and aliases to them, wildcards, a static fallback) with overrides that have begun, are to begin or are over,
 * members that are sick, and random clients. A plan from the one to the other must list exactly the objects in which
 * they differ, leave everything as it is, and find nothing to do when it was applied. Then the second model is
 * applied to a copy, and the real engine is asked before and after, ticket by ticket: each name that the plan reaches must
 * be answered as was foretold, by the addresses and in the shares; each other name that there is, as before; and the
 * plan must list a name exactly when its answers differ. Left out are names that nothing is declared of.
 *
 * @module
 */
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused } from "../../src/change/edit.ts";
import type { Examination, Guard, Proposal } from "../../src/change/guard.ts";
import type { Plan } from "../../src/change/plan_report.ts";
import type { Desired } from "../../src/desired/desired.ts";
import { desiredOf } from "../../src/desired/desired.ts";
import { overriddenSource } from "../../src/desired/overridden.ts";
import { Engine } from "../../src/dns/engine.ts";
import type { GeoData } from "../../src/geo/geo_data.ts";
import { formatIp, parseIp } from "../../src/ip.ts";
import { addressOf, type Model, type Pool } from "../../src/model/model.ts";
import { exportModel } from "../../src/model/model_export.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import { EVERYONE } from "../../src/plan/clients.ts";
import { differ } from "../../src/plan/differences.ts";
import { type AddressType, Forecast, type World } from "../../src/plan/forecast.ts";
import { type Reach, reachOf } from "../../src/plan/scope.ts";
import { StateBefore, StoredState } from "../../src/plan/states.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import { Slots } from "../../src/snapshot/slots.ts";
import { Tables } from "../../src/snapshot/tables.ts";
import { Store } from "../../src/store/store.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { wireToName } from "../../src/wire/name.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { id, ORIGIN } from "../change/samples.ts";
import { applyModel } from "../change/read_model.ts";
import { fitsFile } from "../change/model_keys.ts";
import { ManualClock } from "../clock.ts";
import { PLAIN } from "../dns/world.ts";
import { foretold } from "../plan/foretold.ts";
import { TEST_SETTINGS } from "../test_node.ts";
import { ADDRESSES, ASKED, modelPair } from "./plan/model_pairs.ts";
import { knowledgeOf, Random } from "./steering/model.ts";
import { geoDataOf } from "./steering/product.ts";

/** What was compared. */
export interface PlanReport {
  /** Pairs of models that a file can tell. */
  readonly pairs: number;
  /** Objects that plans listed. */
  readonly objects: number;
  /** Questions by clients of which the answers before and after were foretold. */
  readonly questions: number;
  /** Of these, how many are answered otherwise afterwards. */
  readonly different: number;
  /** Names that others stood for. */
  readonly alike: number;
  /** What isn't as foretold, by seed. */
  readonly faults: readonly string[];
}

/** Runs the proof; 1,000 pairs and 200 clients for each unless told otherwise. */
export async function prove([pairs = "1000", first = "1", clients = "200"]: string[]): Promise<boolean> {
  const report = await comparePlans({ first: Number(first), count: Number(pairs), clients: Number(clients) });
  console.log(`pairs       ${report.pairs} of ${pairs} from seed ${first}, ${report.objects} objects differ`);
  console.log(`questions   ${report.questions}, ${report.different} with other answers afterwards`);
  console.log(`alike       ${report.alike} names`);
  console.log(`faults      ${report.faults.length}`);
  for (const fault of report.faults.slice(0, 20)) console.log(`  ${fault}`);
  return report.faults.length === 0;
}

/** Plans, applies and asks. */
export async function comparePlans(
  { first, count, clients }: { readonly first: number; readonly count: number; readonly clients: number },
): Promise<PlanReport> {
  const sum = { pairs: 0, objects: 0, questions: 0, different: 0, alike: 0 };
  const faults: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const pair = await Trial.of(seed);
    if (pair === null) continue;
    using trial = pair;
    sum.pairs++;
    for (const fault of await trial.run(clients, sum)) faults.push(`seed ${seed}: ${fault}`);
  }
  return { ...sum, faults };
}

const NOW_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
const addressesOf = (target: string) => ADDRESSES[target] ?? [];
/** Every cycle comes round in so many turns: members are few, and so are their weights. */
const TURNS = 60;
/** A member is that far from its share in them, at most three turns more or less; those that drain are further off. */
const TOLERANCE = 0.06;
const TYPES = [TYPE.A, TYPE.AAAA] as const;

/** One pair of models. */
class Trial {
  readonly #random: Random;
  readonly #next: Model;
  readonly #store: Store;
  readonly #changes: Changes;
  readonly #world: World;
  readonly #geoData: GeoData;
  readonly #spy: Spy;

  /** `null` = no file can tell one of them, or one is refused. */
  static async of(seed: number): Promise<Trial | null> {
    const random = new Random(seed);
    const [model, next] = modelPair(random);
    if (![model, next].every(fitsFile)) return null;
    const store = Store.memory();
    const changes = new Changes({ store, clock: new ManualClock(NOW_MS) });
    const isMade = await tried(changes, model) && (await tried(changes, next, { dryRun: true }));
    if (isMade) return new Trial(seed, { random, next, store, changes });
    store.close();
    return null;
  }

  private constructor(
    seed: number,
    { random, next, store, changes }: {
      readonly random: Random;
      readonly next: Model;
      readonly store: Store;
      readonly changes: Changes;
    },
  ) {
    this.#random = random;
    this.#next = next;
    this.#store = store;
    this.#changes = changes;
    this.#geoData = geoDataOf(knowledgeOf(seed), seed);
    this.#override();
    const salt = random.below(1_000);
    const isOut = (key: string) => new Random(hash(key) + salt).isOneIn(4);
    // The id of a new pool is another one in the plan.
    const anyPool = (key: string) => key.replace(/^failback \S+/, "failback");
    this.#world = {
      health: {
        out: { get: (key) => isOut(anyPool(key)) ? 1 + hash(anyPool(key)) % 9 : undefined },
        roundTripsUs: { get: roundTrip },
      },
      geoData: this.#geoData,
      locationOf: ownLocation,
    };
    this.#spy = new Spy(this.#world);
    changes.guardBy(this.#spy);
  }

  [Symbol.dispose](): void {
    this.#store.close();
  }

  /** Overrides that have begun, are to begin and are over. */
  #override(): void {
    const { pools } = this.#store.model();
    const random = this.#random;
    const targets = [
      "region:eu",
      ...pools.map(({ id }) => `pool:${id}`),
      ...pools.flatMap(({ members }) => members.map(({ id }) => `member:${id}`)),
    ];
    for (let number = 0; number < random.below(4); number++) {
      const startsAt = NOW_MS + random.pick([-HOUR_MS, -HOUR_MS / 2, HOUR_MS]);
      const fields = {
        target: random.pick(targets),
        state: random.pick(["up", "down", "down"] as const),
        reason: "why",
        owner: "alice",
        drainMs: 0,
        startsAt,
        expiresAt: startsAt + HOUR_MS,
      };
      try {
        this.#changes.commit([{ kind: "createOverride", id: id(0x9000 + number), fields }], ORIGIN);
      } catch (error) {
        // One that is over is refused, and two of one target may be.
        if (!(error instanceof ChangeRefused)) throw error;
      }
    }
  }

  async run(
    clients: number,
    sum: { objects: number; questions: number; different: number; alike: number },
  ): Promise<string[]> {
    const before = this.#store.model();
    const real = { before: this.#real() };
    const plan = await this.#plan();
    const reach = this.#spy.take();
    const faults: string[] = [];
    if (exportModel(this.#store.model()) !== exportModel(before)) faults.push("the plan changed the model");
    const made = await applyModel(
      new Changes({ store: this.#store, clock: new ManualClock(NOW_MS) }),
      this.#next,
    );
    if (made.kind !== "applied") throw new Error(made.kind);
    const after = this.#store.model();
    if (textOf(after) !== textOf(this.#next)) faults.push("what was applied isn't the model");
    const listed = plan.changes.filter(({ kind }) => kind !== "override")
      .map(({ kind, name, action }) => `${kind} ${name} ${action}`).sort();
    const wanted = differencesOf(before, after);
    if (listed.join("\n") !== wanted.join("\n")) {
      faults.push(`the plan lists\n${listed.join("\n")}\ninstead of\n${wanted.join("\n")}`);
    }
    sum.objects += wanted.length;
    const again = await this.#plan();
    if (again.changed || again.changes.length > 0) faults.push("there is something to do when all is done");
    if (reach) {
      sum.alike += reach.subjects.filter(({ alike }) => alike).length;
      faults.push(...this.#ask(clients, { plan, reach, sum, before: real.before, after: this.#real() }));
    } else if (real.before.text !== this.#real().text) {
      faults.push("the plan reaches nothing, and something is answered otherwise");
    }
    return faults;
  }

  async #plan(): Promise<Plan> {
    const applied = await applyModel(this.#changes, this.#next, { dryRun: true });
    if (applied.kind !== "applied") throw new Error(applied.kind);
    return applied.plan!;
  }

  #real(): Real {
    const source = overriddenSource(this.#store.source(), {
      overrides: this.#store.overrides.index(),
      nowMs: NOW_MS,
    });
    return new Real(desiredOf(TEST_SETTINGS, source, addressesOf), this.#world);
  }

  #ask(
    clients: number,
    { plan, reach, before, after, sum }: {
      readonly plan: Plan;
      readonly reach: Reach;
      readonly before: Real;
      readonly after: Real;
      readonly sum: { questions: number; different: number };
    },
  ): string[] {
    const faults: string[] = [];
    const forecasts = [
      new Forecast(reach.before, this.#world),
      new Forecast(reach.after, this.#world),
    ] as const;
    const subjects = new Map(reach.subjects.map((subject) => [subject.name, subject]));
    const shown = new Set(plan.answers.differences.map(({ name, type }) => `${name} ${type}`));
    const forAll = new Map<string, boolean>();
    for (let i = 0; i < clients; i++) {
      const client = this.#client();
      const name = this.#random.pick(ASKED);
      for (const type of TYPES) {
        const what = `${name} ${type === TYPE.A ? "A" : "AAAA"} to ${formatIp(client)}`;
        const [was, is] = [before, after].map((real) => real.ask(name, type, client));
        const subject = subjects.get(name);
        sum.questions++;
        if (said(was!) !== said(is!)) sum.different++;
        if (!subject) {
          // Of names that there aren't, and of those that a wildcard makes, no plan can list all.
          const isMeant = [before, after].some((real) => real.names.has(name)) &&
            !subjects.has(wildcardOver(name));
          if (isMeant && said(was!) !== said(is!)) {
            faults.push(`${what} isn't reached, was ${said(was!)} and is ${said(is!)}`);
          }
          continue;
        }
        const outcomes = forecasts.map((forecast) => foretold(forecast, subject, { type, client }));
        // Records beside a pool that lacks the family in both states aren't looked at: they stay what they are.
        if (outcomes.every(({ shares }) => shares.size === 0) && said(was!) === said(is!)) continue;
        for (
          const [state, real, outcome] of [["before", was!, outcomes[0]!], [
            "after",
            is!,
            outcomes[1]!,
          ]] as const
        ) {
          const off = offBy(real, outcome.shares);
          if (off > TOLERANCE) {
            faults.push(
              `${what} is ${said(outcome.shares)} foretold ${state}, and ${said(real)} is answered`,
            );
          }
        }
        if (outcomes.every(({ clientBits }) => clientBits === null)) {
          forAll.set(`${name} ${type === TYPE.A ? "A" : "AAAA"}`, !isSame(outcomes[0]!, outcomes[1]!));
        }
      }
    }
    for (const [question, isOther] of forAll) {
      if (shown.has(question) !== isOther) faults.push(`${question} is ${isOther ? "not " : ""}listed`);
    }
    return faults;
  }

  #client(): Uint8Array {
    const random = this.#random;
    return parseIp(random.prefix(random.isOneIn(3) ? 6 : 4, 128, 128).split("/")[0]!)!;
  }
}

/** The real engine over a whole state, with tickets that go on. */
class Real {
  /** All that it answers from, as a text. */
  readonly text: string;
  /** All that there are, and those above them. */
  readonly names: ReadonlySet<string>;
  readonly #engine: Engine;
  readonly #out = new Uint8Array(4_096);

  constructor(desired: Desired, { health, geoData, locationOf }: World) {
    const healthSlots = new Slots(1);
    this.text = JSON.stringify([
      [...desired.pools()],
      [...desired.services()],
      desired.zones,
      desired.fallback,
    ]);
    const owners = desired.zones.flatMap(({ records }) =>
      (records ?? []).map(({ owner }) => wireToName(owner))
    );
    this.names = new Set(
      [...owners, ...[...desired.services()].map(({ domain }) => domain)].flatMap((name) =>
        name.split(".").map((_, i, labels) => labels.slice(i).join("."))
      ),
    );
    const tables = Tables.of(desired, { epoch: 1, healthSlots, geoData, locationOf });
    const board = LiveBoard.create({ healthSlots: healthSlots.size, ticketSlots: tables.ticketSlots });
    for (const [key, slot] of healthSlots.each()) {
      const since = health.out.get(key);
      if (since !== undefined) board.setHealth([{ slot, up: false }], since);
    }
    board.setRoundTrips(
      [...tables.measured].map(({ slot, key }) => ({ slot, rttUs: health.roundTripsUs.get(key) ?? 0 })),
    );
    this.#engine = new Engine(PLAIN, () => 0);
    this.#engine.use(tables.snapshot, board);
  }

  /** With what answers begin, and how often. */
  ask(name: string, type: AddressType, client: Uint8Array): Map<string, number> {
    const packet = encodeQuery({ id: 0, name, type });
    const counts = new Map<string, number>();
    for (let turn = 0; turn < TURNS; turn++) {
      const size = this.#engine.answer(
        packet,
        packet.length,
        { stream: true, address: () => client },
        this.#out,
        this.#out.length,
      );
      const first = firstIn(this.#out.subarray(0, size), type);
      if (first !== null) counts.set(first, (counts.get(first) ?? 0) + 1 / TURNS);
    }
    return counts;
  }
}

/** The name of a member that is answered, or the first address. */
function firstIn(answer: Uint8Array, type: AddressType): string | null {
  if ((answer[6]! | answer[7]!) === 0) return null;
  const { answers } = decodeMessage(answer);
  const target = answers.filter((it) => it.type === TYPE.CNAME).map(({ data }) => data.replace(/\.$/, ""))
    .find((it) => it.endsWith("example.org"));
  return target ?? answers.find((it) => it.type === type)?.data ?? null;
}

/** Notes what a plan reaches, and has it planned. */
class Spy implements Guard {
  readonly #guard: AnswerGuard;
  readonly #world: World;
  #reach: Reach | null = null;

  constructor(world: World) {
    this.#world = world;
    this.#guard = new AnswerGuard({
      settings: () => TEST_SETTINGS,
      world: () => world,
      addressesOf,
      nowMs: () => NOW_MS,
      portable: () => {
        throw new Error("There is one thread");
      },
    });
  }

  examine(proposal: Proposal): Examination {
    const { store, touched, generation } = proposal;
    const after = new StoredState(store);
    const states = { before: new StateBefore(after, store.history.changes(generation)), after };
    const options = { settings: TEST_SETTINGS, addressesOf, nowMs: NOW_MS, generation, isShown: true };
    this.#reach = reachOf(touched, states, { ...options, health: this.#world.health });
    const alone = reachOf(touched, states, { ...options, health: null });
    const [together, single] = [this.#reach, alone].map(({ before, after, subjects }) =>
      JSON.stringify(
        differ(new Forecast(before, this.#world), new Forecast(after, this.#world), {
          subjects,
          clients: EVERYONE,
        }),
      )
    );
    if (together !== single) throw new Error(`Of alike names ${together} is found, of each ${single}`);
    return this.#guard.examine(proposal);
  }

  /** What the last plan reached; `null` = nothing was planned since. */
  take(): Reach | null {
    const reach = this.#reach;
    this.#reach = null;
    return reach;
  }

  portable(): unknown {
    return null;
  }
}

async function tried(changes: Changes, model: Model, { dryRun = false } = {}): Promise<boolean> {
  const applied = await applyModel(changes, model, { dryRun });
  return applied.kind === "applied";
}

function textOf(model: Model): string {
  return exportModel({ ...model, generation: 0 });
}

/** What a plan is to list of two models, by natural keys. */
function differencesOf(before: Model, after: Model): string[] {
  const [was, is] = [objectsOf(before), objectsOf(after)];
  const listed: string[] = [];
  for (const key of new Set([...was.keys(), ...is.keys()])) {
    const [first, second] = [was.get(key), is.get(key)];
    if (first === second) continue;
    listed.push(
      `${key.split(" #")[0]} ${
        first === undefined ? "created" : second === undefined ? "deleted" : "changed"
      }`,
    );
  }
  return listed.sort();
}

/** By kind and name, all that each object says but its id. */
function objectsOf({ pools, services, zones, fallback }: Model): Map<string, string> {
  const objects = new Map<string, string>();
  const names = new Map(pools.map(({ id, name }) => [id, name]));
  for (const { id: _, members, healthCheck, geoRules, fallbackPoolId, ...fields } of pools) {
    const { name } = fields;
    objects.set(`pool ${name}`, JSON.stringify([fields, fallbackPoolId && names.get(fallbackPoolId)]));
    const keys = new Map(members.map((member) => [member.id, endpointOf(member)]));
    for (const { id, ...member } of members) {
      objects.set(`member ${name}/${keys.get(id)}`, JSON.stringify(member));
    }
    if (healthCheck) objects.set(`healthCheck ${name}`, JSON.stringify(healthCheck));
    for (const { id: _, memberId, ...match } of geoRules) {
      const what = Object.entries(match).find(([, value]) => value !== null)!.join(" ");
      let number = 1;
      const key = () => `geoRule ${name} ${what} #${keys.get(memberId)} ${number}`;
      while (objects.has(key())) number++;
      objects.set(key(), "");
    }
  }
  for (const { id: _, poolId, ...fields } of services) {
    objects.set(`service ${fields.domain}`, JSON.stringify([fields, poolId && names.get(poolId)]));
  }
  for (const { domain, text } of zones) objects.set(`zone ${domain}`, text);
  if (fallback) objects.set("fallback static fallback", JSON.stringify(fallback));
  return objects;
}

function endpointOf(member: Pool["members"][number]): string {
  const address = addressOf(member);
  return address.includes(":") ? `[${address}]:${member.port}` : `${address}:${member.port}`;
}

/** The wildcard that answers a name that nothing else does. */
function wildcardOver(name: string): string {
  return `*.${name.slice(name.indexOf(".") + 1)}`;
}

function offBy(real: ReadonlyMap<string, number>, shares: ReadonlyMap<string, number>): number {
  let most = 0;
  for (const address of new Set([...real.keys(), ...shares.keys()])) {
    most = Math.max(most, Math.abs((real.get(address) ?? 0) - (shares.get(address) ?? 0)));
  }
  return most;
}

function isSame(
  a: { readonly shares: ReadonlyMap<string, number>; readonly all: ReadonlySet<string> },
  b: { readonly shares: ReadonlyMap<string, number>; readonly all: ReadonlySet<string> },
): boolean {
  return offBy(a.shares, b.shares) < 1e-9 && a.all.size === b.all.size &&
    [...a.all].every((it) => b.all.has(it));
}

/** Shares as a text that is equal for equal ones. */
function said(shares: ReadonlyMap<string, number>): string {
  const text = [...shares].map(([address, share]) => `${address} ${(share * 100).toFixed(0)} %`).sort().join(
    ", ",
  );
  return text || "nothing";
}

function roundTrip(key: string): number {
  return 1_000 * (hash(key) % 5);
}

function hash(text: string): number {
  let word = 0;
  for (let i = 0; i < text.length; i++) word = Math.imul(word, 31) + text.charCodeAt(i) | 0;
  return word >>> 0;
}
