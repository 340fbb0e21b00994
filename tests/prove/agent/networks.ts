/**
 * A network of its own for each server, all on one bridge, and wires that can be cut between any two of them.
 *
 * @module
 */

/** A bridge and the servers at it. Disposing removes all of it. */
export class ServerNetworks implements AsyncDisposable {
  readonly #name = `pla${Deno.pid.toString(36)}`;
  readonly #subnet = `198.18.${Deno.pid % 250}`;
  readonly #count: number;

  private constructor(count: number) {
    this.#count = count;
  }

  /** Lays them. @throws {Error} with what the system said when it doesn't let us */
  static async lay(count: number): Promise<ServerNetworks> {
    const networks = new ServerNetworks(count);
    try {
      await ip("link", "add", networks.#name, "type", "bridge");
      await ip("addr", "add", `${networks.bridge}/24`, "dev", networks.#name);
      await ip("link", "set", networks.#name, "up");
      for (let i = 0; i < count; i++) await networks.#lay(i);
      return networks;
    } catch (error) {
      await networks[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The address of this end. */
  get bridge(): string {
    return `${this.#subnet}.1`;
  }

  /** A server's address, by number from 0. */
  address(server: number): string {
    return `${this.#subnet}.${server + 2}`;
  }

  /** A server's namespace. */
  namespace(server: number): string {
    return `${this.#name}${server}`;
  }

  /** Has each server of one side send what is meant for the other to a machine that isn't there. */
  async cut(one: readonly number[], other: readonly number[]): Promise<void> {
    const nowhere = ["lladdr", "02:00:00:00:00:fe", "dev", "eth0", "nud", "permanent"];
    await this.#betweenSides(one, other, (address) => ["neigh", "replace", address, ...nowhere]);
  }

  /** Ends that. */
  async heal(one: readonly number[], other: readonly number[]): Promise<void> {
    await this.#betweenSides(one, other, (address) => ["neigh", "del", address, "dev", "eth0"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let i = 0; i < this.#count; i++) await ip("netns", "del", this.namespace(i)).catch(() => {});
    await ip("link", "del", this.#name).catch(() => {});
  }

  async #betweenSides(
    one: readonly number[],
    other: readonly number[],
    command: (address: string) => string[],
  ): Promise<void> {
    for (const [from, to] of [[one, other], [other, one]] as const) {
      for (const server of from) {
        for (const peer of to) await ip("-n", this.namespace(server), ...command(this.address(peer)));
      }
    }
  }

  async #lay(server: number): Promise<void> {
    const [namespace, wire] = [this.namespace(server), `${this.#name}w${server}`];
    await ip("netns", "add", namespace);
    await ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    await ip("link", "set", wire, "master", this.#name);
    await ip("link", "set", wire, "up");
    await ip("-n", namespace, "addr", "add", `${this.address(server)}/24`, "dev", "eth0");
    await ip("-n", namespace, "link", "set", "eth0", "up");
    await ip("-n", namespace, "link", "set", "lo", "up");
  }
}

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args, stdin: "null" }).output();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
