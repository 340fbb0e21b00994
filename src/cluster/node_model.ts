/** @module How far the model of a node has come, as it says in its heartbeats. */

/** How far a node's model has come. */
export interface NodeModel {
  /** Counted by the node for itself. */
  readonly generation: number;
  /** Equal where models are equal (`change/digest.ts`); `null` = the node is still reading its model. */
  readonly digest: number | null;
  /** Its place in the cluster's log; `null` = it takes no part in one. */
  readonly log: {
    /** Entries that its model has. */
    readonly entries: number;
    /** Messages that it knows of and hasn't taken yet. */
    readonly behind: number;
    /** Its own commits that the log hasn't yet. */
    readonly pending: number;
  } | null;
}

/**
 * Whether two nodes have different models where they should have one: as long as one of them has entries of the log that
 * the other hasn't, it is only behind.
 */
export function isOtherModel(own: NodeModel, other: NodeModel): boolean {
  if (own.digest === null || other.digest === null || own.digest === other.digest) return false;
  if (own.log === null || other.log === null) return true;
  return own.log.entries === other.log.entries && own.log.pending === 0 && other.log.pending === 0;
}
