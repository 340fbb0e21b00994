/**
 * What answers DNS by the catalog: a listener with a catalog of its own, which is kept equal by the changes of the node's. It knows
 * neither files nor Consul and waits for nothing, so that it can run on a thread of its own.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { Catalog, type Change } from "./catalog.ts";
import { DnsAnswers } from "./dns_answers.ts";
import { Forwarder } from "./forwarder.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import type { SamplingTerms } from "./sampler.ts";

/** What answers, wherever it runs. */
export interface Answering extends AsyncDisposable {
  /** Resolves when it answers; rejects with a message for people when the address can't be had. */
  readonly ready: Promise<void>;
  /** Where it listens really. */
  readonly address: SocketAddress;
  /** Makes changes to what is answered. */
  apply(changes: readonly Change[]): void;
  /** Resolves when all changes so far are in the answers. */
  settled(): Promise<void>;
}

/** What answers are made with. */
export interface AnsweringOptions {
  /** Where to listen; port 0 = any free one. */
  readonly address: SocketAddress;
  /** Dns zones, without final dot. */
  readonly dnsZones: readonly string[];
  /** Most records of an answer over UDP. */
  readonly maxAnswers: number;
  /** Servers of zones about which questions are handed on, by zone. */
  readonly handedOn: ReadonlyMap<string, readonly SocketAddress[]>;
  /** Which exchanges are copied; `null` = none. */
  readonly sampling: SamplingTerms | null;
}

/** A listener on this thread. */
export class LocalAnswering implements Answering {
  /** It does at once. */
  readonly ready: Promise<void> = Promise.resolve();
  readonly #catalog = new Catalog();
  readonly #listener: Listener;

  /**
   * Binds, and answers by what is registered already.
   *
   * @param changes all that makes the catalog
   * @throws {Error} with a message for people when the address can't be had
   */
  constructor(
    { address, dnsZones, maxAnswers, handedOn }: AnsweringOptions,
    changes: readonly Change[],
    rest: Pick<ListenerOptions, "observe" | "fault" | "isAlone" | "sampler">,
  ) {
    this.apply(changes);
    const answers = new DnsAnswers(this.#catalog, { dnsZones, maxAnswers, unixMs: () => Date.now() });
    this.#listener = new Listener({ address, answers, forwarder: new Forwarder(handedOn), ...rest });
  }

  /** Where it listens really. */
  get address(): SocketAddress {
    return this.#listener.address;
  }

  /** A descriptor that isn't closed with the thread, or `null`. */
  get fd(): number | null {
    return this.#listener.fd;
  }

  /** Makes changes to what is answered. */
  apply(changes: readonly Change[]): void {
    for (const change of changes) this.#catalog.apply(change);
  }

  /** They are at once. */
  settled(): Promise<void> {
    return Promise.resolve();
  }

  /** Answers no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
  }
}
