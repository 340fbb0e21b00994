/**
 * Health on a whole node, with real backends: what is answered when many of them die at once, and what a member says
 * of itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Settings } from "../../src/settings/settings.ts";
import type { GuardNotice } from "../../src/events/event.ts";
import { askFor, call, create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const CHECK = { type: "tcp", intervalMs: 500, timeoutMs: 400, rise: 1, fall: 1 };
/** Longer than it takes to see that something is held, short enough to wait for its end. */
const HOLD_MS = 6_000;
/** So many that a busy machine, too, finds more than half of them down within one interval. */
const MANY = 20;
const KILLED = 18;
const SURVIVORS = ["127.0.0.19", "127.0.0.20"];

Deno.test("backends killed en masse are held, loudly, and then fail over all the same", async () => {
  using backends = new Backends(MANY);
  await using site = await Site.start(backends);
  backends.kill(KILLED);
  await site.tripped();
  assert.equal((await site.answered()).length, MANY);
  const held = await until(() => site.health("127.0.0.1"), ({ state }) => state === "unhealthy");
  assert.deepEqual([held.eligible, held.why], [true, "held by the flip guard"]);
  assert.deepEqual(await site.metrics(), { active: 1, blind: 0, failedOver: 0, confirmed: 0 });
  assert.deepEqual(await until(() => site.answered(), (addresses) => addresses.length < MANY), SURVIVORS);
  assert.equal((await site.health("127.0.0.1")).eligible, false);
  assert.deepEqual(await site.metrics(), { active: 0, blind: 0, failedOver: 1, confirmed: 0 });
  const [tripped, ended] = site.events;
  assert.deepEqual([tripped!.event.change, ended!.event.change], ["tripped", "ended"]);
  const heldMs = ended!.at - tripped!.at;
  assert.ok(heldMs > HOLD_MS - 50 && heldMs < HOLD_MS + 20_000, `held for ${heldMs} ms`);
  assert.equal(site.errors().length, 2);
});

Deno.test("with a canary that lives, backends killed en masse fail over at once", async () => {
  using backends = new Backends(MANY);
  using canary = listen("127.0.0.1");
  await using site = await Site.start(backends, [canary.addr]);
  backends.kill(KILLED);
  assert.deepEqual(await until(() => site.answered(), (addresses) => addresses.length === 2), SURVIVORS);
  const [tripped, ended] = site.events;
  assert.deepEqual([ended?.event.change, ended?.event.outcome], ["ended", "confirmed"]);
  assert.ok(ended!.at - tripped!.at < HOLD_MS, "it waited");
  assert.deepEqual(await site.metrics(), { active: 0, blind: 0, failedOver: 0, confirmed: 1 });
});

Deno.test("a node whose canaries are silent holds even a single down, and lets it go when it sees again", async () => {
  using backends = new Backends(MANY);
  const canary = listen("127.0.0.1");
  const address = canary.addr;
  await using site = await Site.start(backends, [address]);
  canary.close();
  await until(() => site.metrics(), ({ blind }) => blind === 1);
  backends.kill(1);
  const held = await until(() => site.health("127.0.0.1"), ({ state }) => state === "unhealthy");
  assert.deepEqual([held.eligible, held.why], [true, "held: no canary answers"]);
  assert.equal((await site.answered()).length, MANY);
  using _again = Deno.listen({ hostname: address.hostname, port: address.port });
  assert.equal((await until(() => site.answered(), (addresses) => addresses.length < MANY)).length, MANY - 1);
  assert.deepEqual(site.events.map(({ event }) => event.change), ["blinded", "sighted", "overdue"]);
});

Deno.test("guard and canaries follow the settings of a running node", async () => {
  using backends = new Backends(MANY);
  await using site = await Site.start(backends);
  await site.use({ flipGuard: { share: 0, atLeast: 5, hold: HOLD_MS } });
  backends.kill(KILLED);
  assert.deepEqual(await until(() => site.answered(), (addresses) => addresses.length === 2), SURVIVORS);
  assert.deepEqual(site.events, []);
  const silent = { hostname: "127.0.0.1", port: backends.port };
  await site.use({ canaries: { targets: [silent], interval: 250, timeout: 200, hold: 60_000 } });
  await until(() => site.metrics(), ({ blind }) => blind === 1);
  await site.use({});
  assert.equal((await site.metrics()).blind, 0);
});

Deno.test("a member with a calculated check says which of its checks fail", async () => {
  using backends = new Backends(1);
  using admin = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const checks = [{ ...CHECK }, { ...CHECK, port: admin.addr.port }];
  await using site = await Site.start(backends, [], {
    check: { type: "calculated", require: "all", checks },
  });
  const well = await until(() => site.health("127.0.0.1"), ({ state }) => state === "healthy");
  assert.deepEqual([well.eligible, well.why], [true, null]);
  backends.kill(1);
  const { eligible, why, lastError } = await until(
    () => site.health("127.0.0.1"),
    ({ eligible }) => !eligible,
  );
  assert.equal(eligible, false);
  assert.equal(why, `1 of 2 checks pass, 2 needed: tcp ${backends.port}: connection refused`);
  assert.equal(lastError, `tcp ${backends.port}: connection refused`);
});

Deno.test("a target that is down as a part of a calculated check is down in a new plain pool from its first answer", async () => {
  using backends = new Backends(2);
  const checks = [CHECK];
  await using site = await Site.start(backends, [], {
    check: { type: "calculated", require: "any", checks },
  });
  backends.kill(1);
  await until(() => site.answered(), (addresses) => addresses.length === 1);
  assert.deepEqual(await site.answeredByNewPool(backends, CHECK), ["127.0.0.2"]);
});

Deno.test("with manual failback a member waits for an operator, also over a restart", async () => {
  using backends = new Backends(2);
  const folder = await Deno.makeTempDir({ prefix: "pleiades-failback-" });
  const database = { path: `${folder}/node.db` };
  const steady = ["127.0.0.2"];
  try {
    {
      await using site = await Site.start(backends, [], { pool: { failback: "manual" }, database });
      backends.kill(1);
      assert.deepEqual(await until(() => site.answered(), (addresses) => addresses.length === 1), steady);
      const early = await site.failBack("127.0.0.1");
      assert.deepEqual([early.status, /its check fails/.test(JSON.stringify(early.json))], [409, true]);
      backends.revive(1);
      const waiting = await until(() => site.health("127.0.0.1"), ({ state }) => state === "healthy");
      assert.deepEqual([waiting.eligible, waiting.why], [false, "failback: waits for an operator"]);
      assert.deepEqual(await site.answered(), steady);
    }
    await using again = await Site.restart({ database });
    assert.deepEqual(await again.answered(), steady);
    assert.equal((await again.failBack("127.0.0.1")).status, 200);
    assert.deepEqual(await again.answered(), ["127.0.0.1", "127.0.0.2"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("with a failback delay a member says how long it still waits, and then comes back", async () => {
  using backends = new Backends(2);
  await using site = await Site.start(backends, [], { pool: { failbackDelayMs: 1_500 } });
  backends.kill(1);
  await until(() => site.answered(), (addresses) => addresses.length === 1);
  backends.revive(1);
  const waiting = await until(() => site.health("127.0.0.1"), ({ state }) => state === "healthy");
  assert.match(waiting.why ?? "", /^failback: [12] s to go$/);
  await until(() => site.answered(), (addresses) => addresses.length === 2);
});

/** Listeners on 127.0.0.1, 127.0.0.2, …, all on one port. */
class Backends implements Disposable {
  readonly port: number;
  readonly #listeners: (Deno.TcpListener | null)[] = [];

  constructor(readonly count: number) {
    this.#listeners.push(listen("127.0.0.1"));
    this.port = this.#listeners[0]!.addr.port;
    while (this.#listeners.length < count) this.#listeners.push(this.#open(this.#listeners.length));
  }

  /** Kills the first so many. */
  kill(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#listeners[i]!.close();
      this.#listeners[i] = null;
    }
  }

  /** Brings the first so many back. */
  revive(count: number): void {
    for (let i = 0; i < count; i++) this.#listeners[i] = this.#open(i);
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener?.close();
  }

  #open(index: number): Deno.TcpListener {
    return Deno.listen({ hostname: `127.0.0.${index + 1}`, port: this.port });
  }
}

interface SiteOptions {
  readonly check?: unknown;
  readonly pool?: Record<string, unknown>;
  readonly database?: Settings["database"];
}

/** A node that answers `www.example.com` with all backends that stand. */
class Site implements AsyncDisposable {
  readonly #node: TestNode;

  private constructor(node: TestNode) {
    this.#node = node;
  }

  /** Resolves when every backend was found well. */
  static async start(
    backends: Backends,
    canaries: readonly Deno.NetAddr[] = [],
    { check = CHECK, pool = {}, database = TEST_SETTINGS.database }: SiteOptions = {},
  ): Promise<Site> {
    const site = await Site.restart({ database, canaries });
    const node = site.#node;
    const id = await create(node, "/pools", { name: "web", maxAnswers: 0, ...pool });
    for (let i = 1; i <= backends.count; i++) {
      await create(node, `/pools/${id}/members`, { ipAddress: `127.0.0.${i}`, port: backends.port });
    }
    await call(node, "PUT", `/pools/${id}/health-check`, check);
    await create(node, "/services", { domain: "www.example.com", poolId: id });
    await until(
      () => site.#members(),
      (members) => members.every(({ health }) => health.state === "healthy"),
    );
    return site;
  }

  /** On a database that has it all already. */
  static async restart(
    { database, canaries = [] }: {
      readonly database: Settings["database"];
      readonly canaries?: readonly Deno.NetAddr[];
    },
  ): Promise<Site> {
    const targets = canaries.map(({ hostname, port }) => ({ hostname, port }));
    const node = await startTestNode({
      database,
      health: {
        startTimeout: 2_000,
        flipGuard: { share: 0.5, atLeast: 5, hold: HOLD_MS },
        canaries: { targets, interval: 250, timeout: 200, hold: 60_000 },
      },
    });
    return new Site(node);
  }

  /** What happened to the guard since the start. */
  get events(): { readonly event: GuardNotice; readonly at: number }[] {
    const { events } = this.#node.node;
    return events.since(events.origin).events.flatMap(({ event, at }) =>
      event.kind === "guard" ? [{ event, at }] : []
    );
  }

  /** Addresses that are answered, sorted. */
  async answered(): Promise<string[]> {
    return (await askFor(this.#node, "www.example.com")).sort();
  }

  /** Gives the running node other terms; what isn't given gets its default. */
  async use(health: Partial<Settings["health"]>): Promise<void> {
    await this.#node.node.use({ ...TEST_SETTINGS, health: { ...TEST_SETTINGS.health, ...health } });
  }

  /** What the first answer of a new pool over the same backends has. */
  async answeredByNewPool(backends: Backends, check: unknown): Promise<string[]> {
    const members = Array.from({ length: backends.count }, (_, i) => ({
      ipAddress: `127.0.0.${i + 1}`,
      port: backends.port,
    }));
    const id = await create(this.#node, "/pools", { name: "new", maxAnswers: 0 });
    await call(this.#node, "PUT", `/pools/${id}/health-check`, check);
    for (const member of members) await create(this.#node, `/pools/${id}/members`, member);
    await create(this.#node, "/services", { domain: "new.example.com", poolId: id });
    return (await askFor(this.#node, "new.example.com")).sort();
  }

  /** Resolves when something was held. */
  async tripped(): Promise<void> {
    await until(() => this.#members(), () => this.events.length > 0);
  }

  async health(ipAddress: string): Promise<Health> {
    return (await this.#member(ipAddress)).health;
  }

  async failBack(ipAddress: string): Promise<{ readonly status: number; readonly json: unknown }> {
    const { id } = await this.#member(ipAddress);
    return await call(this.#node, "POST", `/members/${id}/failback`, {});
  }

  async metrics() {
    const text = await (await fetch(this.#node.api.replace("/api/v1", "/metrics"))).text();
    const value = (name: string, label = "") =>
      Number(
        text.split("\n").find((line) => line.startsWith(name) && line.includes(label))!.split(" ").at(-1),
      );
    return {
      active: value("pleiades_health_flip_guard_active"),
      blind: value("pleiades_health_blind"),
      failedOver: value("pleiades_health_flip_guard_trips_total", 'outcome="failed_over"'),
      confirmed: value("pleiades_health_flip_guard_trips_total", 'outcome="confirmed"'),
    };
  }

  /** Messages at error. */
  errors(): string[] {
    return this.#node.lines.map((line) => JSON.parse(line)).filter(({ level }) => level === "error")
      .map(({ message }) => message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node[Symbol.asyncDispose]();
  }

  async #member(ipAddress: string): Promise<Member> {
    return (await this.#members()).find((member) => member.ipAddress === ipAddress)!;
  }

  async #members(): Promise<readonly Member[]> {
    const pools = (await call(this.#node, "GET", "/pools")).json as readonly { readonly id: string }[];
    return (await call(this.#node, "GET", `/pools/${pools[0]!.id}/members`)).json as readonly Member[];
  }
}

interface Member {
  readonly id: string;
  readonly ipAddress: string;
  readonly health: Health;
}

interface Health {
  readonly state: string;
  readonly eligible: boolean;
  readonly why: string | null;
  readonly lastError: string | null;
}

function listen(hostname: string): Deno.TcpListener {
  return Deno.listen({ hostname, port: 0 });
}
