/**
 * What nodes answer all the time, and what they are told meanwhile: each node has a name of its own whose address is counted up
 * at it, and at whichever node it is asked for, it may never be an older one nor none.
 *
 * @module
 */
import { runQuery } from "../../../src/dns_client.ts";
import type { SocketAddress } from "../../../src/ip.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { call } from "../../rest.ts";

/** A node, as far as it is asked and told. */
export interface Told {
  readonly id: string;
  /** Where it answers DNS. */
  readonly dns: SocketAddress;
  /** Base of its API. */
  readonly api: string;
}

/** The name whose addresses follow a member that goes up and down. */
export const SERVICE = "www.example.org";

/** The name that is counted up at a node. */
export function counterOf(node: string): string {
  return `count-${node}.example.org`;
}

/** The address that stands for a number. */
export function addressOf(count: number): string {
  return `10.${count >> 16 & 255}.${count >> 8 & 255}.${count & 255}`;
}

/** Asks a node once. @throws {Error} when it doesn't answer, or not with NOERROR */
export async function addressesAt({ dns }: Pick<Told, "dns">, name: string): Promise<readonly string[]> {
  const { message } = await runQuery({
    ...{ server: dns, name, type: TYPE.A, class: 1, ecs: null, tcp: false, udpSize: 1232, timeoutMs: 5_000 },
  });
  if (message.rcode !== 0) throw new Error(`${name}: RCODE ${message.rcode}`);
  return message.answers.filter(({ type }) => type === TYPE.A).map(({ data }) => data);
}

/** The number that an address stands for. */
export function countOf(address: string): number {
  const [, high = 0, middle = 0, low = 0] = address.split(".").map(Number);
  return high << 16 | middle << 8 | low;
}

/** What was seen. */
export interface Seen {
  asked: number;
  /** Answers that didn't come, or were an error. */
  lost: number;
  /** Answers without an address. */
  empty: number;
  /** Answers that were older than one before. */
  older: number;
}

/** Asks a node for all names, one after the other, until it is ended. */
export class Watch {
  readonly seen: Seen = { asked: 0, lost: 0, empty: 0, older: 0 };
  readonly #counts = new Map<string, number>();
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(node: Told, nodes: readonly string[], pauseMs: number) {
    this.#watching = this.#watch(node, [SERVICE, ...nodes.map(counterOf)], pauseMs);
  }

  async end(): Promise<Seen> {
    this.#isOver = true;
    await this.#watching;
    return this.seen;
  }

  async #watch(node: Told, names: readonly string[], pauseMs: number): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      await this.#ask(node, names[i % names.length]!);
      await new Promise((resolve) => setTimeout(resolve, pauseMs)); // Time is the subject: questions a second.
    }
  }

  async #ask(node: Told, name: string): Promise<void> {
    this.seen.asked++;
    try {
      const [address] = await addressesAt(node, name);
      if (address === undefined) this.seen.empty++;
      if (address === undefined || name === SERVICE) return;
      const count = countOf(address);
      if (count < (this.#counts.get(name) ?? 0)) this.seen.older++;
      this.#counts.set(name, count);
    } catch {
      this.seen.lost++;
    }
  }
}

/** Counts up at a node until it is ended. */
export class Editing {
  readonly #node: Told;
  readonly #member: string;
  readonly #editing: Promise<void>;
  #count: number;
  #isOver = false;

  /** @param from the number that is answered */
  constructor(node: Told, { member, from, pauseMs }: {
    readonly member: string;
    readonly from: number;
    readonly pauseMs: number;
  }) {
    this.#node = node;
    this.#member = member;
    this.#count = from;
    this.#editing = this.#edit(pauseMs);
    this.#editing.catch(() => {}); // told at the end
  }

  /** Gives the last number. @throws {Error} when one was refused */
  async end(): Promise<number> {
    this.#isOver = true;
    await this.#editing;
    return this.#count;
  }

  async #edit(pauseMs: number): Promise<void> {
    while (!this.#isOver) {
      await call(this.#node.api, {
        ...{ method: "PATCH", path: `/members/${this.#member}?force=true&reason=prove` },
        json: { ipAddress: addressOf(this.#count + 1) },
      });
      this.#count++;
      await new Promise((resolve) => setTimeout(resolve, pauseMs)); // Time is the subject: edits a second.
    }
  }
}
