/**
 * What an agent asks of the world beside its record: is a peer there, is it in this region, and can it be ended?
 *
 * @module
 */

/**
 * Looks at one peer.
 *
 * @returns what is wrong with it, in a phrase; `null` = nothing is
 * @throws {Error} when it is this machine that is at fault, so that no peer is blamed
 */
export type PeerProbe = (address: string, signal: AbortSignal) => Promise<string | null>;

/** Tells which peers this server may take out on its own word. */
export interface RegionFilter {
  /** Those of the addresses that are in the region. */
  filter(addresses: readonly string[], signal: AbortSignal): Promise<readonly string[]>;
}

/** Ends machines. */
export interface Destroyer {
  /** Ends the machines of these addresses; none has one = done. @throws {Error} when one lives on */
  destroy(addresses: readonly string[], signal: AbortSignal): Promise<void>;
}

/** All peers are in the region. */
export const EVERY_REGION: RegionFilter = { filter: (addresses) => Promise.resolve(addresses) };

/** Peers are removed from DNS, and their machines left alone. */
export const PRESERVE: Destroyer = { destroy: () => Promise.resolve() };
