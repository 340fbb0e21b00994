/**
 * A night in which much is wrong at once, explained: the golden files of `explain` are made of it.
 *
 * @module
 */
import { run } from "../../main.ts";
import {
  HEALTH_CHECK_DEFAULTS,
  type Member,
  MEMBER_DEFAULTS,
  type Pool,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import type { Override } from "../../src/model/override.ts";
import { type Asked, UDP_SIZE_DEFAULT } from "../../src/explain/explanation.ts";
import { UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import { parseIp, parsePrefix } from "../../src/ip.ts";
import { typeNumber } from "../../src/wire/record_type.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { scriptedApi } from "../cli/scripted_api.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { NOW_MS, type World, worldOf } from "./world.ts";

const MINUTE = 60_000;
const CHECK = { ...HEALTH_CHECK_DEFAULTS, intervalMs: 2_000, timeoutMs: 500 };
const FRANKFURT = { latitude: 50.1, longitude: 8.7, region: "fra" };
const NEW_YORK = { latitude: 40.7, longitude: -74, region: "nyc" };
const SINGAPORE = { latitude: 1.35, longitude: 103.8, region: "sin" };

const idOf = (kind: number, i: number) => (kind * 1_000 + i).toString(16).padStart(32, "0");

function pool(
  i: number,
  fields: Partial<Pool> & { readonly name: string; readonly members: Member[] },
): Pool {
  return { ...POOL_DEFAULTS, id: idOf(1, i), geoRules: [], healthCheck: CHECK, ...fields };
}

function member(i: number, ipAddress: string, fields: Partial<Member> = {}): Member {
  return { ...MEMBER_DEFAULTS, id: idOf(2, i), ipAddress, port: 443, ...fields };
}

function override(
  i: number,
  fields: Partial<Override> & Pick<Override, "target" | "state" | "reason">,
): Override {
  return {
    id: idOf(3, i),
    owner: "kim",
    startsAt: NOW_MS - 5 * MINUTE,
    expiresAt: NOW_MS + 30 * MINUTE,
    drainMs: 0,
    createdAt: NOW_MS - 5 * MINUTE,
    ...fields,
  };
}

const POOLS: readonly Pool[] = [
  pool(1, {
    name: "world",
    algorithm: "geoip",
    members: [
      member(11, "192.0.2.11", FRANKFURT),
      member(12, "192.0.2.12", FRANKFURT),
      member(13, "192.0.2.13", FRANKFURT),
      member(14, "192.0.2.14", NEW_YORK),
      member(15, "192.0.2.15", SINGAPORE),
      member(16, "192.0.2.16", { ...NEW_YORK, enabled: false }),
      member(17, "2001:db8::17", FRANKFURT),
    ],
  }),
  pool(2, {
    name: "tiers",
    algorithm: "failover",
    onAllDown: "fallback",
    fallbackPoolId: idOf(1, 3),
    minHealthy: 2,
    members: [
      member(21, "192.0.2.21", { priority: 1 }),
      member(22, "192.0.2.22", { priority: 1 }),
      member(23, "192.0.2.23", { priority: 2 }),
    ],
  }),
  pool(3, {
    name: "spare",
    maxAnswers: 2,
    healthCheck: null,
    members: [member(31, "198.51.100.1"), member(32, "198.51.100.2"), member(33, "198.51.100.3")],
  }),
  pool(4, {
    name: "rules",
    geoRules: [
      { id: idOf(4, 1), cidr: null, country: "DE", continent: null, asn: null, memberId: idOf(2, 42) },
    ],
    members: [member(41, "203.0.113.1"), member(42, "203.0.113.2")],
  }),
];

const DOWN = ["192.0.2.12", "192.0.2.21", "192.0.2.22", "203.0.113.1"];

/** The world of that night. */
export function nightWorld(): World {
  const world = worldOf({
    pools: POOLS,
    services: ["world", "tiers", "rules"].map((name, i) => ({
      ...SERVICE_DEFAULTS,
      id: idOf(5, i),
      domain: `${name}.example.com`,
      poolId: POOLS.find((pool) => pool.name === name)!.id,
    })),
    zones: [{ domain: "example.com", records: null }],
    overrides: [
      override(1, {
        target: `member:${idOf(2, 13)}`,
        state: "drain",
        drainMs: 10 * MINUTE,
        reason: "kernel upgrade",
      }),
      override(2, { target: `member:${idOf(2, 23)}`, state: "down", reason: "its disk is failing" }),
    ],
    geoData: {
      edition: 1,
      city: [shared(writeMmdb({
        networks: [[
          "203.0.113.0/24",
          flatRecord({ country: "DE", continent: "EU", latitude: 52.5, longitude: 13.375 }),
        ]],
      }))],
      extents: [null],
      asn: [],
      map: null,
    },
    health: (pool, { ipAddress }) => {
      if (pool.healthCheck === null) return { ...UNKNOWN_VERDICT, eligible: true, why: null };
      const common = { latencyMs: 1.2, checkedAt: NOW_MS - 700 };
      return DOWN.includes(ipAddress!)
        ? {
          ...common,
          state: "unhealthy",
          since: NOW_MS - 3 * MINUTE,
          lastError: "connection refused",
          eligible: false,
          why: "down by its check: connection refused",
        }
        : {
          ...common,
          state: "healthy",
          since: NOW_MS - 900 * MINUTE,
          lastError: null,
          eligible: true,
          why: null,
        };
    },
  });
  const slots = [...world.slots.each()].filter(([key]) =>
    DOWN.some((address) => key.includes(` ${address} `))
  );
  world.board.setHealth(slots.map(([, slot]) => ({ slot, up: false })), 1_000);
  return world;
}

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

/** What is asked that night, by the name of its golden file. */
export const NIGHT: Readonly<Record<string, readonly string[]>> = {
  "nearest": ["world.example.com", "--client", "192.0.2.53", "--ecs", "203.0.113.0/24"],
  "fallback": ["tiers.example.com"],
  "geo_rule": ["rules.example.com", "--client", "203.0.113.9"],
  "other_family": ["world.example.com", "--type", "AAAA"],
  "no_such_name": ["nowhere.example.com"],
  "not_ours": ["www.example.org"],
};

/** What the command line prints and how it ends. */
export async function accountOf(args: readonly string[]): Promise<string> {
  const { explainer } = nightWorld();
  const flag = (name: string) => args.includes(name) ? args[args.indexOf(name) + 1] : undefined;
  const ecs = flag("--ecs");
  const asked: Asked = {
    name: args[0]!,
    type: typeNumber(flag("--type") ?? "A")!,
    client: parseIp(flag("--client") ?? "127.0.0.1")!,
    ecs: ecs === undefined ? null : parsePrefix(ecs),
    udpSize: UDP_SIZE_DEFAULT,
  };
  const query = new URLSearchParams({
    name: asked.name,
    type: flag("--type") ?? "A",
    ...(flag("--client") && { client: flag("--client")! }),
    ...(ecs && { ecs }),
  });
  await using api = scriptedApi({ [`GET /explain?${query}`]: explainer.explain(asked) });
  const terminal = capturedTerminal();
  const exitCode = await run(["explain", ...args, "--api", api.url], terminal);
  return `$ pleiades explain ${
    args.join(" ")
  }\n${terminal.stdout()}${terminal.stderr()}exit code ${exitCode}\n`;
}

/** Where the golden files are. */
export const GOLDEN: string = new URL("../golden/explain/", import.meta.url).pathname;
