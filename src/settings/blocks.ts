/**
 * The blocks of the settings, one line each, in the order in which people see them.
 *
 * @module
 */
import type { z } from "zod";
import type { Block } from "./block.ts";
import { agent } from "./blocks/agent.ts";
import { api } from "./blocks/api.ts";
import { audit } from "./blocks/audit.ts";
import { cluster } from "./blocks/cluster.ts";
import { database } from "./blocks/database.ts";
import { discovery } from "./blocks/discovery.ts";
import { distribute } from "./blocks/distribute.ts";
import { dns } from "./blocks/dns.ts";
import { geoip } from "./blocks/geoip.ts";
import { gitops } from "./blocks/gitops.ts";
import { guards } from "./blocks/guards.ts";
import { history } from "./blocks/history.ts";
import { license } from "./blocks/license.ts";
import { loadbalancer } from "./blocks/loadbalancer.ts";
import { log } from "./blocks/log.ts";
import { mapFile } from "./blocks/map_file.ts";
import { metrics } from "./blocks/metrics.ts";
import { names } from "./blocks/names.ts";
import { node } from "./blocks/node.ts";
import { notify } from "./blocks/notify.ts";
import { queries } from "./blocks/queries.ts";
import { queryLog } from "./blocks/query_log.ts";
import { state } from "./blocks/state.ts";
import { workers } from "./blocks/workers.ts";
import { mapping } from "./fields.ts";

/** Every block. */
export const BLOCKS = [
  cluster,
  node,
  dns,
  loadbalancer,
  geoip,
  mapFile,
  database,
  api,
  metrics,
  log,
  queryLog,
  queries,
  history,
  audit,
  guards,
  names,
  workers,
  notify,
  state,
  gitops,
  license,
  agent,
  discovery,
  distribute,
] as const;

/**
 * The shape of a settings file of these blocks, as it is validated; durations become milliseconds.
 *
 * @throws {Error} when two blocks have the same key
 */
export function settingsSchemaOf(
  blocks: readonly Block[],
): z.ZodObject<Record<string, z.ZodType>, z.core.$strict> {
  const shape: Record<string, z.ZodType> = {};
  for (const [key, schema] of blocks.flatMap((block) => Object.entries(block.shape))) {
    if (Object.hasOwn(shape, key)) throw new Error(`Two blocks of the settings have the key ${key}`);
    shape[key] = schema;
  }
  return mapping(shape);
}
