/**
 * A declared state with an engine that answers from it and an explainer beside it.
 *
 * @module
 */
import type { DesiredZone } from "../../src/desired/desired.ts";
import { flattenedPool } from "../../src/desired/flattened.ts";
import type { Fallback, Pool, Service } from "../../src/model/model.ts";
import { applyOverrides, OverrideIndex } from "../../src/desired/overridden.ts";
import { steeredPool } from "../../src/desired/steered_pool.ts";
import type { Override } from "../../src/model/override.ts";
import { Engine, type EngineOptions } from "../../src/dns/engine.ts";
import { Explainer } from "../../src/explain/explainer.ts";
import { rulingsOf } from "../../src/explain/rulings.ts";
import type { ExplainSources, Limits } from "../../src/explain/situation.ts";
import { UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import type { GeoData } from "../../src/geo/geo_data.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import { Slots } from "../../src/snapshot/slots.ts";
import { Tables } from "../../src/snapshot/tables.ts";

/** 3 a.m., when explanations are read. */
export const NOW_MS = Date.UTC(2026, 0, 31, 3);

/** No client is limited. */
export const NO_LIMITS: Limits = {
  allow: [],
  deny: [],
  rateLimit: {
    ...{ enabled: false, responsesPerSecond: 20, slip: 2 },
    ...{ ipv4PrefixLength: 24, ipv6PrefixLength: 56, exempt: ["127.0.0.0/8"] },
  },
  amplificationMax: null,
};

/** What is declared; what may be left out isn't there. */
export interface Declared extends
  Partial<
    Pick<ExplainSources, "health" | "peers" | "failovers" | "flipGuardHoldMs" | "addressesOf" | "limits">
  > {
  readonly pools: readonly Pool[];
  readonly services: readonly Service[];
  readonly overrides?: readonly Override[];
  readonly fallback?: Fallback | null;
  readonly zones?: readonly DesiredZone[];
  readonly geoData?: GeoData;
  readonly engine?: Partial<Omit<EngineOptions, "lane">>;
  /** To be used again; else one is made. */
  readonly board?: LiveBoard;
  readonly epoch?: number;
}

/** It, running. */
export interface World {
  /** The production engine, in a lane of its own. */
  readonly engine: Engine;
  readonly explainer: Explainer;
  readonly board: LiveBoard;
  /** Health slots by eligibility key. */
  readonly slots: Slots;
}

/** Compiles what is declared, overrides applied. */
export function worldOf(declared: Declared): World {
  const { pools, services, fallback = null, zones = [], geoData, epoch = 1 } = declared;
  const overrides = new OverrideIndex(declared.overrides ?? []);
  const addressesOf = declared.addressesOf ?? (() => []);
  const steered = pools.map((pool) =>
    flattenedPool(applyOverrides(steeredPool(pool), overrides, NOW_MS), addressesOf)
  );
  const slots = new Slots(1);
  const tables = Tables.of({
    generation: epoch,
    pools: () => steered,
    checkedPools: () => steered,
    services: () => services,
    zones,
    fallback,
    defaultTtl: 30,
    nameservers: [],
  }, { epoch, healthSlots: slots, ...(geoData && { geoData }) });
  const size = { healthSlots: slots.size, ticketSlots: tables.ticketSlots };
  const board = declared.board ?? LiveBoard.create(size);
  const options = {
    nsid: "",
    chaos: { version: "", id: "" },
    ecs: { enabled: true, trusted: [] },
    rotate: false,
    ...declared.engine,
  };
  const engine = new Engine({ ...options, lane: 1 }, () => NOW_MS);
  const { snapshot } = tables;
  engine.use(snapshot, board);
  const poolById = new Map(pools.map((pool) => [pool.id, pool]));
  const serviceByDomain = new Map(services.map((service) => [service.domain, service]));
  const explainer = new Explainer({
    current: () => ({ snapshot, board }),
    generation: () => epoch,
    service: (domain) => serviceByDomain.get(domain) ?? null,
    pool: (id) => poolById.get(id) ?? null,
    fallback: () => fallback && { fallback, ttl: fallback.ttl ?? 30 },
    health: declared.health ?? (() => ({ ...UNKNOWN_VERDICT, eligible: true, why: null })),
    rulings: () => rulingsOf(overrides, NOW_MS, () => ""),
    ours: () => [...zones, ...services].map(({ domain }) => domain),
    addressesOf,
    failovers: declared.failovers ?? { of: () => [] },
    limits: declared.limits ?? (() => NO_LIMITS),
    peers: declared.peers ?? (() => null),
    flipGuardHoldMs: declared.flipGuardHoldMs ?? (() => null),
    engine: options,
    clock: { unixMs: () => NOW_MS },
  });
  return { engine, explainer, board, slots };
}
