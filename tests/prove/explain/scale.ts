/**
 * What explaining and deciding cost among many pools.
 *
 * @module
 */
import {
  HEALTH_CHECK_DEFAULTS,
  MEMBER_DEFAULTS,
  type Pool,
  POOL_DEFAULTS,
  type Service,
  SERVICE_DEFAULTS,
} from "../../../src/model/model.ts";
import type { Override } from "../../../src/model/override.ts";
import type { Engine } from "../../../src/dns/engine.ts";
import type { Explainer } from "../../../src/explain/explainer.ts";
import { UDP_SIZE_DEFAULT } from "../../../src/explain/explanation.ts";
import { encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { NOW_MS, worldOf } from "../../explain/world.ts";

/** What was measured. */
export interface Scale {
  /** Nanoseconds of an answer with 10 pools, and with 10,000. */
  readonly fewNs: number;
  readonly manyNs: number;
  readonly ratio: number;
  /** Milliseconds of an account with 10,000 pools, each of another name. */
  readonly explainMsMedian: number;
  /** Of a hundred the slowest but one: what else the machine does shows in the very slowest. */
  readonly explainMsP99: number;
  readonly explainMsMax: number;
  /** The first one after a new snapshot. */
  readonly explainMsFirst: number;
}

const FEW = 10;
const MANY = 10_000;
const MEMBERS = 10;
const ACCOUNTS = 500;
const ANSWERS = 100_000;
const TRIES = 5;

/** Measures. */
export function measureScale(): Scale {
  const few = scaleWorld(FEW);
  const many = scaleWorld(MANY);
  // One of each first, so that both are measured warm.
  for (const world of [few, many]) nsPerAnswer(world);
  const fewNs = best(() => nsPerAnswer(few));
  const manyNs = best(() => nsPerAnswer(many));
  const explainMsFirst = msToExplain(many, 0);
  const times = new Float64Array(ACCOUNTS).fill(Infinity);
  for (let round = 0; round < TRIES; round++) {
    for (let i = 0; i < ACCOUNTS; i++) times[i] = Math.min(times[i]!, msToExplain(many, (i * 7919) % MANY));
  }
  const later = times.sort();
  return {
    fewNs,
    manyNs,
    ratio: manyNs / fewNs,
    explainMsMedian: later[later.length >> 1]!,
    explainMsP99: later[Math.floor(later.length * 0.99)]!,
    explainMsMax: later.at(-1)!,
    explainMsFirst,
  };
}

/** The best of a few tries: the others tell what else the machine was doing. */
function best(measure: () => number): number {
  return Math.min(...Array.from({ length: TRIES }, measure));
}

/** Prints what was measured. */
export function printScale(scale: Scale): void {
  const ms = (value: number) => `${value.toFixed(2)} ms`;
  console.log(`a decision         ${scale.fewNs.toFixed(0)} ns among ${FEW} pools × ${MEMBERS} members`);
  console.log(
    `                   ${scale.manyNs.toFixed(0)} ns among ${MANY} pools × ${MEMBERS} members (× ${
      scale.ratio.toFixed(2)
    })`,
  );
  console.log(
    `explain            ${ms(scale.explainMsMedian)} median, ${ms(scale.explainMsP99)} in 99 of 100, ${
      ms(scale.explainMsMax)
    } at most, ` +
      `${ms(scale.explainMsFirst)} the first one, among ${MANY} pools with overrides`,
  );
}

interface ScaleWorld {
  readonly count: number;
  readonly engine: Engine;
  readonly explainer: Explainer;
}

const idOf = (kind: number, i: number) => (kind * 100_000_000 + i).toString(16).padStart(32, "0");

/** Every pool has an override on one of its members, and every tenth one on itself. */
function scaleWorld(count: number): ScaleWorld {
  const pools = Array.from({ length: count }, (_, i) => poolOf(i));
  const overrides = pools.flatMap((_, i) => overridesOf(i));
  const services = pools.map(({ id }, i): Service => ({
    ...SERVICE_DEFAULTS,
    id: idOf(3, i),
    domain: domainOf(i),
    poolId: id,
  }));
  const zones = [{ domain: "example.com", records: null }];
  const { engine, explainer } = worldOf({ pools, services, overrides, zones });
  return { count, engine, explainer };
}

const domainOf = (i: number) => `s${i}.example.com`;

function poolOf(i: number): Pool {
  return {
    ...POOL_DEFAULTS,
    id: idOf(1, i),
    name: `pool-${i}`,
    algorithm: i % 2 === 0 ? "weighted-round-robin" : "failover",
    healthCheck: { ...HEALTH_CHECK_DEFAULTS, port: 80 },
    geoRules: [],
    members: Array.from({ length: MEMBERS }, (_, m) => ({
      ...MEMBER_DEFAULTS,
      id: idOf(2, i * MEMBERS + m),
      ipAddress: `10.${i >> 8 & 255}.${i & 255}.${m + 1}`,
      port: 80,
      weight: 1 + m % 3,
      priority: 1 + m % 2,
    })),
  };
}

function overridesOf(i: number): Override[] {
  const common = {
    reason: "measured",
    owner: "nobody",
    startsAt: NOW_MS - 60_000,
    expiresAt: NOW_MS + 3_600_000,
    createdAt: NOW_MS - 60_000,
  };
  const member = { ...common, id: idOf(4, i * 2), target: `member:${idOf(2, i * MEMBERS)}` };
  const pool = { ...common, id: idOf(4, i * 2 + 1), target: `pool:${idOf(1, i)}` };
  return [
    { ...member, state: "down", drainMs: 0 },
    ...i % 10 === 0 ? [{ ...pool, state: "drain" as const, drainMs: 600_000 }] : [],
  ];
}

/** Asks all names in turn, in an order that no cache helps. */
function nsPerAnswer({ count, engine }: ScaleWorld): number {
  const packets = Array.from(
    { length: MANY },
    (_, i) => encodeQuery({ id: i & 0xffff, name: domainOf((i * 7919) % count), type: TYPE.A }),
  );
  const out = new Uint8Array(1232);
  const address = new Uint8Array([192, 0, 2, 53]);
  const client = { stream: false, address: () => address };
  const startMs = performance.now();
  for (let i = 0; i < ANSWERS; i++) {
    const packet = packets[i % MANY]!;
    engine.answer(packet, packet.length, client, out, out.length);
  }
  return (performance.now() - startMs) * 1e6 / ANSWERS;
}

function msToExplain({ explainer }: ScaleWorld, i: number): number {
  const startMs = performance.now();
  explainer.explain({
    name: domainOf(i),
    type: TYPE.A,
    client: new Uint8Array([192, 0, 2, 53]),
    ecs: null,
    udpSize: UDP_SIZE_DEFAULT,
  });
  return performance.now() - startMs;
}
