/**
 * Services in a real Consul: they stand there as long as they run, and a checker finds secondaries there.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type Clock, seededRng, systemClock } from "../../src/clock.ts";
import { ConsulRegistration } from "../../src/consul/registration.ts";
import { ServiceWatch, valuesOf } from "../../src/consul/services.ts";
import { formatSocketAddress, type SocketAddress } from "../../src/ip.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { freePort } from "../free_port.ts";
import { program, testWith } from "../programs.ts";
import { answersOf, GuardedNats, Installation, until, zoneBody } from "./installation.ts";

/** May do anything. */
const TOKEN = "11111111-2222-3333-4444-555555555555";

/** An agent that keeps nothing over a restart, and shows nothing without a token. */
class ConsulAgent implements AsyncDisposable {
  readonly #port = freePort();
  readonly #others = Array.from({ length: 3 }, freePort);
  #child: Deno.ChildProcess | null = null;

  get address(): SocketAddress {
    return { hostname: "127.0.0.1", port: this.#port };
  }

  get url(): string {
    return `http://${formatSocketAddress(this.address)}`;
  }

  async start(): Promise<void> {
    const [server, lan, wan] = this.#others;
    this.#child = new Deno.Command(program("consul")!, {
      args: [
        ...["agent", "-dev", "-bind=127.0.0.1", "-log-level=error", `-http-port=${this.#port}`],
        ...["-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", `-server-port=${server}`],
        ...[`-serf-lan-port=${lan}`, `-serf-wan-port=${wan}`, "-hcl"],
        `acl { enabled = true, default_policy = "deny", tokens { initial_management = "${TOKEN}", agent = "${TOKEN}" } }`,
      ],
      ...{ stdin: "null", stdout: "null", stderr: "null" },
    }).spawn();
    await until(() => this.services().then(() => true, () => false), (isUp) => isUp);
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
    this.#child = null;
  }

  /** Each service of the agent: its id, tags, host and state. */
  async services(): Promise<readonly (readonly string[])[]> {
    const get = async (path: string) => {
      const response = await fetch(`${this.url}/v1/agent/${path}`, { headers: { "X-Consul-Token": TOKEN } });
      if (!response.ok) throw new Error(await response.text());
      return await response.json();
    };
    const services: Record<string, { ID: string; Tags: string[]; Meta: { host: string } }> = await get(
      "services",
    );
    const checks: Record<string, { Status: string }> = await get("checks");
    return Object.values(services).map(({ ID, Tags, Meta }) => [
      ...[ID, Tags.join(), Meta.host, checks[`service:${ID}`]?.Status ?? "none"],
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

testWith(
  ["consul", "nats-server", "pdns_server"],
  "services stand in Consul, and secondaries are found there",
  async (test) => {
    await using consul = new ConsulAgent();
    await consul.start();
    const needs = (clock: Clock, token: string | null = TOKEN) => {
      const lines: string[] = [];
      const write = (line: string) => void lines.push(line);
      const log = createLogger({ level: "info", format: "json", clock, write });
      const terms = { addresses: [consul.address], token, tokenKey: "distribute.consul.token", tls: null };
      return { lines, terms, clock, rng: seededRng(1), log };
    };
    const secondaries = (tags: readonly string[] = []) => ({
      ...{ name: "pdns-secondary-syncer", tags, key: "host" },
    });
    const syncer = (host: string, isWell = () => true) => ({
      ...{ id: `pdns-secondary-syncer-id-${host}`, name: "pdns-secondary-syncer" },
      ...{ tags: ["dns"], meta: { host }, isWell },
    });
    const told: (readonly string[])[] = [];

    await test.step("a service stands there with what tells it apart, and goes when it ends", async () => {
      await using _following = new ServiceWatch(
        needs(systemClock),
        secondaries(["dns"]),
        (hosts) => told.push(hosts),
      );
      await until(() => told.length, (count) => count === 1);
      const first = new ConsulRegistration(needs(systemClock), syncer("a.test"));
      await using _second = new ConsulRegistration(needs(systemClock), syncer("b.test", () => false));
      await using _foreign = new ConsulRegistration(needs(systemClock), {
        ...syncer("c.test"),
        tags: ["other"],
      });
      await until(() => told.at(-1), (hosts) => hosts?.join() === "a.test,b.test");
      await until(async () => (await consul.services()).length, (count) => count === 3);
      deepEqual((await consul.services()).toSorted(), [
        ["pdns-secondary-syncer-id-a.test", "dns", "a.test", "passing"],
        ["pdns-secondary-syncer-id-b.test", "dns", "b.test", "warning"],
        ["pdns-secondary-syncer-id-c.test", "other", "c.test", "passing"],
      ]);
      const { terms } = needs(systemClock);
      const all = await valuesOf(terms, secondaries(), AbortSignal.timeout(10_000));
      deepEqual(all, ["a.test", "b.test", "c.test"]);
      await first[Symbol.asyncDispose]();
      await until(() => told.at(-1), (hosts) => hosts?.join() === "b.test");
      deepEqual(told[0], []);
    });

    await test.step("what was last said holds while the register is away, and it learns again what it forgot", async () => {
      const clock = new ManualClock();
      await using _service = new ConsulRegistration(needs(clock), syncer("d.test"));
      const heard = needs(systemClock);
      const hosts: string[] = [];
      await using _following = new ServiceWatch(heard, secondaries(["dns"]), (all) => hosts.push(all.join()));
      await until(() => hosts.at(-1), (last) => last === "d.test");
      await consul.kill();
      await until(() => heard.lines.length, (count) => count === 1);
      match(heard.lines[0]!, /Consul doesn't say which services are called pdns-secondary-syncer/);
      equal(hosts.at(-1), "d.test");
      await consul.start();
      equal((await consul.services()).length, 0);
      // It hears at its next sign of life that it has been forgotten.
      await until(
        async () => {
          await clock.advance(5_000);
          return (await consul.services()).length;
        },
        (count) => count === 1,
      );
      await until(() => hosts.at(-1), (last) => last === "d.test");
    });

    await test.step("an empty list for lack of rights is a fault, and is said once", async () => {
      const denied = needs(systemClock, "22222222-2222-3333-4444-555555555555");
      const anonymous = needs(systemClock, null);
      const hosts: string[] = [];
      await using _service = new ConsulRegistration(needs(systemClock), syncer("e.test"));
      await until(async () => (await consul.services()).length, (count) => count > 0);
      await using _denied = new ServiceWatch(denied, secondaries(), (all) => hosts.push(all.join()));
      await using _anonymous = new ServiceWatch(anonymous, secondaries(), (all) => hosts.push(all.join()));
      await until(
        () => [denied, anonymous].map(({ lines }) => lines.length).join(),
        (counts) => counts === "1,1",
      );
      match(denied.lines[0]!, /403/);
      match(anonymous.lines[0]!, /distribute\.consul\.token/);
      deepEqual(hosts, []);
    });

    await test.step("a checker checks the secondaries that it finds there", async () => {
      await using nats = await GuardedNats.start();
      await using installation = await Installation.start({
        ...{ nats: nats.server, secondaries: 1, broker: (user) => nats.broker(user) },
        register: `secondaries: { source: consul }\nconsul: { url: "${consul.url}", token: "${TOKEN}" }`,
      });
      const { powerDns } = installation.secondaries[0]!;
      equal((await installation.primary.api("POST", "/zones", zoneBody("a.test."))).status, 201);
      await using checker = await installation.checker();
      await using _provider = await installation.provider();
      // What was there before may be going only now.
      await until(() => checker.metric("healthchecker_actual_secondary_count"), (count) => count === 0);
      const secondary = await installation.syncer(0);
      await until(() => answersOf(powerDns, "a.test", "SOA"), (soa) => soa.length === 1);
      ok((await consul.services()).length >= 3);
      await secondary[Symbol.asyncDispose]();
      await until(() => checker.metric("healthchecker_actual_secondary_count"), (count) => count === 0);
    });
  },
);
