/**
 * Agents on a manual clock: servers that can be killed, hang or be cut off from each other, one record, and a watch on every
 * write.
 *
 * @module
 */
import { CheckLoop } from "../../src/agent/loop.ts";
import type { RegionFilter } from "../../src/agent/ports.ts";
import { draws, FQDN, World } from "./world.ts";

/** What is simulated. */
export interface SimulationOptions {
  /** Of the servers. */
  readonly addresses: readonly string[];
  /** Which of them each may remove at once; all when left out. */
  readonly regionOf?: (address: string) => string;
}

/** What every run is judged by. */
export interface Judged {
  /** The least that was written at once. */
  readonly smallest: number;
  /** Writes by a server that left itself out. */
  readonly withoutSelf: number;
}

/** A run of some servers. */
export class Simulation implements AsyncDisposable {
  readonly world = new World();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];
  readonly #dead = new Map<string, AbortController>();
  /** Side of a cut network, by address; alike = they reach each other. */
  #sides = new Map<string, number>();
  #smallest = Infinity;
  #withoutSelf = 0;

  readonly #regionOf: SimulationOptions["regionOf"];

  constructor({ addresses, regionOf }: SimulationOptions) {
    this.#regionOf = regionOf;
    for (const self of addresses) this.start(self);
  }

  /** What is in the record. */
  get addresses(): readonly string[] {
    return this.world.addresses().toSorted();
  }

  /** How the run was. */
  get judged(): Judged {
    return { smallest: this.#smallest, withoutSelf: this.#withoutSelf };
  }

  /** Ends a server and its agent. */
  kill(address: string): void {
    this.world.down.set(address, "connection refused");
    this.#dead.get(address)!.abort();
  }

  /** Lets a server accept and say nothing; its agent goes on. */
  hang(address: string): void {
    this.world.silent.add(address);
  }

  /** Cuts the network; none = it is whole again. */
  cut(...sides: readonly (readonly string[])[]): void {
    this.#sides = new Map(sides.flatMap((side, i) => side.map((address) => [address, i] as const)));
  }

  /** Lets time pass until something holds, looking often; gives milliseconds, or `null` when it takes too long. */
  async until(holds: () => boolean, maxMs: number): Promise<number | null> {
    const start = this.world.clock.monotonicMs();
    while (!holds()) {
      if (this.world.clock.monotonicMs() - start > maxMs) return null;
      await this.world.clock.advance(50);
    }
    return this.world.clock.monotonicMs() - start;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const dead of this.#dead.values()) dead.abort();
    await this.world.over(Promise.all(this.#running));
  }

  /** Starts a server and its agent. */
  start(self: string): void {
    const { world } = this;
    const regionOf = this.#regionOf;
    const dead = new AbortController();
    this.#dead.set(self, dead);
    const region: RegionFilter = {
      filter: (addresses) =>
        Promise.resolve(addresses.filter((each) => !regionOf || regionOf(each) === regionOf(self))),
    };
    const loop = new CheckLoop({
      fqdn: FQDN,
      self,
      intervalMs: 5_000,
      limits: { minimumFailures: 3, maximumFailures: 60 },
      records: {
        read: (name, type) => world.records.read(name, type),
        write: (name, type, values, terms) => {
          this.#smallest = Math.min(this.#smallest, values.length);
          if (!values.includes(self)) this.#withoutSelf++;
          return world.records.write(name, type, values, terms);
        },
        delete: (name, type, expected) => world.records.delete(name, type, expected),
      },
      probe: async (address, signal) => {
        const isCut = this.#sides.get(address) !== this.#sides.get(self);
        if (!isCut) return await world.probe(address, signal);
        await new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true })
        );
        return "no answer";
      },
      region,
      clock: world.clock,
      rng: draws(this.#running.length + 1),
      log: world.log,
    });
    this.#running.push(loop.run(dead.signal));
  }
}
