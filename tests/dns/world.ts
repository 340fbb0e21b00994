/**
 * A small world for tests of the engine: declared in a few words, compiled by the real compiler, asked with real
 * packets.
 *
 * @module
 */
import { checkTargetOf } from "../../src/desired/check_target.ts";
import type { Desired, SteeredGeoRule, SteeredMember, SteeredPool } from "../../src/desired/desired.ts";
import { flattenedPool } from "../../src/desired/flattened.ts";
import {
  type Fallback,
  HEALTH_CHECK_DEFAULTS,
  MEMBER_DEFAULTS,
  POOL_DEFAULTS,
  type Service,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import { Engine, type EngineOptions } from "../../src/dns/engine.ts";
import type { Trace } from "../../src/dns/trace.ts";
import { parseIp } from "../../src/ip.ts";
import type { GeoData } from "../../src/geo/geo_data.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import { Slots } from "../../src/snapshot/slots.ts";
import { Tables } from "../../src/snapshot/tables.ts";
import type { Snapshot } from "../../src/snapshot/view.ts";
import { parseZoneFile } from "../../src/wire/zone_file.ts";

/** What may be left out is: a pool of `web`'s defaults, no zones, no fallback. */
export interface Declared {
  readonly pools?: readonly (Partial<Omit<SteeredPool, "members" | "geoRules">> & {
    name: string;
    members: readonly (string | Partial<SteeredMember>)[];
    geoRules?: readonly (Partial<SteeredGeoRule> & { member: number })[];
  })[];
  /** Domain → pool name, `null` for none, or the pool with more. */
  readonly services?: Readonly<
    Record<string, string | null | (Partial<Omit<Service, "poolId">> & { pool: string })>
  >;
  readonly geoData?: GeoData;
  /** Addresses of members by name. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
  /** Domain → zone-file text, or `null` for a zone without a file. */
  readonly zones?: Readonly<Record<string, string | null>>;
  readonly fallback?: Partial<Fallback> & { endpoints: readonly string[] };
  readonly nameservers?: readonly string[];
  readonly generation?: number;
}

/** Options of an engine that hides everything. */
export const PLAIN: EngineOptions = {
  nsid: "",
  chaos: { version: "", id: "" },
  ecs: { enabled: true, trusted: [] },
  rotate: false,
  lane: 0,
};

/** Every pool of a world is checked with this. */
const CHECK = { ...HEALTH_CHECK_DEFAULTS, port: 80 };

/** A world whose health can be set by address. */
export class World {
  readonly engine: Engine;
  readonly board = LiveBoard.create({ healthSlots: 1, ticketSlots: 1 });
  /** Which time it is for the engine, Unix milliseconds. */
  nowMs = 0;
  /** Which time it is for the board, milliseconds. */
  boardMs = 1_000;
  /** What the engine answers from. */
  snapshot!: Snapshot;
  /** What changes it in place. */
  tables: Tables | undefined;
  /** By eligibility key. */
  readonly healthSlots = new Slots(1);
  #epoch = 0;

  constructor(declared: Declared, options: Partial<EngineOptions> = {}, trace: Trace | null = null) {
    this.engine = new Engine({ ...PLAIN, ...options }, () => this.nowMs, trace);
    this.declare(declared);
  }

  /** Replaces what is declared; health and rotation stay. */
  declare(declared: Declared): void {
    this.tables = Tables.of(desiredOf(declared), {
      epoch: ++this.#epoch,
      healthSlots: this.healthSlots,
      previous: this.tables,
      ...(declared.geoData ? { geoData: declared.geoData } : {}),
    });
    this.snapshot = this.tables.snapshot;
    this.engine.use(this.snapshot, this.board);
  }

  /** Sets the verdict on addresses, all in one step. */
  health(verdicts: Readonly<Record<string, boolean>>): void {
    this.board.setHealth(
      Object.entries(verdicts).map(([ipAddress, up]) => ({
        slot: this.healthSlots.find(checkTargetOf({ ipAddress, port: 80 }, CHECK).key)!,
        up,
      })),
      this.boardMs,
    );
  }

  /** Sets measured round trips by address, microseconds. */
  roundTrips(measured: Readonly<Record<string, number>>): void {
    this.board.setRoundTrips(
      Object.entries(measured).map(([ipAddress, rttUs]) => ({
        slot: this.healthSlots.find(checkTargetOf({ ipAddress, port: 80 }, CHECK).key)!,
        rttUs,
      })),
    );
  }

  /** Asks; `null` when nothing is said. */
  ask(
    packet: Uint8Array,
    { client = "192.0.2.53", stream = false, sizeMax = 65_535 } = {},
  ): Uint8Array | null {
    const out = new Uint8Array(sizeMax);
    const address = parseIp(client)!;
    const size = this.engine.answer(packet, packet.length, { stream, address: () => address }, out, sizeMax);
    return size === 0 ? null : out.slice(0, size);
  }
}

/** The desired state of a declaration. */
export function desiredOf(declared: Declared): Desired {
  const pools = (declared.pools ?? []).map(poolOf)
    .map((pool) => flattenedPool(pool, (target) => declared.names?.[target] ?? []));
  const services = Object.entries(declared.services ?? {}).map(([domain, to]): Service => ({
    id: domain,
    domain,
    ...SERVICE_DEFAULTS,
    ttl: 30,
    ...(to === null || typeof to === "string" ? {} : to),
    poolId: to === null || typeof to === "string" ? to : to.pool,
  }));
  return {
    generation: declared.generation ?? 1,
    pools: () => pools,
    checkedPools: () => pools,
    services: () => services,
    zones: Object.entries(declared.zones ?? {}).map(([domain, text]) => ({
      domain,
      records: text === null ? null : records(domain, text),
    })),
    fallback: declared.fallback
      ? {
        algorithm: "round-robin",
        weights: {},
        onAllDown: "all",
        ttl: null,
        healthCheck: CHECK,
        ...declared.fallback,
      }
      : null,
    defaultTtl: 30,
    nameservers: declared.nameservers ?? [],
  };
}

function poolOf({ members, geoRules = [], ...fields }: NonNullable<Declared["pools"]>[number]): SteeredPool {
  return {
    ...POOL_DEFAULTS,
    id: fields.name,
    maxAnswers: 1,
    healthCheck: CHECK,
    changesAt: 0,
    ...fields,
    geoRules: geoRules.map((rule) => ({ cidr: null, country: null, continent: null, asn: null, ...rule })),
    members: members.map((member, i): SteeredMember => ({
      ...MEMBER_DEFAULTS,
      id: `${fields.name}-${i}`,
      port: 80,
      share: 1,
      forcedUp: false,
      ...(typeof member === "string" ? { ipAddress: member } : member),
    })),
  };
}

function records(domain: string, text: string) {
  const { records, problems } = parseZoneFile(text, { origin: domain, defaultTtl: 300 });
  if (problems.length > 0) throw new SyntaxError(`${problems[0]!.line}: ${problems[0]!.message}`);
  return records;
}
