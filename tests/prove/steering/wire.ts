/**
 * The same comparison on the wire: a real `serve` with database and map file, models applied over REST, questions by
 * UDP, explanations over HTTP.
 *
 * @module
 */
import { parsePrefix } from "../../../src/ip.ts";
import { decodeMessage, encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { askUdp } from "../../dns/clients.ts";
import { call } from "../../rest.ts";
import { ServeProcess } from "../../serve_process.ts";
import { decidingAddress, type Disagreement, faultOfAnswer } from "./compare.ts";
import { knowledgeOf, type Model, modelOf, type ModelPool, questionOf, Random } from "./model.ts";
import { Oracle } from "./oracle.ts";
import { databaseOf, mapTextOf, NAME } from "./product.ts";

/** What came of it. */
export interface WireComparison {
  readonly models: number;
  readonly questions: number;
  readonly explained: number;
  readonly disagreements: readonly Disagreement[];
}

const QUESTIONS = 20;

/** Compares so many models on one node. */
export async function compareOnWire(
  { first, count }: { readonly first: number; readonly count: number },
): Promise<WireComparison> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-steering-" });
  try {
    const knowledge = knowledgeOf(first);
    const families = ([4, 6] as const).filter((family) =>
      knowledge.networks.some(({ prefix }) => prefix.includes(":") === (family === 6))
    );
    const files = families.map((family) => `${folder}/v${family}.mmdb`);
    for (const [i, family] of families.entries()) {
      await Deno.writeFile(files[i]!, databaseOf(knowledge, family));
    }
    await Deno.writeTextFile(`${folder}/clients.map`, mapTextOf(knowledge));
    const settings = {
      geoip: { database: files, asnDatabase: files },
      mapFile: { path: `${folder}/clients.map` },
    };
    await Deno.writeTextFile(`${folder}/pleiades.yaml`, JSON.stringify(settings));
    await using node = await ServeProcess.start({
      args: ["--config", `${folder}/pleiades.yaml`, "--db", ":memory:"],
    });
    const disagreements: Disagreement[] = [];
    let explained = 0;
    for (let seed = first; seed < first + count; seed++) {
      const model = onWire(modelOf(seed));
      await call(node.api, { method: "POST", path: "/apply?force=true&reason=proof", json: declared(model) });
      const oracle = new Oracle(model, knowledge);
      const random = new Random(seed + 7_000_000);
      for (let i = 0; i < QUESTIONS; i++) {
        const question = { ...questionOf(random, knowledge), client: "127.0.0.1" };
        const type = TYPE[question.type];
        const ecs = question.ecs === null ? null : parsePrefix(question.ecs);
        const query = new URLSearchParams({
          name: NAME,
          type: question.type,
          ...(ecs && { ecs: question.ecs! }),
        });
        const { answer } = await call<{ readonly answer: { readonly wire: string } }>(node.api, {
          method: "GET",
          path: `/explain?${query}`,
        });
        explained++;
        const wire = await askUdp(
          node.dns,
          encodeQuery({ id: 0, name: NAME, type, edns: { udpSize: 1232, ...(ecs && { ecs }) } }),
        );
        const verdict = oracle.decide(type === TYPE.A ? 4 : 6, decidingAddress(model, question));
        const fault = wire.toHex() === answer.wire
          ? faultOfAnswer(decodeMessage(wire).answers, verdict, model)
          : "the explained answer isn't the answer";
        if (fault) disagreements.push({ seed, what: `${JSON.stringify(question)}: ${fault}` });
      }
    }
    return { models: count, questions: count * QUESTIONS, explained, disagreements };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What can be had without waiting for probes and hours: all are well, and nothing is overridden. */
function onWire(model: Model): Model {
  return {
    ...model,
    pools: model.pools.map((pool) => ({
      ...pool,
      isChecked: false,
      // A model names a rule's member by its address, which must be one member's.
      rules: pool.rules.filter(({ member }) =>
        pool.members.filter(({ ip }) => ip === pool.members[member]!.ip).length === 1
      ),
      members: pool.members.map((member) => ({
        ...member,
        isHealthy: true,
        downAtMs: 0,
        rttUs: 0,
        override: null,
      })),
    })),
  };
}

function declared({ pools, ...service }: Model): unknown {
  return {
    pools: pools.map(declaredPool),
    services: [{ domain: NAME, pool: "pool-0", ...service }],
  };
}

function declaredPool(
  { algorithm, maxAnswers, minHealthy, onAllDown, fallback, geofence, members, rules }: ModelPool,
  index: number,
): unknown {
  const unique = new Map(rules.map((rule) => [JSON.stringify(rule), rule]));
  return {
    name: `pool-${index}`,
    ...{ algorithm, maxAnswers, minHealthy, onAllDown, geofence },
    ...(onAllDown === "fallback" && { fallbackPool: `pool-${fallback}` }),
    members: members.map(({ ip, port, weight, priority, enabled, place }) => ({
      ipAddress: ip,
      ...{ port, weight, priority, enabled },
      ...(place && { latitude: place[0], longitude: place[1] }),
    })),
    geoRules: [...unique.values()].map(({ member, ...match }) => ({ ...match, member: members[member]!.ip })),
  };
}
