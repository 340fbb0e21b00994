/**
 * A model in memory, staged; and what must agree among staged objects, wherever they come from.
 *
 * @module
 */
import { addressOf, type GeoRule, type Member, type Model, type Pool } from "../model/model.ts";
import { nearest } from "../input/nearest.ts";
import { isId } from "../model/id.ts";
import { isStandIn } from "../model/salvage.ts";
import type { StagedPlace, StagedPool, StagedRule, Staging } from "../store/staging.ts";
import type { RefusalKind } from "./edit.ts";
import { addressField, domainFault } from "./faults.ts";
import { zoneCuts } from "./zone_cuts.ts";

/** What is wrong with one of the staged objects. */
export interface StagedProblem {
  /** What REST makes a status of. */
  readonly kind: RefusalKind;
  /** Which collection the object is in. */
  readonly list: "pools" | "services" | "zones";
  /** Where it stands in what the author sent. */
  readonly place: StagedPlace;
  /** The field that is wrong. */
  readonly field: string;
  /** What is wrong, with the value, and the mend. */
  readonly message: string;
}

/**
 * Stages a model and judges it.
 *
 * @param refuse told of every problem, with a pointer into the model
 */
export function stageModel(
  model: Model,
  { staging, refuse }: {
    readonly staging: Staging;
    readonly refuse: (kind: RefusalKind, pointer: string, message: string) => void;
  },
): void {
  const report = ({ kind, list, place, field, message }: StagedProblem) =>
    refuse(kind, `/${list}/${place}/${field}`, message);
  const feeder = new ModelFeeder({ staging, report, model });
  feeder.feed();
  judgeStaged(staging, report);
}

/** Judges staged objects against each other. */
export function judgeStaged(staging: Staging, report: (problem: StagedProblem) => void): void {
  const names = staging.poolNames(NAMES_COMPARED_MAX).filter((name) => !isStandIn(name));
  const missing = (pool: string) => {
    const near = nearest(pool, names);
    return `pool "${pool}" doesn't exist (${
      near === null ? "define it under pools:" : `did you mean "${near}"?`
    })`;
  };
  for (const { place, pool } of staging.poolsWithoutFallback(FAULTS_MAX)) {
    report({
      kind: "missing-reference",
      list: "pools",
      place,
      field: "fallbackPoolId",
      message: missing(pool),
    });
  }
  for (const { place, names } of staging.fallbackCircles()) {
    const message = `pools fall back to each other in a circle: ${
      names.join(" → ")
    } (let one of them have another onAllDown)`;
    report({ kind: "invalid", list: "pools", place, field: "fallbackPoolId", message });
  }
  for (const { place, pool } of staging.servicesWithoutPool(FAULTS_MAX)) {
    report({ kind: "missing-reference", list: "services", place, field: "poolId", message: missing(pool) });
  }
  for (const { place, pool } of staging.servicesByOwnName(FAULTS_MAX)) {
    const message = `pool "${pool}" has the service's own name as a member ` +
      `(name the host that is behind it, or another pool)`;
    report({ kind: "invalid", list: "services", place, field: "poolId", message });
  }
  for (const { place, domain, cut } of staging.servicesBelowCuts()) {
    const message = `service "${domain}" is below "${cut}", which NS records delegate to other servers ` +
      `(serve the zone "${cut}" here too, or delete the delegation)`;
    report({ kind: "invalid", list: "services", place, field: "domain", message });
  }
}

/** The problem of an object whose name is taken by one before it. */
export function definedTwice(
  { list, place, name, first }: {
    readonly list: StagedProblem["list"];
    readonly place: StagedPlace;
    readonly name: string;
    /** Where the other one is, in words. */
    readonly first: string;
  },
): StagedProblem {
  const [noun, field] = list === "pools" ? ["pool", "name"] : [list.slice(0, -1), "domain"];
  const message = `${noun} "${name}" is defined twice (also at ${first}); keep one`;
  return { kind: "duplicate", list, place, field, message };
}

/** More names than this aren't searched for one that was meant: each search compares with all of them. */
const NAMES_COMPARED_MAX = 1_000;
/** More problems of one kind aren't looked for. */
const FAULTS_MAX = 1_001;

/** Stages a model's objects, each after a check of what its types don't say. */
class ModelFeeder {
  readonly #staging: Staging;
  readonly #report: (problem: StagedProblem) => void;
  readonly #model: Model;
  readonly #names: ReadonlyMap<string, string>;
  readonly #givenIds = new Set<string>();

  constructor(options: {
    readonly staging: Staging;
    readonly report: (problem: StagedProblem) => void;
    readonly model: Model;
  }) {
    this.#staging = options.staging;
    this.#report = options.report;
    this.#model = options.model;
    this.#names = new Map(options.model.pools.map(({ id, name }) => [id, name]));
  }

  feed(): void {
    for (const [place, pool] of this.#model.pools.entries()) {
      const first = this.#staging.pool(this.#pool(pool, place), place);
      this.#expectNew("pools", { place, name: pool.name, first });
    }
    for (const [place, service] of this.#model.services.entries()) {
      const { id, poolId, domain } = service;
      if (!this.#domainIsFine("services", { place, domain })) continue;
      const pool = this.#nameOf(poolId, { list: "services", place, field: "poolId" });
      const first = this.#staging.service({ ...service, pool, givenId: this.#given("service", id) }, place);
      this.#expectNew("services", { place, name: domain, first });
    }
    for (const [place, zone] of this.#model.zones.entries()) this.#zone(zone, place);
  }

  #pool(pool: Pool, place: StagedPlace): StagedPool {
    const { id, fallbackPoolId, members, geoRules, ...fields } = pool;
    if (pool.onAllDown === "fallback" && fallbackPoolId === null) {
      const message = `Pool "${pool.name}" has onAllDown "fallback" but no fallbackPoolId: name a pool, ` +
        `or choose another onAllDown`;
      this.#report({ kind: "invalid", list: "pools", place, field: "fallbackPoolId", message });
    }
    const kept = this.#members(members, { pool, place });
    return {
      ...fields,
      givenId: this.#given("pool", id),
      fallbackPool: this.#nameOf(fallbackPoolId, { list: "pools", place, field: "fallbackPoolId" }),
      members: kept.map(({ id, ...member }) => ({ ...member, givenId: this.#given("member", id) })),
      geoRules: geoRules.flatMap((rule, i) => this.#rule(rule, i, { members: kept, pool, place })),
    };
  }

  #members(
    members: readonly Member[],
    { place }: { readonly pool: Pool; readonly place: StagedPlace },
  ): Member[] {
    const seen = new Set<string>();
    return members.filter((member, i) => {
      const key = `${addressOf(member)} port ${member.port}`;
      if (!seen.has(key)) return seen.add(key);
      const message = `member ${key} is in the pool twice; keep one`;
      this.#report({
        kind: "duplicate",
        list: "pools",
        place,
        field: `members/${i}/${addressField(member)}`,
        message,
      });
      return false;
    });
  }

  #rule(
    { id, memberId, ...match }: GeoRule,
    i: number,
    { members, pool, place }: {
      readonly members: readonly Member[];
      readonly pool: Pool;
      readonly place: StagedPlace;
    },
  ): StagedRule[] {
    const member = members.findIndex((member) => member.id === memberId);
    if (member >= 0) return [{ ...match, member, givenId: this.#given("geoRule", id) }];
    const message =
      `The geo rule names the member ${memberId}, which the pool "${pool.name}" doesn't have: ` +
      `name a member of the same pool`;
    const field = `geoRules/${i}/memberId`;
    this.#report({ kind: "missing-reference", list: "pools", place, field, message });
    return [];
  }

  #zone({ domain, text }: Model["zones"][number], place: StagedPlace): void {
    if (!this.#domainIsFine("zones", { place, domain })) return;
    const { cuts, faults } = zoneCuts(domain, text);
    for (const fault of faults) {
      const message = `Zone "${domain}": ${fault}`;
      this.#report({ kind: "invalid", list: "zones", place, field: "text", message });
    }
    const first = this.#staging.zone({ domain, text, cuts }, place);
    this.#expectNew("zones", { place, name: domain, first });
  }

  #expectNew(
    list: StagedProblem["list"],
    { place, name, first }: {
      readonly place: StagedPlace;
      readonly name: string;
      readonly first: StagedPlace | null;
    },
  ): void {
    if (first !== null) this.#report(definedTwice({ list, place, name, first: `/${list}/${first}` }));
  }

  #domainIsFine(
    list: "services" | "zones",
    { place, domain }: { readonly place: StagedPlace; readonly domain: string },
  ): boolean {
    const message = domainFault(domain, { wildcard: list === "services" });
    if (message !== null) this.#report({ kind: "invalid", list, place, field: "domain", message });
    return message === null;
  }

  /** The name behind a pool's id. */
  #nameOf(id: string | null, at: Pick<StagedProblem, "list" | "place" | "field">): string | null {
    if (id === null) return null;
    const name = this.#names.get(id);
    if (name !== undefined) return name;
    const message = `names the pool ${id}, which the model doesn't have: add it, or name another one`;
    this.#report({ ...at, kind: "missing-reference", message });
    return null;
  }

  /** An id counts where it has the form of one, and for the first object of its kind that has it. */
  #given(kind: string, id: string): string | null {
    if (!isId(id) || this.#givenIds.has(`${kind} ${id}`)) return null;
    this.#givenIds.add(`${kind} ${id}`);
    return id;
  }
}
