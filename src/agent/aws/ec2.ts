/**
 * Instances of EC2 in one region: which addresses are theirs, and how they are ended. It is a region filter and a
 * destroyer in one.
 *
 * @module
 */
import type { Destroyer, RegionFilter } from "../ports.ts";
import type { AwsSession } from "./session.ts";
import { elementsOf, expectWhole, textAt } from "./xml.ts";

/** A region. */
export interface Ec2Options {
  /** Such as `eu-central-1`; `null` = that of this machine. */
  readonly region: string | null;
  /** Signs and sends. */
  readonly session: AwsSession;
}

/** The instances of a region by their private addresses. */
export class Ec2Instances implements RegionFilter, Destroyer {
  readonly #session: AwsSession;
  #region: string | null;
  /** `null` = the address is no instance's here. */
  #known: ReadonlyMap<string, string | null> = new Map();

  /** Asks nothing yet. */
  constructor({ region, session }: Ec2Options) {
    this.#region = region;
    this.#session = session;
  }

  /** Those of the addresses that are an instance's. */
  async filter(addresses: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const known = await this.#look(addresses, signal);
    return addresses.filter((address) => known.get(address) !== null);
  }

  /** Terminates the instances of the addresses; an address without one is done. */
  async destroy(addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const known = await this.#look(addresses, signal);
    const instances = addresses.flatMap((address) => known.get(address) ?? []);
    if (instances.length === 0) return;
    const ids = instances.map((id, i) => [`InstanceId.${i + 1}`, id] as const);
    await this.#call("TerminateInstances", ids, signal);
    this.#known = new Map([...this.#known].filter(([address]) => !addresses.includes(address)));
  }

  /** Looks all of them up where one isn't known: what was known before may have changed, too. */
  async #look(
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string | null>> {
    if (addresses.every((address) => this.#known.has(address))) return this.#known;
    const filter = [
      ["Filter.1.Name", "private-ip-address"] as const,
      ...addresses.map((address, i) => [`Filter.1.Value.${i + 1}`, address] as const),
    ];
    const body = await this.#call("DescribeInstances", filter, signal);
    const found = new Map<string, string | null>(addresses.map((address) => [address, null]));
    for (const part of body.split("<instanceId>").slice(1)) {
      const id = textAt(`<instanceId>${part}`, "instanceId")!;
      for (const address of elementsOf(part, "privateIpAddress")) {
        if (found.has(address)) found.set(address, id);
      }
    }
    return this.#known = found;
  }

  async #call(
    action: string,
    parameters: readonly (readonly [string, string])[],
    signal: AbortSignal,
  ): Promise<string> {
    const region = this.#region ??= await this.#session.ownRegion(signal);
    const form = new URLSearchParams([
      ["Action", action],
      ["Version", "2016-11-15"],
      ...parameters.map((pair) => [...pair]),
    ]);
    const { status, body } = await this.#session.send({
      service: "ec2",
      region,
      url: `https://ec2.${region}.amazonaws.com`,
      path: "/",
      body: String(form),
      contentType: "application/x-www-form-urlencoded",
    }, signal);
    if (status !== 200) {
      throw new Error(
        `EC2 answered ${action} with ${status}: ${textAt(body, "Message") ?? textAt(body, "Code") ?? ""}`,
      );
    }
    expectWhole(body, `${action}Response`);
    return body;
  }
}
