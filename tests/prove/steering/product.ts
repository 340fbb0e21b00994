/**
 * The product, declared from a model of the proof of steering, in this process.
 *
 * @module
 */
import { workOutExtents } from "../../../src/geo/extents.ts";
import { compileMapFile } from "../../../src/geo/map_file_table.ts";
import { checkTargetOf } from "../../../src/desired/check_target.ts";
import {
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  type Member,
  MEMBER_DEFAULTS,
  type Pool,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../../src/model/model.ts";
import type { Override } from "../../../src/model/override.ts";
import { Mmdb } from "../../../src/geo/mmdb.ts";
import type { GeoData } from "../../../src/geo/geo_data.ts";
import { LiveBoard } from "../../../src/snapshot/live.ts";
import { flatRecord, writeMmdb } from "../../geo/mmdb_writer.ts";
import { NOW_MS, type World, worldOf } from "../../explain/world.ts";
import type { Knowledge, Model, ModelPool } from "./model.ts";

/** The name that the model's service has. */
export const NAME = "www.example.com";

/** A database of a family, as MaxMind would write it. */
export function databaseOf({ networks }: Knowledge, family: 4 | 6): Uint8Array {
  return writeMmdb({
    ipVersion: family,
    networks: networks.filter(({ prefix }) => prefix.includes(":") === (family === 6)).map((
      { prefix, ...facts },
    ) => [prefix, flatRecord(facts, "double")]),
  });
}

/** The map file's text. */
export function mapTextOf({ lines }: Knowledge): string {
  return lines.map(({ prefix, to }) => `${prefix} ${to.join(",")}\n`).join("");
}

/** The geo data of what is known of clients. */
export function geoDataOf(knowledge: Knowledge, edition: number): GeoData {
  const city = ([4, 6] as const).filter((family) =>
    knowledge.networks.some(({ prefix }) => prefix.includes(":") === (family === 6))
  ).map((family) => shared(databaseOf(knowledge, family)));
  return {
    edition,
    city,
    extents: city.map((file) => workOutExtents(new Mmdb(new Uint8Array(file)))),
    asn: city,
    map: knowledge.lines.length === 0 ? null : compileMapFile(mapTextOf(knowledge)),
  };
}

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

const idOf = (kind: number, i: number) => (kind * 1_000_000 + i).toString(16).padStart(32, "0");

function checkOf({ intervalMs }: ModelPool): HealthCheck {
  return { ...HEALTH_CHECK_DEFAULTS, intervalMs };
}

/** Declares models one after the other; their memory is used again, so only the last one holds. */
export class Products {
  readonly #board = LiveBoard.create({ healthSlots: 1, ticketSlots: 1 });
  #epoch = 0;

  /** The product of a model. */
  of(model: Model, geoData: GeoData): World {
    const overrides: Override[] = [];
    const pools = model.pools.map((pool, p): Pool => {
      const members = pool.members.map((member, m): Member => {
        const id = idOf(2, p * 100 + m);
        if (member.override) {
          const startsAt = NOW_MS + member.override.beginsInMs;
          overrides.push({
            id: idOf(4, p * 100 + m),
            target: `member:${id}`,
            state: member.override.state,
            reason: "proof",
            owner: "nobody",
            startsAt,
            expiresAt: NOW_MS + member.override.endsInMs,
            drainMs: 0,
            createdAt: startsAt,
          });
        }
        return {
          ...MEMBER_DEFAULTS,
          id,
          ipAddress: member.ip,
          port: member.port,
          weight: member.weight,
          priority: member.priority,
          enabled: member.enabled,
          latitude: member.place && member.place[0],
          longitude: member.place && member.place[1],
        };
      });
      return {
        ...POOL_DEFAULTS,
        id: idOf(1, p),
        name: `pool-${p}`,
        algorithm: pool.algorithm,
        maxAnswers: pool.maxAnswers,
        minHealthy: pool.minHealthy,
        onAllDown: pool.onAllDown,
        fallbackPoolId: pool.fallback === null ? null : idOf(1, pool.fallback),
        geofence: pool.geofence,
        healthCheck: pool.isChecked ? checkOf(pool) : null,
        members,
        geoRules: pool.rules.map(({ member, ...match }, r) => ({
          ...{ id: idOf(3, p * 100 + r), cidr: null, asn: null, country: null, continent: null },
          ...match,
          memberId: members[member]!.id,
        })),
      };
    });
    const world = worldOf({
      // A pool is written after those that it falls back to.
      pools: pools.toReversed(),
      services: [{
        ...SERVICE_DEFAULTS,
        id: idOf(5, 0),
        domain: NAME,
        poolId: idOf(1, 0),
        ttl: model.ttl,
        minTtl: model.minTtl,
        ecs: model.ecs,
      }],
      overrides,
      geoData,
      board: this.#board,
      epoch: ++this.#epoch,
    });
    this.#set(model, world);
    return world;
  }

  #set(model: Model, { board, slots }: World): void {
    board.setHealth([...slots.each()].map(([, slot]) => ({ slot, up: true })), 1);
    board.downAt.fill(0, 0, slots.size);
    board.tickets.fill(0, 0, 16);
    const states = model.pools.filter(({ isChecked }) => isChecked).flatMap((pool) =>
      pool.members.flatMap(({ ip, port, ...member }) => {
        const slot = slots.find(checkTargetOf({ ipAddress: ip, port, target: null }, checkOf(pool)).key);
        return slot === undefined ? [] : { slot, ...member };
      })
    );
    for (
      const { slot, downAtMs } of states.filter(({ isHealthy }) => !isHealthy).sort((a, b) =>
        a.downAtMs - b.downAtMs
      )
    ) {
      board.setHealth([{ slot, up: false }], downAtMs);
    }
    board.setRoundTrips(states.map(({ slot, rttUs }) => ({ slot, rttUs })));
  }
}
