/**
 * Why an answer is what it is: runs the production engine dry over the snapshot and board of now, and joins what it
 * says on the way with what is declared, probed and overridden. There is no second implementation of any
 * decision here: the words may be wrong, the answer can't be.
 *
 * A dry run draws no ticket and moves no counter, so the explained answer is the next one to that question.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { MapFile } from "../geo/map_file_table.ts";
import { poolOfFallback } from "../desired/fallback.ts";
import type { Pool } from "../model/model.ts";
import { Clients, OpenGeoData } from "../dns/clients.ts";
import { Engine } from "../dns/engine.ts";
import type { AnswerSource } from "../dns/trace.ts";
import { familyOf, formatIp, formatPrefix } from "../ip.ts";
import { EMPTY_GEO_DATA } from "../geo/geo_data.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import {
  aliasAt,
  aliasesOf,
  changesAtOf,
  intervalMsOf,
  membersIn,
  millisecondsUntil,
  nameAtOf,
  namedListOf,
  namedOf,
  slotOf,
  type Snapshot,
  SnapshotView,
} from "../snapshot/view.ts";
import { decodeMessage, encodeQuery, formatMessage, type Message } from "../wire/message.ts";
import { wireToName } from "../wire/name.ts";
import { rcodeName, TYPE, typeName } from "../wire/record_type.ts";
import { type Budget, budgetOf, pastFailovers } from "./budget.ts";
import { explainCandidates } from "./candidates.ts";
import {
  type Asked,
  type ExplainedAnswer,
  type ExplainedClient,
  type ExplainedRotation,
  type Explanation,
  UDP_SIZE_DEFAULT,
} from "./explanation.ts";
import { limitSteps } from "./limit_steps.ts";
import { type PoolLook, Recording } from "./recording.ts";
import type { Considered, ExplainSources, Situation } from "./situation.ts";
import { describeSteps } from "./steps.ts";
import { formatRule } from "./words.ts";

/** Answers shown ahead. */
const TURNS_SHOWN = 5;
const OUT_SIZE = 0xffff;
const LOOPBACK = new Uint8Array([127, 0, 0, 1]);

/** Explains answers. */
export class Explainer {
  readonly #sources: ExplainSources;
  readonly #recording = new Recording();
  readonly #out = new Uint8Array(OUT_SIZE);
  /** When the account at hand is of: one time for all of it. */
  #nowMs = 0;
  /** By what is answered from; a snapshot that is no more takes its stage along. */
  readonly #stages = new WeakMap<Snapshot, Stage>();

  /** Reads nothing yet. */
  constructor(sources: ExplainSources) {
    this.#sources = sources;
  }

  /**
   * Explains the next answer to a question.
   *
   * @throws {SyntaxError} when the name is none
   */
  explain(asked: Asked): Explanation {
    const { generation } = this.#sources;
    const { snapshot, engine, packet, wire, message, situation } = this.#dryRunOf(asked);
    const next = situation.choice === null || situation.choice.turn.lead < 2
      ? []
      : this.#turnsAhead(engine, { packet, asked, first: message });
    const client = clientOf(asked, { ...situation, snapshot });
    return {
      at: rfc3339(this.#nowMs),
      generation: generation(),
      question: {
        name: wireToName(situation.question),
        type: typeName(asked.type),
        ecs: asked.ecs && formatPrefix(asked.ecs),
        wire: packet.toHex(),
      },
      client,
      steps: [
        ...limitSteps(situation, { query: packet.length, answer: wire.length }),
        ...describeSteps(situation, client),
      ],
      candidates: explainCandidates(situation),
      rotation: rotationOf(situation, next),
      answer: answerOf(message, wire),
    };
  }

  /**
   * How long faults of the service that answers a name are seen; `null` = no service does.
   *
   * @throws {SyntaxError} when the name is none
   */
  budget(name: string): Budget | null {
    const { failovers, flipGuardHoldMs } = this.#sources;
    for (const type of [TYPE.A, TYPE.AAAA]) {
      const { considered: [first], service } = this.#dryRunOf({
        name,
        type,
        client: LOOPBACK,
        ecs: null,
        udpSize: UDP_SIZE_DEFAULT,
      }).situation;
      if (!first || !service) continue;
      const pools = this.#chainFrom(first.pool);
      return {
        name,
        service: service.domain,
        ttl: service.ttl,
        pools: pools.map((pool) => budgetOf(pool, service.ttl)),
        flipGuardHoldMs: flipGuardHoldMs(),
        failovers: pools.flatMap((pool) => pastFailovers(pool, failovers)),
      };
    }
    return null;
  }

  /** The pools that answer one after the other when the one before is down. */
  #chainFrom(first: Pool): Pool[] {
    const chain = [first];
    while (chain.at(-1)!.onAllDown === "fallback") {
      const next = this.#poolOf(chain.at(-1)!.fallbackPoolId);
      if (!next) break;
      chain.push(next);
    }
    return chain;
  }

  #dryRunOf(asked: Asked): DryRun {
    const { snapshot, board } = this.#sources.current();
    this.#nowMs = this.#sources.clock.unixMs();
    const { engine, view } = this.#stageFor(snapshot, board);
    const packet = packetOf(asked);
    const wire = this.#answerDry(engine, { packet, asked, ahead: 0 });
    const message = decodeMessage(wire);
    const situation = this.#situation(asked, { recording: this.#recording, view, board, message });
    return { snapshot, engine, packet, wire, message, situation };
  }

  #stageFor(snapshot: Snapshot, board: LiveBoard): Stage {
    const known = this.#stages.get(snapshot);
    if (known?.board === board) return known;
    // No worker's lane is touched by a dry run.
    const engine = new Engine({ ...this.#sources.engine, lane: 0 }, () => this.#nowMs, this.#recording);
    engine.use(snapshot, board);
    const stage = { engine, board, view: new SnapshotView(snapshot) };
    this.#stages.set(snapshot, stage);
    return stage;
  }

  #answerDry(
    engine: Engine,
    { packet, asked, ahead }: { readonly packet: Uint8Array; readonly asked: Asked; readonly ahead: number },
  ): Uint8Array {
    this.#recording.begin();
    engine.lookAhead(ahead);
    const client = { stream: false, address: () => asked.client };
    const size = engine.answer(packet, packet.length, client, this.#out, OUT_SIZE);
    return this.#out.slice(0, size);
  }

  /** With what this and the next answers begin. Overwrites nothing of the recording that was taken before. */
  #turnsAhead(
    engine: Engine,
    { packet, asked, first }: { readonly packet: Uint8Array; readonly asked: Asked; readonly first: Message },
  ): string[] {
    const messages = [first];
    for (let ahead = 1; ahead < TURNS_SHOWN; ahead++) {
      messages.push(decodeMessage(this.#answerDry(engine, { packet, asked, ahead })));
    }
    return messages.map(({ answers }) => (answers.find(isAddress) ?? answers[0])?.data ?? "");
  }

  #situation(
    asked: Asked,
    { recording, view, board, message }: {
      readonly recording: Recording;
      readonly view: SnapshotView;
      readonly board: LiveBoard;
      readonly message: Message;
    },
  ): Situation {
    const { names, pools, choice, decider, decidedFor, scopeBits } = recording;
    // A service may answer with an alias, and then other names follow; before it there are static aliases.
    const steered = names.find(({ source }) => STEERED.includes(source)) ?? names.at(-1);
    const isFallback = steered?.source === "fallback";
    const service = !steered || pools.length === 0 || isFallback
      ? null
      : this.#sources.service(nameOfEntry(view, steered.entry));
    const clients = new Clients(view, board, new OpenGeoData(EMPTY_GEO_DATA));
    const considered: Considered[] = this.#emptyPool(asked, { recording, view });
    let pool = pools.length === 0 ? null : isFallback ? this.#fallbackPool() : this.#poolOf(service?.poolId);
    for (const look of pools) {
      if (!pool) break;
      considered.push({
        look,
        pool,
        listed: clients.candidates(look.list).map((it) => ({ ...it, alias: aliasOf(look, it.index, view) })),
        downAt: downAtOf(look.list, { view, board }),
        intervalMs: intervalMsOf(view.records, look.pool),
        leftMs: leftOf(changesAtOf(view.records, look.pool), this.#nowMs),
      });
      pool = this.#poolOf(pool.fallbackPoolId);
    }
    return {
      asked,
      message,
      question: names[0]?.name ?? new Uint8Array(1),
      names: names.map((step) => ({
        ...step,
        owner: step.entry === 0 || step.source === "fallback" ? null : nameOfEntry(view, step.entry),
      })),
      considered,
      choice,
      decider: considered.find(({ look }) => look === decider) ?? null,
      decidedFor,
      scopeBits,
      service: isFallback
        ? { domain: null, ttl: this.#sources.fallback()?.ttl ?? 0, minTtl: 0, ecs: true }
        : service,
      ruling: this.#sources.rulings(),
      nowMs: this.#nowMs,
      sources: this.#sources,
    };
  }

  /** The pool of a service that isn't answered from it, because it has no enabled member of the family; or nothing. */
  #emptyPool(
    { type }: Asked,
    { recording: { names, pools }, view }: { readonly recording: Recording; readonly view: SnapshotView },
  ): Considered[] {
    const last = names.at(-1);
    if (pools.length > 0 || !isAddress({ type }) || !last || last.entry === 0 || last.source !== "nothing") {
      return [];
    }
    const asked = wireToName(last.name);
    const encloser = nameOfEntry(view, last.entry);
    const service = this.#sources.service(encloser === asked ? asked : `*.${encloser}`);
    const pool = this.#poolOf(service?.poolId);
    return pool ? [{ look: NO_LOOK, pool, listed: [], downAt: [], intervalMs: 0, leftMs: null }] : [];
  }

  #poolOf(id: string | null | undefined): Pool | null {
    return id ? this.#sources.pool(id) : null;
  }

  #fallbackPool(): Pool | null {
    const declared = this.#sources.fallback();
    return declared && poolOfFallback(declared.fallback);
  }
}

/** What answers from a pool. */
const STEERED: readonly AnswerSource[] = ["service", "wildcard-service", "fallback"];

/** At a pool that the engine had no reason to look at. */
const NO_LOOK: PoolLook = {
  pool: 0,
  list: 0,
  up: 0,
  needed: 1,
  leading: null,
  whom: "up",
  reason: null,
  allDown: null,
};

/** What dry runs over one snapshot take place on: to open a large one costs more than an account. */
interface Stage {
  readonly engine: Engine;
  readonly board: LiveBoard;
  readonly view: SnapshotView;
}

/** One answer, and all that is known of it. */
interface DryRun {
  readonly snapshot: Snapshot;
  readonly engine: Engine;
  readonly packet: Uint8Array;
  readonly wire: Uint8Array;
  readonly message: Message;
  readonly situation: Situation;
}

/** The packet that asks. Its id is 0: the answer's is the same. */
function packetOf({ name, type, ecs, udpSize }: Asked): Uint8Array {
  const edns = udpSize === 0 ? {} : { edns: ecs ? { udpSize, ecs } : { udpSize } };
  return encodeQuery({ id: 0, name, type, ...edns });
}

function nameOfEntry(view: SnapshotView, entry: number): string {
  return wireToName(view.heap, nameAtOf(view.records, entry));
}

/** The name as which a member of the list is answered; `null` = by its address. */
function aliasOf({ pool, list }: PoolLook, index: number, { records, heap }: SnapshotView): string | null {
  const named = namedOf(records, pool);
  const family = named === 0
    ? undefined
    : ([4, 6] as const).find((it) => namedListOf(records, named, it) === list);
  if (family === undefined) return null;
  const nameAt = aliasAt(records, aliasesOf(records, named, family), index);
  return nameAt === 0 ? null : wireToName(heap, nameAt);
}

function downAtOf(
  list: number,
  { view, board }: { readonly view: SnapshotView; readonly board: LiveBoard },
): number[] {
  const { records } = view;
  return Array.from(
    { length: membersIn(records, list) },
    (_, index) => board.downAt[slotOf(records, list, index)]!,
  );
}

/** Milliseconds until the next planned change; `null` = there is none. */
function leftOf(changesAt: number, nowMs: number): number | null {
  return changesAt === 0 ? null : millisecondsUntil(changesAt, nowMs);
}

function isAddress({ type }: { readonly type: number }): boolean {
  return type === TYPE.A || type === TYPE.AAAA;
}

function clientOf(
  { client, ecs }: Asked,
  { considered, decidedFor, snapshot }: Situation & { readonly snapshot: Snapshot },
): ExplainedClient {
  const address = decidedFor?.address ?? client;
  const bits = decidedFor?.bits ?? client.length * 8;
  const decided = considered.findLast(({ look }) => look.reason !== null);
  const reason = decided?.look.reason?.reason ?? null;
  const isMapAsked = considered.some(({ look, pool }) => look.reason && pool.algorithm === "map-file");
  const origin = isMapAsked && snapshot.geoData.map
    ? new MapFile(snapshot.geoData.map).origin(address)
    : null;
  return {
    address: formatIp(address),
    source: decidedFor?.source ?? "address",
    prefix: formatPrefix(
      decidedFor?.source === "ecs" && ecs ? ecs : { family: familyOf(address), bytes: address, length: bits },
    ),
    country: reason?.country ?? null,
    continent: reason?.continent ?? null,
    asn: reason?.asn || null,
    latitude: reason?.place?.latitude ?? null,
    longitude: reason?.place?.longitude ?? null,
    geoRule: reason?.rule ? formatRule(reason.rule) : null,
    mapFile: origin && { prefix: formatPrefix(origin.prefix), line: origin.line },
  };
}

function rotationOf({ choice, decider }: Situation, next: string[]): ExplainedRotation | null {
  if (!choice || !decider || choice.turn.lead < 2) return null;
  const { ticket, lead, cycle } = choice.turn;
  return { ticket, members: lead, turn: ticket % cycle + 1, cycle, next };
}

function answerOf(message: Message, wire: Uint8Array): ExplainedAnswer {
  const records = message.answers.map(({ name, type, ttl, data }) => ({
    name,
    type: typeName(type),
    ttl,
    data,
  }));
  return {
    rcode: rcodeName(message.rcode),
    truncated: message.flags.tc,
    records,
    ttl: records.length === 0 ? null : Math.min(...records.map(({ ttl }) => ttl)),
    scope: message.edns?.ecs?.scope ?? null,
    wire: wire.toHex(),
    text: formatMessage(message),
  };
}
