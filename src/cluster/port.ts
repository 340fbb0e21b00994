/**
 * What a node in a cluster offers to whoever shows how it stands.
 *
 * @module
 */
import { Port } from "../port.ts";

/** How a node's part in the cluster stands. */
export interface ClusterStatus {
  /** The server that is connected to, as in the settings; `null` = none is. */
  readonly server: string | null;
  /** Why none is; `null` = one is, or none was tried yet. */
  readonly fault: string | null;
  /** Why values can't be kept for nodes that come later; `null` = they can, or there is no connection. */
  readonly storeFault: string | null;
  /** What isn't as it should be, though it works. */
  readonly remarks: readonly string[];
  /** Whether another process uses this node's id. */
  readonly isIdTaken: boolean;
  /** Reports of other nodes that are kept, each address of each node. */
  readonly reports: number;
}

/** Where it is offered, by a node with `state.nats.servers`. */
export const CLUSTER: Port<{ status(): ClusterStatus }> = new Port("cluster");
