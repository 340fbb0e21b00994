/**
 * From what a person means to edits of the model: fields are judged by the schemas that judge REST and files, so that a form
 * says the same of a wrong value as they do.
 *
 * A form shows some of an object's fields; the others stay as they are stored.
 *
 * @module
 */
import type { z } from "zod";
import { ChangeRefused, type Edit, type Problem } from "../change/edit.ts";
import { parseDuration } from "../input/duration.ts";
import { newId } from "../model/id.ts";
import {
  geoRuleFieldsSchema,
  healthCheckSchema,
  memberFieldsSchema,
  poolFieldsSchema,
  serviceFieldsSchema,
} from "../model/model_schema.ts";
import type { Store } from "../store/store.ts";
import type { DeletedKind, Intent, Values } from "./messages.ts";

/** Who asks, and when. */
export interface IntentContext {
  /** Owner of overrides. */
  readonly author: string;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** Whether only the outcome is asked for: of a drain that is when its share is gone. */
  readonly isPreview: boolean;
}

/**
 * The edits that an intent comes to; an undo has none, since it is made of the history.
 *
 * @throws {ChangeRefused} when a field is wrong; its pointer names the field
 */
export function editsOf(
  intent: Exclude<Intent, { kind: "undo" }>,
  store: Store,
  { author, nowMs, isPreview }: IntentContext,
): readonly Edit[] {
  switch (intent.kind) {
    case "pool": {
      const stored = storedFields(intent.id, (id) => store.pools.get(id));
      const fields = parsed(poolFieldsSchema, { ...stored, ...withPool(intent.values, store) });
      return [
        intent.id === null
          ? { kind: "createPool", id: newId(), fields }
          : { kind: "updatePool", id: intent.id, fields, ...ifRevision(intent.revision) },
      ];
    }
    case "member": {
      const stored = storedFields(intent.id, (id) => store.members.get(id));
      const { poolId: _, ...own } = stored;
      const fields = parsed(memberFieldsSchema, { ...own, ...withAddress(intent.values) });
      return [
        intent.id === null
          ? { kind: "createMember", id: newId(), poolId: intent.poolId, fields }
          : { kind: "updateMember", id: intent.id, fields, ...ifRevision(intent.revision) },
      ];
    }
    case "healthCheck": {
      const stored = storedFields(intent.poolId, (id) => store.healthChecks.get(id));
      const { poolId: _, ...own } = stored;
      const fields = parsed(healthCheckSchema, { ...own, ...intent.values });
      return [{ kind: "putHealthCheck", poolId: intent.poolId, fields, ...ifRevision(intent.revision) }];
    }
    case "geoRule": {
      const { match, value, ...rest } = intent.values;
      const none = { cidr: null, country: null, continent: null, asn: null };
      const matched = { ...none, [String(match)]: value };
      const fields = parsed(
        geoRuleFieldsSchema,
        { ...rest, ...matched },
        (field) => field in none ? "value" : field,
      );
      return [
        intent.id === null
          ? { kind: "createGeoRule", id: newId(), poolId: intent.poolId, fields }
          : { kind: "updateGeoRule", id: intent.id, fields, ...ifRevision(intent.revision) },
      ];
    }
    case "service": {
      const stored = storedFields(intent.id, (id) => store.services.get(id));
      const fields = parsed(serviceFieldsSchema, { ...stored, ...intent.values });
      return [
        intent.id === null
          ? { kind: "createService", id: newId(), fields }
          : { kind: "updateService", id: intent.id, fields, ...ifRevision(intent.revision) },
      ];
    }
    case "delete":
      return [deletion(intent.what, intent.id, intent.revision)];
    case "drain": {
      const { duration, drainMs: over, reason } = intent.values;
      const forMs = durationOf("duration", duration);
      const drainMs = durationOf("drainMs", over);
      const fields = {
        ...{ target: intent.target, state: "drain", reason: String(reason ?? ""), owner: author } as const,
        ...{ startsAt: nowMs, expiresAt: nowMs + forMs, drainMs: isPreview ? 0 : drainMs },
      };
      return [{ kind: "createOverride", id: newId(), fields }];
    }
  }
}

function deletion(what: DeletedKind, id: string, revision: number): Edit {
  const ifRevision = revision;
  switch (what) {
    case "pool":
      return { kind: "deletePool", id, ifRevision };
    case "member":
      return { kind: "deleteMember", id, ifRevision };
    case "healthCheck":
      return { kind: "deleteHealthCheck", poolId: id, ifRevision };
    case "geoRule":
      return { kind: "deleteGeoRule", id, ifRevision };
    case "service":
      return { kind: "deleteService", id, ifRevision };
  }
}

function ifRevision(revision: number | null): { readonly ifRevision?: number } {
  return revision === null ? {} : { ifRevision: revision };
}

/** What is stored besides what a form shows; nothing where it creates, or where the row is gone (the edit then says so). */
function storedFields(id: string | null, get: (id: string) => object | null): Values {
  const row = id === null ? null : get(id);
  return Object.fromEntries(Object.entries(row ?? {}).filter(([name]) => !ROW_FIELDS.includes(name)));
}

/** What a row has beside the fields of the object; a service's pool is a field of its own. */
const ROW_FIELDS: readonly string[] = ["id", "seq", "revision"];

/** A fallback pool is chosen by name. */
function withPool({ fallbackPool, ...values }: Values, store: Store): Values {
  if (fallbackPool === undefined) return values;
  const name = String(fallbackPool ?? "").trim();
  if (name === "") return { ...values, fallbackPoolId: null };
  const pool = store.pools.byName(name);
  if (pool === null) {
    throw new ChangeRefused("missing-reference", [{
      pointer: "/fallbackPool",
      message: `There is no pool "${name}": give the name of one, or none`,
    }]);
  }
  return { ...values, fallbackPoolId: pool.id };
}

/** One field takes an address or a host name. */
function withAddress({ address, ...values }: Values): Values {
  if (address === undefined) return values;
  const text = String(address).trim();
  const isAddress = /^[0-9.]+$/.test(text) || text.includes(":");
  return isAddress || text === ""
    ? { ...values, ipAddress: text === "" ? null : text, target: null }
    : { ...values, ipAddress: null, target: text };
}

/** @throws {ChangeRefused} with a pointer to each wrong field */
function parsed<Fields>(
  schema: z.ZodType<Fields>,
  values: Values,
  shownAs: (field: string) => string = (field) => field,
): Fields {
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }): Problem => {
    const field = shownAs(String(path[0] ?? ""));
    return { pointer: `/${FORM_FIELDS[field] ?? field}`, message };
  });
  throw new ChangeRefused("invalid", problems);
}

/** Fields of the model that a form has under another name. */
const FORM_FIELDS: Readonly<Record<string, string>> = {
  ipAddress: "address",
  target: "address",
  fallbackPoolId: "fallbackPool",
};

function durationOf(field: string, value: unknown): number {
  const ms = parseDuration(String(value ?? "").trim());
  if (ms !== null) return ms;
  throw new ChangeRefused("invalid", [{
    pointer: `/${field}`,
    message: `"${String(value ?? "")}" is no duration: give one such as 30s, 10m or 2h`,
  }]);
}
