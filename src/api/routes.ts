/**
 * Everything that the API serves, a line for each resource.
 *
 * @module
 */
import { audit } from "./audit.ts";
import { doctor } from "./doctor.ts";
import { documentation } from "./documentation.ts";
import { events } from "./events.ts";
import { explanations } from "./explain.ts";
import { fallback } from "./fallback.ts";
import { gitops } from "./gitops.ts";
import { geoRules } from "./geo_rules.ts";
import { healthChecks } from "./health_checks.ts";
import { history } from "./history.ts";
import { lookup } from "./lookup.ts";
import { members } from "./members.ts";
import { model } from "./model.ts";
import { node } from "./node.ts";
import { overrides } from "./overrides.ts";
import { poolLocks } from "./pool_locks.ts";
import { pools } from "./pools.ts";
import type { Resource } from "./resource.ts";
import { rollback } from "./rollback.ts";
import { services } from "./services.ts";
import { tokens } from "./tokens.ts";
import { webhooks } from "./webhooks.ts";
import { zones } from "./zones.ts";

/** All resources, in the order of the OpenAPI document. */
export const RESOURCES: readonly Resource[] = [
  pools,
  members,
  poolLocks,
  healthChecks,
  geoRules,
  services,
  zones,
  fallback,
  overrides,
  model,
  history,
  rollback,
  gitops,
  lookup,
  tokens,
  audit,
  explanations,
  events,
  webhooks,
  node,
  doctor,
  documentation,
];
