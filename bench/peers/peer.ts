/**
 * What is measured: ours, the floor under every server, and the servers of others. Each file beside this one knows how
 * one of them is told to serve one zone on one loopback port with one thread, without privileges, in a folder of its
 * own.
 *
 * @module
 */
import type { Workload } from "../dns/workloads.ts";

/** A server that can be measured. */
export interface Peer {
  /** How it is called on the command line and in the table. */
  readonly name: string;
  /** Its program, or what runs it. */
  readonly program: string;
  /** How to get the program. */
  readonly install: string;
  /** Whether what comes back are answers; the echo's are none. */
  readonly answers: boolean;
  /** Whether it takes part in workloads by the client's place. */
  readonly steersByPlace?: boolean;
  /** Arguments that make the program say its version; absent = it has none. */
  readonly version?: readonly string[];
  /** Writes what the server needs, and tells the command that runs it in the foreground. */
  prepare(place: Place): Promise<Command>;
}

/** Where a server is to serve what. */
export interface Place {
  /** Path of the program. */
  readonly program: string;
  /** The server's own, empty. */
  readonly folder: string;
  /** Free for UDP and TCP on 127.0.0.1. */
  readonly port: number;
  /** What it serves. */
  readonly workload: Workload;
  /** The workload's zone file, shared by all. */
  readonly zoneFile: string;
}

/** A program with its arguments. */
export type Command = readonly [program: string, ...args: string[]];
