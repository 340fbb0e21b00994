/**
 * What a process leaves to the one that takes its place, beside the database: whatever is only in its memory, and would
 * show if it began with nothing.
 *
 * @module
 */
import { z } from "zod";
import type { SocketAddress } from "../ip.ts";
import type { CarriedMetrics } from "../telemetry/metrics.ts";
import { Misunderstood } from "./conversation.ts";

/** What is known when the database is frozen. */
export interface FrozenState {
  /** Where plain DNS is answered. */
  readonly dns: readonly SocketAddress[];
  /** Where DNS over TLS is. */
  readonly tls: readonly SocketAddress[];
  /** Where DNS over HTTPS is. */
  readonly https: readonly SocketAddress[];
  /** Where the API is; `null` = it is off. */
  readonly api: SocketAddress | null;
  /** Where metrics are, if not there; `null` = they aren't. */
  readonly metrics: SocketAddress | null;
  /** With what cookies are made where the settings have no secret, as hex digits; `null` = with those of the settings. */
  readonly cookieSecret: string | null;
  /** What the other nodes of a cluster know this one by; `null` = it is in none. */
  readonly cluster: { readonly boot: string; readonly seq: number } | null;
  /** What the service manager wants of this process (`NOTIFY_SOCKET`, `WATCHDOG_USEC`). */
  readonly manager: { readonly notifySocket: string | null; readonly watchdogUsec: string | null };
}

/** What is known when no more packets are received. */
export interface ReleasedState {
  /** Where each service's rotation stands, for both families; those that were never asked for are left out. */
  readonly tickets: readonly (readonly [domain: string, four: number, six: number])[];
  /** The same of the fallback. */
  readonly fallback: readonly [four: number, six: number];
  /** What was counted. */
  readonly metrics: CarriedMetrics;
  /** What rate limiting has counted, as Base64; `null` = it is off. */
  readonly rates: string | null;
}

/** What was counted by the time that the last connection has ended. */
export interface LastState {
  /** Takes the place of `ReleasedState.metrics`. */
  readonly metrics: CarriedMetrics;
}

const address = z.object({ hostname: z.string(), port: z.int() });
const ticket = z.int().min(0).max(0xffff_ffff);
const metrics = z.record(z.string(), z.array(z.object({ labels: z.string(), sums: z.array(z.number()) })));

const FROZEN = z.object({
  dns: z.array(address),
  tls: z.array(address),
  https: z.array(address),
  api: address.nullable(),
  metrics: address.nullable(),
  cookieSecret: z.string().regex(/^[0-9a-f]*$/).nullable(),
  cluster: z.object({ boot: z.string(), seq: z.int() }).nullable(),
  manager: z.object({ notifySocket: z.string().nullable(), watchdogUsec: z.string().nullable() }),
});
const RELEASED = z.object({
  tickets: z.array(z.tuple([z.string(), ticket, ticket])),
  fallback: z.tuple([ticket, ticket]),
  metrics,
  rates: z.string().nullable(),
});
const LAST = z.object({ metrics });

/** As bytes. */
export function encodeState(state: FrozenState | ReleasedState | LastState): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(state));
}

/** Reads the state of a freeze. @throws {Misunderstood} when it is none */
export function readFrozen(bytes: Uint8Array): FrozenState {
  return read(bytes, (value) => FROZEN.parse(value));
}

/** Reads what comes with the sockets. @throws {Misunderstood} when it is none */
export function readReleased(bytes: Uint8Array): ReleasedState {
  return read(bytes, (value) => RELEASED.parse(value));
}

/** Reads what comes at the end. @throws {Misunderstood} when it is none */
export function readLast(bytes: Uint8Array): LastState {
  return read(bytes, (value) => LAST.parse(value));
}

function read<State>(bytes: Uint8Array, parse: (value: unknown) => State): State {
  try {
    return parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new Misunderstood("What the other process leaves can't be read", { cause });
  }
}
