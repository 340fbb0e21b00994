/**
 * What a node in a cluster offers to whoever shows how it stands.
 *
 * @module
 */
import { Port } from "../port.ts";
import type { LogConflict } from "../store/log.ts";
import type { NodeModel } from "./node_model.ts";

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
  /** How far the model of each node has come, this one's included, of those that say; by their ids. */
  readonly models: ReadonlyMap<string, NodeModel>;
}

/** How the log of a node stands. */
export interface LogStatus {
  /** Whether it has all that the broker had when it was looked at last. */
  readonly isCurrent: boolean;
  /** Why it doesn't go on; `null` = it does, or there is no connection. */
  readonly fault: string | null;
  /** Entries that the model has. */
  readonly stamp: number;
  /** Commits that the log hasn't yet. */
  readonly pending: number;
  /** Messages of the broker that weren't taken yet. */
  readonly behind: number;
  /** Changes that are kept as they didn't fit. */
  readonly conflicts: number;
  /** The position of the last entry: nodes at one position without pending commits have one model. */
  readonly head: string;
  /** Messages that couldn't be read. */
  readonly unreadable: number;
}

/** What became of a commit in the cluster's log. */
export type LogOutcome =
  /** All nodes have it, or will. */
  | { readonly kind: "logged" }
  /** It is in the model of this node, and the log hasn't it yet. */
  | { readonly kind: "pending" }
  /** It doesn't fit what others changed before it, and is undone. */
  | { readonly kind: "conflict"; readonly why: string };

/** The cluster's log, as far as writers and those who look at it need it. */
export interface LogPort {
  /** How it stands. */
  status(): LogStatus;
  /** What became of the commit of a generation, within the time at most. */
  outcome(generation: number, withinMs: number): Promise<LogOutcome>;
  /** Changes that didn't fit, newest first. */
  conflicts(limit: number): readonly LogConflict[];
}

/** Where it is offered, by a node with `state.nats.servers` and a database. */
export const CONFIG_LOG: Port<LogPort> = new Port("the cluster's log");

/** How the sharing of models stands. */
export interface SharingStatus {
  /** The document that was taken over last; `null` = none since the start. */
  readonly taken: { readonly version: string; readonly commit: string; readonly publishedAt: number } | null;
  /** Why the document that there is wasn't taken over, or can't be looked at; `null` = it was, or there is none. */
  readonly fault: string | null;
}

/** What the cluster's nodes share of their models. */
export interface SharedModel {
  /** How it stands. */
  status(): SharingStatus;
  /** Whether there is a server to publish by. */
  readonly isConnected: boolean;
  /** Holds the model of now to be published, whatever is changed meanwhile. */
  hold(): HeldModel;
}

/** A model that is going to be published; who is given it disposes of it. */
export interface HeldModel extends Disposable {
  /** Of the model. */
  readonly generation: number;
  /**
   * Publishes it.
   *
   * @param name as the publisher calls it: a version and a commit of Git, either of which may be empty
   * @throws {Error} with a message for people when there is no connection, or the server or a bound refuses it
   */
  publish(
    name: { readonly version: string; readonly commit: string },
    signal: AbortSignal,
  ): Promise<void>;
}

/** Where it is offered, by a node with `state.nats.servers` and a database. */
export const SHARED_MODEL: Port<SharedModel> = new Port("shared model");

/** Values that each node of a cluster keeps for the others, as long as it lives. */
export interface SharedValues {
  /** Writes a value of this node, or takes it back. @param name 1–16 digits and small letters */
  put(name: string, value: Uint8Array | null): void;
  /** Tells what others have from now on; to be called once. */
  follow(listener: ValuesListener): void;
}

/** Hears of values. */
export interface ValuesListener {
  /**
   * A node has a value, the same or another one; `null` = it has none any more.
   *
   * @returns whether anything of that name is kept, so that its end is to be told
   */
  readonly value: (node: string, name: string, value: Uint8Array | null) => boolean;
  /** There is something that no node has written: its key. */
  readonly stray: (key: string) => void;
  /** Whether all that others have has come, and goes on to come. */
  readonly standing: (isKnown: boolean) => void;
}

/** Where they are offered for registrations, by a node with `state.nats.servers` and `discovery.nats.enabled`. */
export const REGISTRATIONS: Port<SharedValues> = new Port("registrations of the cluster");

/** A lock of a pool, and what it is known by. */
export interface TaggedLock {
  /** What its holder leaves there; empty = there is none. */
  readonly values: readonly string[];
  /** It ends after five times so many seconds. */
  readonly ttlSeconds: number;
  /** Differs after each write. */
  readonly tag: string;
}

/** Locks that all nodes of a cluster share, by names of pools. */
export interface SharedLocks {
  /** A pool's lock. @throws {LocksAway} */
  read(pool: string): Promise<TaggedLock>;
  /**
   * Replaces it if it still has a tag; without strings it is given back.
   *
   * @returns the new tag; `null` = it has another one
   * @throws {LocksAway}
   */
  write(pool: string, lock: Omit<TaggedLock, "tag">, tag: string): Promise<string | null>;
}

/** The locks can't be read or written now; the message says why, for people. */
export class LocksAway extends Error {
  /** The class, in logs. */
  override readonly name = "LocksAway";
}

/** Where they are offered, by a node with `state.nats.servers` and a database. */
export const SHARED_LOCKS: Port<SharedLocks> = new Port("locks of the cluster");

/** Where it is offered, by a node with `state.nats.servers`. */
export const CLUSTER: Port<{ status(): ClusterStatus }> = new Port("cluster");
