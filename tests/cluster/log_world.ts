/**
 * Nodes that share a log over a broker in memory, with the real path of changes and real stores, and a hand that lets things
 * go wrong in an order that a seed draws: edits everywhere, ends of overrides, crashes between a commit, its publication and
 * the acknowledgement, partitions, a replica of the broker that is behind, clocks that differ by minutes, messages that come
 * once more or are none, a stream that is deleted and made again, wiped or restored, a bucket that is lost, a node that loses
 * its database.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { digestOf } from "../../src/change/digest.ts";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Edit } from "../../src/change/edit.ts";
import { LogReplica } from "../../src/change/log_replica.ts";
import {
  type LogBroker,
  LogFault,
  LogFollower,
  MissingPart,
  type StoredMessage,
  type StreamState,
} from "../../src/cluster/log_follower.ts";
import type { LogSnapshot } from "../../src/cluster/log_wire.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { systemClock } from "../../src/clock.ts";
import { createOverride, id, memberFields, ORIGIN, poolFields, serviceFields } from "../change/samples.ts";

/** Numbers that a seed draws. */
export type Draw = (below: number) => number;

/** Mulberry32. */
export function drawsOf(seed: number): Draw {
  let state = seed;
  return (below) => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}

class Away extends Error {}

/** What a copy of a broker has. */
interface Kept {
  readonly messages: StoredMessage[];
  readonly created: number;
  readonly first: number;
  readonly parts: Map<string, readonly Uint8Array[]>;
  readonly snapshot: LogSnapshot | null;
}

/** Messages after a snapshot until the next one: few, so that most lives have some. */
const SNAPSHOT_EVERY = 12;

/** What is between a node and the broker. */
interface Link {
  /** Whether nothing comes through. */
  isAway: boolean;
  /** Whether what is published arrives, and its acknowledgement doesn't. */
  losesAcknowledgement: boolean;
  /** Messages that the replica lacks which is read from. */
  behind: number;
}

/** A broker that keeps messages, and can lose them. */
export class MemoryBroker {
  messages: StoredMessage[] = [];
  created = 1;
  /** Messages that it had when it was copied. */
  backup: Kept = { messages: [], created: 1, first: 1, parts: new Map(), snapshot: null };
  /** Sequence of the first message. */
  first = 1;
  parts = new Map<string, readonly Uint8Array[]>();
  snapshot: LogSnapshot | null = null;
  sizeMax = 1 << 20;
  /** Messages that are read at once. */
  readMax = 5;

  /** Another program publishes: what was published before, or what is no entry. */
  intrude(draw: Draw): void {
    const sequence = this.messages.length + 1;
    const { bytes, isGzipped, id } = this.messages.length === 0 || draw(4) === 0
      ? { bytes: new TextEncoder().encode("{"), isGzipped: false, id: "" }
      : this.messages[draw(this.messages.length)]!;
    this.messages.push({ bytes, isGzipped, id: draw(2) === 0 ? id : "", sequence, isBelieved: true });
  }

  /** What lies beside the log is lost. */
  loseBucket(): void {
    this.parts = new Map();
    this.snapshot = null;
  }

  wipe(): void {
    this.messages = [];
    this.first = 1;
    this.loseBucket();
    this.created++;
  }

  copy(): void {
    const { created, first, snapshot } = this;
    this.backup = { messages: [...this.messages], created, first, snapshot, parts: new Map(this.parts) };
  }

  restore(isSameStream: boolean): void {
    this.messages = [...this.backup.messages];
    this.first = this.backup.first;
    this.parts = new Map(this.backup.parts);
    this.snapshot = this.backup.snapshot;
    this.created = isSameStream ? this.backup.created : this.created + 1;
  }

  /** As one node sees it. */
  seenBy(link: Link): LogBroker {
    const call = <Result>(work: () => Result): Promise<Result> => {
      if (link.isAway) return Promise.reject(new Away());
      return Promise.resolve(work());
    };
    const state = (): StreamState => ({
      created: String(this.created),
      first: this.first,
      last: this.messages.length,
      messages: this.messages.length + 1 - this.first,
    });
    const part = (digest: string): readonly Uint8Array[] => {
      if (link.isAway) throw new Away();
      const kept = this.parts.get(digest);
      if (kept === undefined) throw new MissingPart("it was lost");
      return kept;
    };
    return {
      sizeMax: this.sizeMax,
      open: () => call(state),
      state: () => call(state),
      after: (sequence) =>
        call(() => {
          const from = Math.max(sequence, this.first - 1);
          const seen = Math.max(this.messages.length - link.behind, from);
          const messages = this.messages.slice(from, Math.min(from + this.readMax, seen));
          return { messages, hasMore: from + messages.length < seen };
        }),
      at: (sequence) => call(() => sequence < this.first ? null : this.messages[sequence - 1] ?? null),
      forget: ({ sequence }) => call(() => void (this.first = Math.max(this.first, sequence))),
      keep: (body) =>
        call(() => {
          const bytes = [...body];
          const digest = createHash("sha256").update(Buffer.concat(bytes)).digest("hex");
          this.parts.set(digest, bytes);
          return digest;
        }),
      part: async function* (digest) {
        await Promise.resolve();
        yield* part(digest);
      },
      snapshot: () => call(() => this.snapshot),
      putSnapshot: (snapshot) => call(() => void (this.snapshot = snapshot)),
      publish: ({ after, afterId, ...message }) =>
        call(() => {
          if (after !== this.messages.length) return null;
          if (afterId !== "" && afterId !== this.messages.at(-1)?.id) return null;
          const sequence = after + 1;
          this.messages.push({ ...message, sequence, isBelieved: true });
          if (link.losesAcknowledgement) throw new Away();
          return sequence;
        }),
    };
  }
}

const SILENT = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });

/** One node. */
export class WorldNode implements Disposable {
  readonly name: string;
  readonly link: Link = { isAway: false, losesAcknowledgement: false, behind: 0 };
  /** By how much its clock is ahead, milliseconds. */
  aheadMs = 0;
  store: Store = Store.memory();
  changes!: Changes;
  replica!: LogReplica;
  follower: LogFollower | null = null;
  faults: string[] = [];
  /** What was once here, and must not go. */
  readonly seen = new Set<string>();
  readonly #world: World;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.start();
  }

  /** Begins again with what the database has. */
  start(): void {
    const clock = { unixMs: () => this.unixMs() };
    this.changes = new Changes({ store: this.store, clock });
    this.replica = new LogReplica({ store: this.store, changes: this.changes, clock });
    this.replica.join({ cluster: "test", node: this.name, boot: "00" });
    this.follower = null;
  }

  /** By its own clock. */
  unixMs(): number {
    return this.#world.clock.unixMs() + this.aheadMs;
  }

  /** The machine is lost; another one takes its place. */
  replace(): void {
    this.store.close();
    this.store = Store.memory();
    this.seen.clear();
    this.start();
  }

  /** Follows the log for one step. */
  async step(): Promise<void> {
    try {
      if (this.follower === null) {
        const broker = this.#world.broker.seenBy(this.link);
        const follower = new LogFollower({
          ...{ broker, replica: this.replica, node: this.name, log: SILENT },
          ...{ signal: new AbortController().signal, snapshotEvery: SNAPSHOT_EVERY },
        });
        await follower.begin();
        this.follower = follower;
      }
      await this.follower.read();
      const isSame = this.replica.pendingCount() > 0
        ? await this.follower.turn() !== "other"
        : await this.follower.isSame();
      if (!isSame) this.follower = null;
      else await this.follower.snapshot() || await this.follower.replaceSnapshot();
    } catch (error) {
      if (!(error instanceof Away) && !(error instanceof LogFault)) throw error;
      if (error instanceof LogFault) this.faults.push(error.message);
      this.follower = null;
    }
  }

  commit(edits: readonly Edit[]): boolean {
    try {
      this.changes.commit(edits, { ...ORIGIN, by: this.name });
      return true;
    } catch (error) {
      if (!(error instanceof ChangeRefused)) throw error;
      return false;
    }
  }

  /** Ends of overrides by this node's own clock. */
  expire(): void {
    const nowMs = this.unixMs();
    const ended = this.store.overrides.all().filter(({ expiresAt }) => expiresAt <= nowMs);
    if (ended.length === 0) return;
    const edits = ended.map(({ id }) => ({ kind: "deleteOverride", id }) as const);
    this.changes.commit(edits, { via: "expiry", by: "", reason: "expired" });
  }

  /** What must hold at each moment. */
  look(): void {
    const domains = new Set([...this.store.services.each()].map(({ domain }) => domain));
    for (const domain of this.seen) ok(domains.has(domain), `${this.name} went back: ${domain} is gone`);
    for (const domain of domains) if (domain.startsWith("kept-")) this.seen.add(domain);
    if (domains.has(LIVE)) this.seen.add(LIVE);
    if (!this.seen.has(LIVE)) return;
    const { poolId } = this.store.services.byDomain(LIVE)!;
    ok(poolId !== null && this.store.members.rowsOf(poolId).length > 0, `${this.name}: ${LIVE} is empty`);
  }

  /** All that is to be equal. */
  text(): string {
    const overrides = this.store.overrides.all().map(({ id }) => id).sort();
    const members = [...this.store.pools.each()].flatMap(({ id }) => this.store.members.rowsOf(id))
      .map(({ id, seq }) => `${id} ${seq}`).sort();
    return JSON.stringify({ digest: digestOf(this.store).value, overrides, members });
  }

  [Symbol.dispose](): void {
    this.store.close();
  }
}

/** The name that always has a member. */
const LIVE = "live.example.org";
const LIVE_POOL = id(1);

/** Everything. */
export class World implements Disposable {
  readonly broker = new MemoryBroker();
  readonly clock = { nowMs: 1_767_225_600_000, unixMs: () => this.clock.nowMs };
  readonly nodes: WorldNode[];
  readonly #draw: Draw;
  #next = 100;

  constructor(seed: number, count = 3) {
    this.#draw = drawsOf(seed);
    this.nodes = Array.from({ length: count }, (_, i) => new WorldNode(this, "abcdefgh"[i]!));
  }

  /** Lets one thing happen. @returns what */
  async happen(): Promise<string> {
    const node = this.nodes[this.#draw(this.nodes.length)]!;
    const what = this.#draw(100);
    this.clock.nowMs += this.#draw(20) * 1_000;
    if (what < 40) return this.#edit(node);
    if (what < 75) {
      node.link.losesAcknowledgement = this.#draw(8) === 0;
      node.link.behind = this.#draw(8) === 0 ? this.#draw(3) + 1 : 0;
      await node.step();
      return `${node.name} steps`;
    }
    if (what < 80) {
      node.expire();
      return `${node.name} expires`;
    }
    if (what < 81) {
      node.aheadMs = this.#draw(601) * 1_000 - 300_000;
      return `${node.name} is ${node.aheadMs} ms ahead`;
    }
    if (what < 84) {
      node.start();
      return `${node.name} starts again`;
    }
    if (what < 92) {
      node.link.isAway = !node.link.isAway;
      return `${node.name} is ${node.link.isAway ? "away" : "back"}`;
    }
    if (what < 94) return this.#replace(node);
    if (what < 96) {
      this.broker.copy();
      return "the broker is copied";
    }
    if (what < 98) {
      const isSame = this.#draw(2) === 0;
      this.broker.restore(isSame);
      return `the broker is restored (${isSame})`;
    }
    if (what < 99) {
      this.broker.wipe();
      return "the broker is wiped";
    }
    if (this.#draw(2) === 0) {
      this.broker.loseBucket();
      return "the broker loses its bucket";
    }
    this.broker.intrude(this.#draw);
    return "another program publishes";
  }

  /** All is well again; resolves when the nodes agree. */
  async heal(): Promise<void> {
    for (const { link } of this.nodes) {
      link.isAway = link.losesAcknowledgement = false;
      link.behind = 0;
    }
    for (let round = 0; round < 30; round++) {
      for (const node of this.nodes) {
        await node.step();
        node.look();
      }
    }
    this.clock.nowMs += 1_000_000;
    for (const node of this.nodes) node.expire();
    const texts = new Set(this.nodes.map((node) => node.text()));
    const told = this.nodes.map(({ name, replica, faults, store }) =>
      `${name}: ${JSON.stringify(replica.position())} pending ${replica.pendingCount()} ${
        faults.at(-1) ?? ""
      } ` +
      JSON.stringify(store.log.conflicts(3).map(({ why }) => why))
    );
    ok(texts.size === 1, `They differ:\n${told.join("\n")}`);
    ok(this.nodes.every(({ replica }) => replica.pendingCount() === 0), `Pending:\n${told.join("\n")}`);
    const all = new Set(this.nodes.flatMap(({ seen }) => [...seen]));
    for (const node of this.nodes) {
      for (const domain of all) ok(node.seen.has(domain), `${node.name} never got ${domain}`);
    }
  }

  look(): void {
    for (const node of this.nodes) node.look();
  }

  #replace(node: WorldNode): string {
    const { head } = node.replica.position();
    const others = this.nodes.filter((other) => other !== node);
    if (node.replica.pendingCount() > 0 || !others.some(({ replica }) => replica.position().head === head)) {
      return "nothing";
    }
    node.replace();
    return `${node.name} is replaced`;
  }

  #edit(node: WorldNode): string {
    const n = this.#next++;
    const pools = [...node.store.pools.each()].filter(({ id }) => id !== LIVE_POOL);
    const services = [...node.store.services.each()].filter(({ domain }) => domain.startsWith("some-"));
    const pick = <Item>(items: readonly Item[]): Item | undefined => items[this.#draw(items.length || 1)];
    const [pool, service] = [pick(pools), pick(services)];
    const members = pool ? node.store.members.rowsOf(pool.id) : [];
    const member = pick(members);
    const name = `pool-${this.#draw(5)}`;
    const edits = ((): Edit[] => {
      switch (this.#draw(14)) {
        case 0:
          return [
            { kind: "createPool", id: id(n), fields: poolFields({ name }) },
            ...[1, 2, 3].map((i) =>
              ({
                kind: "createMember",
                ...{ id: id(n + 10_000 * i), poolId: id(n) },
                fields: memberFields({ ipAddress: `192.0.2.${100 + i}` }),
              }) as const
            ),
          ];
        case 1:
          return pool ? [{ kind: "updatePool", id: pool.id, fields: poolFields({ name }) }] : [];
        case 2:
          return pool
            ? [{
              kind: "updatePool",
              id: pool.id,
              fields: poolFields({ ...pool, maxAnswers: this.#draw(5) }),
            }]
            : [];
        case 3:
          return pool ? [{ kind: "deletePool", id: pool.id }] : [];
        case 4:
        case 5: {
          const fields = memberFields({ ipAddress: `192.0.2.${this.#draw(20) + 1}` });
          return [{ kind: "createMember", id: id(n), poolId: pool?.id ?? LIVE_POOL, fields }];
        }
        case 6:
          return member
            ? [{
              kind: "updateMember",
              id: member.id,
              fields: memberFields({ ...member, weight: this.#draw(9) + 1 }),
            }]
            : [];
        case 7:
          return member ? [{ kind: "deleteMember", id: member.id }] : [];
        case 8:
          return [{
            kind: "createService",
            id: id(n),
            fields: serviceFields({ domain: `some-${this.#draw(4)}.example.org`, poolId: pool?.id ?? null }),
          }];
        case 9:
          return service
            ? [{
              kind: "updateService",
              id: service.id,
              fields: serviceFields({ ...service, poolId: pool?.id ?? null }),
            }]
            : [];
        case 10:
          return service ? [{ kind: "deleteService", id: service.id }] : [];
        case 11:
          return member
            ? [createOverride(n, {
              target: this.#draw(2) === 0 ? `member:${member.id}` : `pool:${pool!.id}`,
              ...{ startsAt: node.unixMs(), expiresAt: node.unixMs() + 60_000 },
            })]
            : [];
        case 12:
          return [{
            kind: "createService",
            id: id(n),
            fields: serviceFields({ domain: `kept-${n}.example.org` }),
          }];
        default: {
          const text = `@ 300 IN TXT "${n}"\n`;
          return [{ kind: "putZone", domain: `zone-${this.#draw(2)}.example.net`, text }];
        }
      }
    })();
    const isMade = edits.length > 0 && node.commit(edits);
    return `${node.name} ${isMade ? "commits" : "refuses"} ${JSON.stringify(edits)}`;
  }

  /** The name that is live, from the start. */
  begin(): void {
    this.nodes[0]!.commit([
      { kind: "createPool", id: LIVE_POOL, fields: poolFields({ name: "live" }) },
      {
        kind: "createMember",
        id: id(2),
        poolId: LIVE_POOL,
        fields: memberFields({ ipAddress: "198.51.100.1" }),
      },
      { kind: "createService", id: id(3), fields: serviceFields({ domain: LIVE, poolId: LIVE_POOL }) },
    ]);
  }

  [Symbol.dispose](): void {
    for (const node of this.nodes) node[Symbol.dispose]();
  }
}

/** Runs one seed. @throws {Error} with what happened when something doesn't hold */
export async function simulate(seed: number, steps = 120): Promise<void> {
  using world = new World(seed);
  world.begin();
  for (let i = 0; i < 3; i++) for (const node of world.nodes) await node.step();
  const story: string[] = [];
  try {
    for (let i = 0; i < steps; i++) {
      story.push(await world.happen());
      world.look();
    }
    await world.heal();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Seed ${seed}: ${message}\n${story.slice(-60).join("\n")}`, { cause });
  }
}
