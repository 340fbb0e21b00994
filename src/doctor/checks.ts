/**
 * Every check, one line each.
 *
 * @module
 */
import { brokers } from "./brokers.ts";
import { certificate } from "./certificate.ts";
import type { Check } from "./check.ts";
import { clockState } from "./clock_state.ts";
import { databaseFile, disk } from "./database_file.ts";
import { namedFiles, ownSecretFiles, secretFiles } from "./file_modes.ts";
import { geoAge } from "./geo_age.ts";
import { addresses, ports, privileges, stubResolver } from "./ports.ts";
import { repositoryProgram } from "./repository_program.ts";
import { resolvers } from "./resolvers.ts";
import { descriptors, receiveBuffer, transport, workers } from "./resources.ts";
import { running } from "./running.ts";

/** All checks, in the order of findings of one level. */
export const CHECKS: readonly Check[] = [
  running,
  ports,
  stubResolver,
  addresses,
  privileges,
  databaseFile,
  disk,
  namedFiles,
  secretFiles,
  ownSecretFiles,
  certificate,
  clockState,
  geoAge,
  repositoryProgram,
  resolvers,
  brokers,
  descriptors,
  receiveBuffer,
  transport,
  workers,
];

/** Those that a node makes of itself. */
export const CHECKS_IN_NODE: readonly Check[] = CHECKS.filter(({ when }) =>
  when === "in a node" || when === "both"
);

/** Those of a machine on which no node runs yet. */
export const CHECKS_BEFORE_START: readonly Check[] = CHECKS.filter(({ when }) => when !== "in a node");

/** Those that are left where a node runs, and tells nothing. */
export const CHECKS_BESIDE_SILENT_NODE: readonly Check[] = CHECKS_BEFORE_START.filter(({ when }) =>
  when !== "before a start"
);

/** Those that are left where a node has examined itself. */
export const CHECKS_BESIDE_NODE: readonly Check[] = CHECKS.filter(({ when }) => when === "of files");
