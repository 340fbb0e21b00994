/**
 * The whole model as an entry of the log would create it: with ids, places in order and overrides, which an export lacks.
 *
 * @module
 */
import type { RecordedChange } from "../store/history_parts.ts";
import type { Store } from "../store/store.ts";
import { fallbackJson, jsonOf } from "./history_json.ts";

/** Every object, as created; those that others need come before them. Don't commit before it has been read to the end. */
export function* modelAsChanges(store: Store): Generator<RecordedChange> {
  const created = (kind: RecordedChange["kind"], id: string, after: string): RecordedChange => ({
    ...{ kind, id, before: null, after },
  });
  for (const { id } of store.pools.each()) {
    yield created("pool", id, jsonOf("pool", store.pools.get(id)!));
    for (const member of store.members.rowsOf(id)) {
      yield created("member", member.id, jsonOf("member", member));
    }
    const check = store.healthChecks.get(id);
    if (check) yield created("healthCheck", id, jsonOf("healthCheck", check));
    for (const rule of store.geoRules.rowsOf(id)) yield created("geoRule", rule.id, jsonOf("geoRule", rule));
  }
  for (const service of store.services.each()) {
    yield created("service", service.id, jsonOf("service", service));
  }
  for (const zone of store.zones.all()) yield created("zone", zone.domain, jsonOf("zone", zone));
  const fallback = store.fallback();
  if (fallback) yield created("fallback", "", fallbackJson(fallback));
  for (const override of store.overrides.all()) {
    yield created("override", override.id, jsonOf("override", override));
  }
}
