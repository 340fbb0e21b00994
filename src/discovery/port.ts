/**
 * What discovery offers to the API.
 *
 * @module
 */
import type { FileProblem } from "../input/yaml_source.ts";
import type { SocketAddress } from "../ip.ts";
import type { Listeners } from "../listeners.ts";
import { Port } from "../port.ts";
import type { Address } from "./address.ts";
import type { Instance } from "./catalog.ts";

/** What a look-up found. */
export interface Found {
  /** In its one spelling. */
  readonly address: string;
  /** As DNS answers it for SRV: `NOERROR`, `NXDOMAIN`, `SERVFAIL`; `elsewhere` = it refers to the zone's own servers. */
  readonly rcode: "NOERROR" | "NXDOMAIN" | "SERVFAIL" | "elsewhere";
  /** In the order of the registry. */
  readonly instances: readonly Instance[];
  /** Whether what was read last counts since nothing can be read. */
  readonly isStale: boolean;
  /** Equal wherever what was found is equal. */
  readonly tag: string;
}

/** What became of a registration. */
export type Registration =
  | { readonly kind: "done"; readonly instances: number }
  /** The document is wrong. */
  | { readonly kind: "invalid"; readonly problems: readonly FileProblem[] }
  /** Another provider has the id. */
  | { readonly kind: "owned"; readonly id: string; readonly owner: string }
  /** There is no directory for it. */
  | { readonly kind: "nowhere" };

/** Discovery, as the API sees it. */
export interface DiscoveryPort {
  /** Where its own listener is really; `null` = it has none. */
  readonly dns: SocketAddress | null;
  /** Whether nothing will change any more, since the node stops. */
  readonly isEnded: boolean;
  /** Looks an address up, by the decisions of DNS. */
  lookUp(address: Address): Found;
  /** What a pool answers that takes its members from an address; what was read last, also when that is long ago. */
  membersAt(address: string): readonly DiscoveredMember[];
  /** Tells the addresses at which something changes. */
  readonly changes: Listeners<ReadonlySet<string>>;
  /** Addresses at which something is registered, in order. */
  addresses(): readonly string[];
  /** Resolves when something at the address may be another, and at once when the signal is aborted. */
  changed(address: Address, signal: AbortSignal): Promise<void>;
  /** Makes this the complete state of a provider; when it is done, it is on the disk and in the answers. */
  register(provider: string, document: Uint8Array): Promise<Registration>;
  /** Takes back all that a provider has registered. @returns whether there was anything */
  withdraw(provider: string): Promise<boolean>;
}

/** An instance as a member of a pool: one for each of its addresses. */
export interface DiscoveredMember {
  /** 32 hex digits, the same as long as it is the same. */
  readonly id: string;
  /** Canonical. */
  readonly ipAddress: string;
  /** 1–65535. */
  readonly port: number;
  /** 1–65535: what SRV calls 0 as well. */
  readonly weight: number;
  /** 1 is first, as 0 is in SRV. */
  readonly priority: number;
}

/** Where it is offered, by a node with `discovery.enabled`. */
export const DISCOVERY: Port<DiscoveryPort> = new Port("discovery");

/** Name of a provider, which is a file's. */
export const PROVIDER: RegExp = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/;
