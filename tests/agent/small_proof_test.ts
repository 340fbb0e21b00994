/**
 * `deno task prove agent` in small: agents of three real servers with TLS, on addresses of loopback, keep a record at Knot. Their
 * rounds are begun by the test, so that nothing waits for an interval.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { CheckLoop } from "../../src/agent/loop.ts";
import { connectionProbe } from "../../src/agent/peer_probe.ts";
import { Rfc2136Records } from "../../src/agent/records/rfc2136.ts";
import { rollingReplace } from "../../src/agent/rolling_replace.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { freePort } from "../free_port.ts";
import { selfSigned } from "../health/certificates.ts";
import { testWith } from "../programs.ts";
import { KEY, NameServer, ZONE } from "./name_servers.ts";
import { draws } from "./world.ts";

const FQDN = `www.${ZONE}`;
const [A, B, C, SPARE] = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"] as const;
/** A quarter of it is the time of a probe: a handshake on a busy machine. */
const INTERVAL_MS = 4_800;
const signal = new AbortController().signal;
const log = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });

/** TLS services that can be ended, and doors that keep what comes and say nothing. */
class Services implements AsyncDisposable {
  /** On all addresses; none that systems give to whoever asks for any, since it is left and taken again. */
  readonly port = freePort();
  readonly #certificate: { readonly cert: string; readonly key: string };
  readonly #ends = new Map<string, () => Promise<void>>();

  constructor(certificate: { readonly cert: string; readonly key: string }) {
    this.#certificate = certificate;
  }

  serve(hostname: string): void {
    const terms = { hostname, port: this.port, ...this.#certificate, onListen: () => {} };
    const server = Deno.serve(terms, () => new Response());
    this.#ends.set(hostname, () => server.shutdown());
  }

  hang(hostname: string): void {
    const listener = Deno.listen({ hostname, port: this.port });
    const kept: Deno.Conn[] = [];
    const keeping = (async () => {
      for await (const connection of listener) kept.push(connection);
    })();
    this.#ends.set(hostname, async () => {
      listener.close();
      await keeping;
      for (const connection of kept) connection.close();
    });
  }

  /** The port is free when this has resolved. */
  async end(hostname: string): Promise<void> {
    await this.#ends.get(hostname)?.();
    this.#ends.delete(hostname);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const hostname of [...this.#ends.keys()]) await this.end(hostname);
  }
}

testWith(
  ["knotd"],
  "servers with TLS join at Knot, are removed when they end or hang, come back, and are replaced",
  async () => {
    await using server = await NameServer.start("knot");
    const zone = { server: server.address, zone: ZONE, key: KEY, secondaries: [] };
    const records = new Rfc2136Records({ ...zone, clock: systemClock, log });
    await using services = new Services(await selfSigned({ ipAddresses: [A, B, C] }));
    for (const address of [A, B, C]) services.serve(address);
    const probe = connectionProbe({ port: services.port, tls: true, http: null, version: "0" });
    const loopOf = (self: string) =>
      new CheckLoop({
        ...{ fqdn: FQDN, self, intervalMs: INTERVAL_MS, records, probe, clock: systemClock, log },
        limits: { minimumFailures: 3, maximumFailures: 60 },
        rng: draws(Number(self.at(-1))),
      });
    const loops = { [A]: loopOf(A), [B]: loopOf(B), [C]: loopOf(C), [SPARE]: loopOf(SPARE) };
    const round = (...of: readonly (keyof typeof loops)[]) =>
      Promise.all(of.map((address) => loops[address].round(signal)));
    const present = async () => (await records.read(FQDN, "A", signal)).values.toSorted();

    await round(A, B, C);
    deepEqual(await present(), [A, B, C]);

    await services.end(B);
    await services.end(C);
    services.hang(C);
    await round(A);
    await round(A);
    deepEqual(await present(), [A, B, C]);
    await round(A);
    deepEqual(await present(), [A]);

    services.serve(B);
    await round(A, B);
    deepEqual(await present(), [A, B]);

    const clock: Clock = {
      ...systemClock,
      // Time is the subject: of an operator who doesn't wait until clients have moved on; what others may take they have.
      sleep: (ms, signal) => systemClock.sleep(ms === INTERVAL_MS ? 0 : ms, signal),
    };
    const destroyed: string[] = [];
    await rollingReplace({
      ...{ fqdn: FQDN, type: "A", intervalMs: INTERVAL_MS, records, probe, clock, log },
      region: { filter: (addresses) => Promise.resolve(addresses) },
      destroyer: {
        destroy: async ([address]) => {
          destroyed.push(address!);
          await services.end(address!);
          const spare = destroyed.length === 1 ? SPARE : C;
          await services.end(spare);
          services.serve(spare);
          await round(spare);
        },
      },
    }, signal);
    deepEqual(destroyed.toSorted(), [A, B]);
    deepEqual([await present(), (await records.read(`_blocked.${FQDN}`, "TXT", signal)).values], [
      [C, SPARE],
      [],
    ]);
  },
);
