/**
 * What a node believes of the cluster's model: by which keys it has to be signed, and how much of it wasn't.
 *
 * @module
 */
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { type Message, type Signing, SIGNING_FAULTS, type SigningFault } from "./signing.ts";

/** Why something isn't taken over, as the metric has it. */
export type RefusedReason = SigningFault | "stale" | "early" | "unreadable";

/** Checks what comes in, and counts what is refused. */
export class Trust {
  /** `null` = nothing is signed, and all is believed. */
  readonly signing: Signing | null;
  readonly #log: Logger;
  readonly #refused: (reason: RefusedReason) => void;
  readonly #told = new Set<string>();

  /** Adds the metric. */
  constructor(
    { signing, log, registry }: {
      readonly signing: Signing | null;
      readonly log: Logger;
      readonly registry: Registry;
    },
  ) {
    this.signing = signing;
    this.#log = log;
    const refused = registry.counter(
      "pleiades_cluster_refused_total",
      "Documents, snapshots and entries of the cluster that aren't believed, can't be read, or are old.",
      ["reason"],
    );
    this.#refused = (reason) => refused.labels(reason).inc();
  }

  /** Counts something that isn't taken over. */
  refuse(reason: RefusedReason): void {
    this.#refused(reason);
  }

  /**
   * Whether a message is believed; one that isn't is counted, and the first of its sender told of in the log.
   *
   * @param what it is, for people
   */
  async believes(what: string, message: Message, signature: string | undefined): Promise<boolean> {
    const fault = await this.signing?.faultOf(message, signature) ?? null;
    if (fault === null) return true;
    this.#refused(fault);
    const key = /^[0-9a-f]{16}(?=\.)/.exec(signature ?? "")?.[0] ?? "";
    const sender = `${fault} ${key}`;
    if (this.#told.has(sender) || this.#told.size >= TOLD_MAX) return false;
    this.#told.add(sender);
    this.#log.warn(`${what} isn't believed, and is left out`, {
      reason: SIGNING_FAULTS[fault],
      ...(key !== "" && { key }),
    });
    return false;
  }
}

/** Senders that are told of: whoever may publish can name any number of keys. */
const TOLD_MAX = 64;
