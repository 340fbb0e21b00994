/**
 * A network of its own for each site: a namespace behind a pair of virtual wires, which can swallow every packet.
 *
 * @module
 */
import { SITES } from "./backends.ts";

/** Sites behind wires. Disposing removes them, whatever lives in them. */
export class SiteNetworks implements AsyncDisposable {
  readonly #namespaces: readonly string[];
  readonly #subnet: (site: number) => string;

  private constructor() {
    const { pid } = Deno;
    this.#namespaces = SITES.map(({ region }) => `pleiades-${pid}-${region}`);
    // Of the range for benchmarks (RFC 2544); by process id, so that two runs don't meet.
    this.#subnet = (site) => `198.18.${pid % 80 * SITES.length + site}`;
  }

  /**
   * Lays them.
   *
   * @throws {Error} with what the system said when it doesn't let us
   */
  static async lay(): Promise<SiteNetworks> {
    const networks = new SiteNetworks();
    try {
      for (const site of SITES.keys()) await networks.#lay(site);
      return networks;
    } catch (error) {
      await networks[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The namespace of a site. */
  namespace(site: number): string {
    return this.#namespaces[site]!;
  }

  /** An address of a site, by number from 0. */
  address(site: number, number: number): string {
    return `${this.#subnet(site)}.${number + 2}`;
  }

  /** Has a site swallow what comes to it and what it would send. */
  async cut(site: number): Promise<void> {
    await ip("-n", this.namespace(site), "route", "add", "blackhole", `${this.#subnet(site)}.1/32`);
  }

  /** Ends that. */
  async mend(site: number): Promise<void> {
    await ip("-n", this.namespace(site), "route", "del", "blackhole", `${this.#subnet(site)}.1/32`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A namespace takes its wire with it, and the other end of that.
    for (const namespace of this.#namespaces) await ip("netns", "del", namespace).catch(() => {});
    for (const site of SITES.keys()) await ip("link", "del", this.#wire(site)).catch(() => {});
  }

  async #lay(site: number): Promise<void> {
    const namespace = this.namespace(site);
    const wire = this.#wire(site);
    await ip("netns", "add", namespace);
    await ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    await ip("addr", "add", `${this.#subnet(site)}.1/24`, "dev", wire);
    await ip("link", "set", wire, "up");
    for (const number of [0, 1, 2]) {
      await ip("-n", namespace, "addr", "add", `${this.address(site, number)}/24`, "dev", "eth0");
    }
    await ip("-n", namespace, "link", "set", "eth0", "up");
  }

  /** At most 15 characters, as the kernel has it. */
  #wire(site: number): string {
    return `pl${Deno.pid.toString(36)}${SITES[site]!.region}`;
  }
}

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args, stdin: "null" }).output();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
