/**
 * What reading whole models costs: `deno task prove reading [OBJECTS [SERVICES [ROUNDS]]]`.
 *
 * A directory of YAML files with 10,000 pools and as many services is validated, beside the YAML library that does no more than
 * parse the same files: at most 1.5 times the processor time. And a model of 100,000 services, of which every hundredth
 * is answered otherwise, is planned, beside the same dry run without a forecast of answers: at most twice. Either pair is
 * measured in turn, so that both meet the same machine; what counts is the median of the ratios, in processor time of the
 * whole process.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import process from "node:process";
import { parse } from "yaml";
import { Changes } from "../../src/change/commit.ts";
import type { Plan } from "../../src/change/plan_report.ts";
import { validatePaths } from "../../src/cli/validate.ts";
import { systemClock } from "../../src/clock.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import { Store } from "../../src/store/store.ts";
import { Folder } from "../store/folder.ts";
import { ORIGIN } from "../change/samples.ts";
import { TEST_SETTINGS } from "../test_node.ts";

const VALIDATING_MAX = 1.5;
const PLANNING_MAX = 2;
/** Files of the directory. */
const FILES = 100;

/** Runs both. */
export async function prove(
  [objects = "10000", services = "100000", rounds = "5"]: string[],
): Promise<boolean> {
  const validating = await compareValidating(Number(objects), Number(rounds));
  const planning = await comparePlanning(Number(services), Number(rounds));
  const isValidating = told(`validating ${objects} services, parsing them`, validating, VALIDATING_MAX);
  const isPlanning = told(`planning ${services} services, reading them`, planning, PLANNING_MAX);
  return isValidating && isPlanning;
}

/** Processor seconds of what is compared, and of what it is compared with, a round each. */
type Pairs = readonly (readonly [number, number])[];

function told(what: string, pairs: Pairs, max: number): boolean {
  const ratio = median(pairs.map(([one, other]) => one / other));
  const [one, other] = [0, 1].map((i) => median(pairs.map((pair) => pair[i]!)).toFixed(2));
  const isMet = ratio <= max;
  console.log(
    `${what}: ${one} s, ${other} s of processor time, ${ratio.toFixed(2)} × (at most ${max}) ${
      isMet ? "ok" : "MISSED"
    }`,
  );
  return isMet;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

async function processorSeconds(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function compareValidating(objects: number, rounds: number): Promise<Pairs> {
  using folder = new Folder();
  const each = Math.ceil(objects / FILES);
  for (let file = 0; file * each < objects; file++) {
    const numbers = Array.from({ length: Math.min(each, objects - file * each) }, (_, i) => file * each + i);
    const pools = numbers.map((i) =>
      `  - name: pool-${i}\n    members:\n` +
      [10, 11].map((first) =>
        `      - { ipAddress: ${first}.${i >> 16}.${i >> 8 & 255}.${i & 255}, port: 443 }\n`
      )
        .join("")
    );
    const services = numbers.map((i) => `  - { domain: s${i}.example.org, pool: pool-${i}, ttl: 30 }\n`);
    Deno.writeTextFileSync(
      folder.file(`${file}.yaml`),
      `pools:\n${pools.join("")}services:\n${services.join("")}`,
    );
  }
  const validate = async () => {
    const [validation] = await validatePaths([folder.path], {});
    equal(validation!.summary, `${objects} pools, ${2 * objects} members, ${objects} services`);
  };
  const parseAll = () => {
    for (const name of folder.names()) parse(Deno.readTextFileSync(folder.file(name)));
  };
  return await inTurn(rounds, validate, parseAll);
}

async function comparePlanning(services: number, rounds: number): Promise<Pairs> {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  const [guarded, plain] = [0, 1].map(() => new Changes({ store, clock: systemClock })) as [Changes, Changes];
  guarded.guardBy(guard());
  const read = async (changes: Changes, isNext: boolean, dryRun: boolean): Promise<Plan | null> => {
    const applied = await changes.apply(ReadableStream.from(model(services, isNext)), {
      ...{ file: "model", format: "ndjson", origin: ORIGIN, dryRun, ifGeneration: null },
      signal: new AbortController().signal,
    });
    await changes.idle();
    return applied.kind === "applied" ? applied.plan : null;
  };
  await read(plain, false, false);
  const foreseen = (await read(guarded, true, true))!.answers.services;
  equal(foreseen, Math.ceil(services / 100));
  return await inTurn(rounds, () => read(guarded, true, true), () => read(plain, true, true));
}

/** A round begins with the one, the next with the other. */
async function inTurn(rounds: number, one: () => unknown, other: () => unknown): Promise<Pairs> {
  const pairs: [number, number][] = [];
  for (let round = 0; round < rounds; round++) {
    const pair: [number, number] = [0, 0];
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
      pair[i] = await processorSeconds(i === 0 ? one : other);
    }
    pairs.push(pair);
  }
  return pairs;
}

/** Each service with a pool of two members; `isNext` = every hundredth has another weight. */
function* model(services: number, isNext: boolean): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let text = "";
  for (let i = 0; i < services; i++) {
    const rest = `${i >> 16 & 255}.${i >> 8 & 255}.${i & 255}`;
    const weight = isNext && i % 100 === 0 ? 2 : 1;
    text += `{"pool":{"name":"pool-${i}","algorithm":"weighted-round-robin","members":[` +
      `{"ipAddress":"10.${rest}","port":443,"weight":${weight}},{"ipAddress":"11.${rest}","port":443}]}}\n` +
      `{"service":{"domain":"s${i}.example.org","pool":"pool-${i}"}}\n`;
    if (text.length < 64 << 10) continue;
    yield encoder.encode(text);
    text = "";
  }
  yield encoder.encode(text);
}

/** Where nothing is known of clients and health. */
function guard(): AnswerGuard {
  return AnswerGuard.of({
    settings: TEST_SETTINGS,
    health: { out: new Map(), roundTripsUs: new Map() },
    geoData: EMPTY_GEO_DATA,
    addresses: new Map(),
    nowMs: systemClock.unixMs(),
  });
}
