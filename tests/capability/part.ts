/**
 * The part of the toy: keeps the message of the day, counts how often it is read, and offers it.
 *
 * It declares what it needs of the node, so it imports nothing that stands above it.
 *
 * @module
 */
import { Port, type Ports } from "../../src/port.ts";
import type { Registry } from "../../src/telemetry/metrics.ts";

/** What the block of the settings makes. */
export interface MotdSettings {
  readonly motd: { readonly text: string | null; readonly author: string | null };
}

/** The message of the day. */
export interface Motd {
  /** Reads it, and counts that. */
  read(): { readonly text: string; readonly author: string };
}

/** Where it is offered. */
export const MOTD = new Port<Motd>("message of the day");

/** What it needs of the node. */
export interface MotdNeeds {
  readonly settings: () => MotdSettings;
  readonly registry: Registry;
  readonly ports: Ports;
}

/** Begins to offer the message; `null` = there is no author, so it is off. */
export function startMotd({ settings, registry, ports }: MotdNeeds) {
  const { author, text: first } = settings().motd;
  if (author === null) return null;
  let text = first;
  const reads = registry.counter("pleiades_motd_reads_total", "Times the message was read.").labels();
  const offered = ports.offer(MOTD, {
    read: () => {
      reads.inc();
      return { text: text ?? "Nothing today", author };
    },
  });
  return {
    name: "message of the day",
    prepare: ({ motd }: MotdSettings) => {
      if (motd.text === "unspeakable") throw new Error("This message can't be said");
      return () => void (text = motd.text);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(offered[Symbol.dispose]()),
  };
}
