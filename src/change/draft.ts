/**
 * The model while a commit is being made: each edit is judged against what the edits before it have left, and
 * written at once into the open transaction.
 *
 * What an edit says about itself (its object exists, isn't stale, has a free name) is judged on the spot. What it
 * says about others (references, fallback chains, zone cuts) may still be put right by a later edit: such a check that
 * fails now is tried again at the end. The converse holds because every edit that could break another object's check
 * makes that check itself. Problems are gathered, so that an author sees all of them at once.
 *
 * @module
 */
import type { GeoRuleRow } from "../store/geo_rules.ts";
import { isId } from "../model/id.ts";
import { overrideFaults, OVERRIDES_MAX, targetOf } from "../model/override.ts";
import { addressOf } from "../model/model.ts";
import { readZoneText } from "../model/zone_text.ts";
import type { MemberRow } from "../store/members.ts";
import type { OverrideRow } from "../store/overrides.ts";
import type { PoolRow } from "../store/pools.ts";
import type { ServiceRow } from "../store/services.ts";
import { RECORDED_MAX } from "../store/history.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { PastChange } from "../store/past.ts";
import type { ChangeCounts, ChangedKey } from "../store/replacement.ts";
import type { Staging } from "../store/staging.ts";
import type { Store } from "../store/store.ts";
import { type Touched, TOUCHED_MAX, TouchedList } from "../store/touched.ts";
import type { Unstamped, Writer } from "../store/write.ts";
import {
  ChangeRefused,
  type Edit,
  type PoolFields,
  type Problem,
  type RefusalKind,
  type ServiceFields,
} from "./edit.ts";
import {
  addressField,
  domainFault,
  fallbackFault,
  type Fault,
  geoRulesFault,
  memberOwnNameFault,
  membersFault,
  ruleMemberFault,
  serviceCutFault,
  serviceOwnNameFault,
  servicePoolFault,
  zoneCutsFault,
} from "./faults.ts";
import { fallbackJson, fallbackRevision, jsonOf, type Recorded, storedJson } from "./history_json.ts";
import { objectsWanted } from "./log_changes.ts";
import { restore } from "./restore.ts";

/** More problems than a person will read: the rest of the commit isn't looked at. */
export const PROBLEMS_MAX = 100;

type EditOf<Kind extends Edit["kind"]> = Extract<Edit, { readonly kind: Kind }>;

interface Refusal extends Problem {
  readonly kind: RefusalKind;
}

/** A check that failed in the midst of a commit, and where the author would look for it. */
interface Retry {
  readonly judge: () => Fault | null;
  readonly pointer: string;
}

/** One commit in the making; lives as long as the transaction of its writer. */
export class Draft {
  /** As the edits so far have left it. */
  readonly store: Store;
  readonly #writer: Writer;
  readonly #nowMs: number;
  readonly #touched = new TouchedList(TOUCHED_KNOWN_MAX);
  readonly #refusals: Refusal[] = [];
  readonly #retries: Retry[] = [];

  /** Belongs to the transaction of `writer`, on the same store, at `nowMs` (Unix milliseconds). */
  constructor(options: { readonly store: Store; readonly writer: Writer; readonly nowMs: number }) {
    this.store = options.store;
    this.#writer = options.writer;
    this.#nowMs = options.nowMs;
  }

  /**
   * Makes one edit.
   *
   * @param at JSON pointer to the edit in what the author sent
   * @returns whether it was made; a reference that is still missing doesn't count against it
   * @throws {ChangeRefused} when there are too many problems to go on
   */
  apply(edit: Edit, at: string): boolean {
    const before = this.#refusals.length;
    this.#make(edit, at);
    return this.#refusals.length === before;
  }

  /** Makes the model the staged one, which has been judged; objects that are the same by their keys stay as they are. */
  replaceWith(staging: Staging): void {
    using replacement = this.#writer.compare(staging);
    if (replacement.size > RECORDED_MAX) {
      // Where there was nothing before, no one's answer is another one.
      const isFirst = this.store.hasAtMost(0);
      if (isFirst || replacement.size > TOUCHED_KNOWN_MAX) this.#touched.everything();
      else for (const key of replacement.changed()) this.#touch(key);
      this.#recordOverridesGone(() => this.#writer.replaceMany(replacement));
      return;
    }
    const before = replacement.changed().map((key) => ({ key, json: storedJson(this.store, key) }));
    this.#recordOverridesGone(() => this.#writer.replace(replacement));
    for (const { key, json } of before) {
      this.#touch(key);
      this.#writer.record({ ...key, before: json, after: storedJson(this.store, key) });
    }
  }

  /** Makes the model what it was at a generation within reach. @returns how many objects of each kind differ */
  restore(generation: number): ChangeCounts {
    using between = this.store.history.between({ from: generation, to: this.store.generation() });
    let counts: ChangeCounts = {};
    const overrides = this.#recordOverridesGone(() => {
      counts = restore(between, {
        store: this.store,
        writer: this.#writer,
        touch: (key) => this.#touch(key),
        refuse: (kind, pointer, message) => this.refuse(kind, pointer, message),
      });
    });
    return overrides === 0 ? counts : { ...counts, override: { created: 0, changed: 0, deleted: overrides } };
  }

  /**
   * Makes the changes of an entry of the cluster's log, on whatever the model is by now.
   *
   * @throws {ChangeRefused} when they don't fit it any more
   */
  put(changes: readonly RecordedChange[]): void {
    const wanted = objectsWanted(this.store, changes, (...refusal) => this.refuse(...refusal));
    if (this.#refusals.length > 0) throw this.#refused();
    this.#recordOverridesGone(() => {
      if (wanted.length === 0) return;
      using given = this.store.history.given(wanted);
      restore(given, {
        store: this.store,
        writer: this.#writer,
        touch: (key) => this.#touch(key),
        refuse: (kind, pointer, message) => this.refuse(kind, pointer, message),
      });
    });
    for (const change of changes) if (change.kind === "override") this.#putOverride(change);
  }

  /** One that has ended, or is gone with what it covered, is no fault of who set or removed it. */
  #putOverride({ id, after }: RecordedChange): void {
    const now = this.store.overrides.get(id);
    if (after === null) {
      if (now) this.#deleteOverride({ kind: "deleteOverride", id }, "");
      return;
    }
    const { poolId: _, ...fields }: Recorded["override"] = JSON.parse(after);
    if (now || fields.expiresAt <= this.#nowMs) return;
    const poolId = this.store.overrides.poolOf(targetOf(fields));
    if (poolId === undefined) {
      return this.refuse("missing-reference", "", `${fields.target} was deleted meanwhile`);
    }
    this.#insertOverride({ ...fields, poolId });
  }

  #insertOverride(override: Unstamped<OverrideRow>): void {
    const { id } = override;
    this.#writer.putOverride(override);
    this.#touchCovered(override);
    this.#writer.record({ kind: "override", id, before: null, after: jsonOf("override", override) });
  }

  /** Records the overrides that go with what the work deletes. @returns how many there are */
  #recordOverridesGone(work: () => void): number {
    const overrides = this.store.overrides.all();
    work();
    const gone = overrides.filter(({ id }) => !this.store.overrides.get(id));
    for (const override of gone) this.#recordGone({ kind: "override", id: override.id }, override);
    return gone.length;
  }

  /**
   * Judges what had to wait for the last edit.
   *
   * @returns what was touched, as far as followers care, and all of it
   * @throws {ChangeRefused} with every problem of the commit; its kind is that of the first one
   */
  conclude(): { readonly touched: Touched; readonly all: Touched } {
    for (const { judge, pointer } of this.#retries) {
      const fault = judge();
      if (fault) this.refuse(fault.kind, pointer, fault.message);
    }
    if (this.#refusals.length > 0) throw this.#refused();
    return { touched: this.#touched.list(TOUCHED_MAX), all: this.#touched.list() };
  }

  /**
   * Notes a problem.
   *
   * @throws {ChangeRefused} when there are too many to go on
   */
  refuse(kind: RefusalKind, pointer: string, message: string): void {
    this.#refusals.push({ kind, pointer, message });
    if (this.#refusals.length >= PROBLEMS_MAX) throw this.#refused();
  }

  #make(edit: Edit, at: string): void {
    switch (edit.kind) {
      case "createPool":
        return this.#createPool(edit, at);
      case "updatePool":
        return this.#updatePool(edit, at);
      case "deletePool":
        return this.#deletePool(edit, at);
      case "createMember":
        return this.#createMember(edit, at);
      case "updateMember":
        return this.#updateMember(edit, at);
      case "deleteMember":
        return this.#deleteMember(edit, at);
      case "createService":
        return this.#createService(edit, at);
      case "updateService":
        return this.#updateService(edit, at);
      case "deleteService":
        return this.#deleteService(edit, at);
      case "putHealthCheck":
        return this.#putHealthCheck(edit, at);
      case "deleteHealthCheck":
        return this.#deleteHealthCheck(edit, at);
      case "createGeoRule":
        return this.#createGeoRule(edit, at);
      case "updateGeoRule":
        return this.#updateGeoRule(edit, at);
      case "deleteGeoRule":
        return this.#deleteGeoRule(edit, at);
      case "putZone":
        return this.#putZone(edit, at);
      case "deleteZone":
        return this.#deleteZone(edit, at);
      case "createOverride":
        return this.#createOverride(edit, at);
      case "deleteOverride":
        return this.#deleteOverride(edit, at);
      case "putFallback":
        return this.#putFallback(edit, at);
    }
  }

  #createPool({ id, fields }: EditOf<"createPool">, at: string): void {
    if (this.#idIsFree("pool", id, this.store.pools.get(id) !== null, at)) {
      this.#putPool(id, null, fields, at);
    }
  }

  #updatePool(edit: EditOf<"updatePool">, at: string): void {
    const before = this.store.pools.get(edit.id);
    if (this.#isCurrent("pool", edit.id, before, edit, at)) this.#putPool(edit.id, before, edit.fields, at);
  }

  #putPool(id: string, before: PoolRow | null, fields: PoolFields, at: string): void {
    if (fields.name !== before?.name) {
      const other = this.store.pools.byName(fields.name);
      if (other) {
        return this.refuse(
          "duplicate",
          `${at}/name`,
          `A pool named "${fields.name}" exists already (id ${other.id}): choose another name, or change that pool`,
        );
      }
    }
    if (!this.#writePool({ id, before, after: { ...fields, id } })) return;
    this.#require(() => fallbackFault(this.store, id), `${at}/fallbackPoolId`);
  }

  #deletePool(edit: EditOf<"deletePool">, at: string): void {
    const { id } = edit;
    const before = this.store.pools.get(id);
    if (!this.#isCurrent("pool", id, before, edit, at)) return;
    this.#detachServices(id);
    for (const member of this.store.members.rowsOf(id)) {
      this.#recordGone({ kind: "member", id: member.id }, member);
    }
    for (const override of this.store.overrides.ofPool(id)) {
      this.#recordGone({ kind: "override", id: override.id }, override);
    }
    for (const rule of this.store.geoRules.rowsOf(id)) {
      this.#recordGone({ kind: "geoRule", id: rule.id }, rule);
    }
    const check = this.store.healthChecks.get(id);
    if (check) this.#recordGone({ kind: "healthCheck", id }, check);
    this.#writePool({ id, before, after: null });
    this.#detachFallbacks(id, at);
  }

  /** The foreign key would do the same, but leave neither a record nor a new revision. */
  #detachServices(poolId: string): void {
    for (;;) {
      const services = this.store.services.someOf(poolId, DETACH_BATCH);
      for (const service of services) this.#writeService(service, { ...service, poolId: null });
      if (services.length < DETACH_BATCH) return;
    }
  }

  /** A pool that needs this one as its fallback must be given another; one that only mentions it loses it. */
  #detachFallbacks(poolId: string, at: string): void {
    for (const pool of this.store.pools.fallingBackTo(poolId)) {
      if (pool.onAllDown === "fallback") this.#require(() => fallbackFault(this.store, pool.id), at);
      else this.#writePool({ id: pool.id, before: pool, after: { ...pool, fallbackPoolId: null } });
    }
  }

  #writePool(
    { id, before, after }: {
      readonly id: string;
      readonly before: PoolRow | null;
      readonly after: Unstamped<PoolRow> | null;
    },
  ): boolean {
    const write = () => after === null ? this.#writer.deletePool(id) : this.#writer.putPool(after);
    return this.#write({ kind: "pool", id, poolId: id }, { before, after, write });
  }

  #createMember({ id, poolId, fields }: EditOf<"createMember">, at: string): void {
    if (!this.#poolExists(poolId, at)) return;
    if (!this.#idIsFree("member", id, this.store.members.get(id) !== null, at)) return;
    this.#putMember({ ...fields, id, poolId, seq: this.#writer.nextMemberSeq() }, null, at);
    this.#require(() => membersFault(this.store, poolId), at);
  }

  #updateMember(edit: EditOf<"updateMember">, at: string): void {
    const before = this.store.members.get(edit.id);
    if (!this.#isCurrent("member", edit.id, before, edit, at)) return;
    const { poolId, seq } = before;
    this.#putMember({ ...edit.fields, id: edit.id, poolId, seq }, before, at);
  }

  #putMember(after: Unstamped<MemberRow>, before: MemberRow | null, at: string): void {
    const other = this.store.members.at(after);
    if (other && other.id !== after.id) {
      return this.refuse(
        "duplicate",
        `${at}/${addressField(after)}`,
        `The pool has a member ${addressOf(after)} port ${after.port} already (id ${other.id}): ` +
          `choose another address or port, or change that member`,
      );
    }
    const { id, poolId } = after;
    const write = () => this.#writer.putMember(after);
    if (!this.#write({ kind: "member", id, poolId }, { before, after, write })) return;
    if (after.target !== null) {
      this.#require(() => memberOwnNameFault(this.store, after.id), `${at}/target`);
    }
  }

  #deleteMember(edit: EditOf<"deleteMember">, at: string): void {
    const { id } = edit;
    const before = this.store.members.get(id);
    if (!this.#isCurrent("member", id, before, edit, at)) return;
    for (const rule of this.store.geoRules.towards(id)) {
      // Another pool's rule is to be refused, not to go unnoticed; its own check is waiting for the end.
      if (rule.poolId !== before.poolId) continue;
      this.#dropGeoRule(rule);
    }
    for (const override of this.store.overrides.of(`member:${id}`)) {
      this.#recordGone({ kind: "override", id: override.id }, override);
    }
    const write = () => this.#writer.deleteMember(id);
    this.#write({ kind: "member", id, poolId: before.poolId }, { before, after: null, write });
  }

  #createService({ id, fields }: EditOf<"createService">, at: string): void {
    if (!this.#idIsFree("service", id, this.store.services.get(id) !== null, at)) return;
    this.#putService(id, null, fields, at);
  }

  #updateService(edit: EditOf<"updateService">, at: string): void {
    const before = this.store.services.get(edit.id);
    if (this.#isCurrent("service", edit.id, before, edit, at)) {
      this.#putService(edit.id, before, edit.fields, at);
    }
  }

  #putService(id: string, before: ServiceRow | null, fields: ServiceFields, at: string): void {
    if (fields.domain !== before?.domain && !this.#domainIsFree(fields.domain, at)) return;
    this.#writeService(before, { ...fields, id });
    if (fields.poolId !== before?.poolId) {
      this.#require(() => servicePoolFault(this.store, id), `${at}/poolId`);
    }
    if (fields.poolId !== before?.poolId || fields.domain !== before?.domain) {
      this.#require(() => serviceOwnNameFault(this.store, id), `${at}/poolId`);
    }
    if (fields.domain !== before?.domain) {
      this.#require(() => serviceCutFault(this.store, id), `${at}/domain`);
    }
  }

  #writeService(before: ServiceRow | null, after: Unstamped<ServiceRow>): void {
    const write = () => this.#writer.putService(after);
    this.#write({ kind: "service", id: after.id, poolId: null }, { before, after, write });
  }

  #deleteService(edit: EditOf<"deleteService">, at: string): void {
    const { id } = edit;
    const before = this.store.services.get(id);
    if (!this.#isCurrent("service", id, before, edit, at)) return;
    const write = () => this.#writer.deleteService(id);
    this.#write({ kind: "service", id, poolId: null }, { before, after: null, write });
  }

  #putHealthCheck(edit: EditOf<"putHealthCheck">, at: string): void {
    const { poolId, fields } = edit;
    if (!this.#poolExists(poolId, at)) return;
    const before = this.store.healthChecks.get(poolId);
    // Who saw a check that is gone by now must not bring it back unawares.
    if (!this.#isFresh("health check of pool", poolId, before, edit, at)) return;
    const write = () => this.#writer.putHealthCheck(poolId, fields);
    this.#write({ kind: "healthCheck", id: poolId, poolId }, { before, after: { ...fields, poolId }, write });
  }

  #deleteHealthCheck(edit: EditOf<"deleteHealthCheck">, at: string): void {
    const { poolId } = edit;
    const before = this.store.healthChecks.get(poolId);
    if (!this.#isCurrent("health check of pool", poolId, before, edit, at)) return;
    const write = () => this.#writer.deleteHealthCheck(poolId);
    this.#write({ kind: "healthCheck", id: poolId, poolId }, { before, after: null, write });
  }

  #createGeoRule({ id, poolId, fields }: EditOf<"createGeoRule">, at: string): void {
    if (!this.#poolExists(poolId, at)) return;
    if (!this.#idIsFree("geo rule", id, this.store.geoRules.get(id) !== null, at)) return;
    this.#putGeoRule({ ...fields, id, poolId, seq: this.#writer.nextGeoRuleSeq() }, null, at);
    this.#require(() => geoRulesFault(this.store, poolId), at);
  }

  #updateGeoRule(edit: EditOf<"updateGeoRule">, at: string): void {
    const before = this.store.geoRules.get(edit.id);
    if (!this.#isCurrent("geo rule", edit.id, before, edit, at)) return;
    const { poolId, seq } = before;
    this.#putGeoRule({ ...edit.fields, id: edit.id, poolId, seq }, before, at);
  }

  #putGeoRule(after: Unstamped<GeoRuleRow>, before: GeoRuleRow | null, at: string): void {
    const { id, poolId } = after;
    const write = () => this.#writer.putGeoRule(after);
    if (!this.#write({ kind: "geoRule", id, poolId }, { before, after, write })) return;
    this.#require(() => ruleMemberFault(this.store, after.id), `${at}/memberId`);
  }

  #deleteGeoRule(edit: EditOf<"deleteGeoRule">, at: string): void {
    const before = this.store.geoRules.get(edit.id);
    if (this.#isCurrent("geo rule", edit.id, before, edit, at)) this.#dropGeoRule(before);
  }

  #dropGeoRule(before: GeoRuleRow): void {
    const { id, poolId } = before;
    const write = () => this.#writer.deleteGeoRule(id);
    this.#write({ kind: "geoRule", id, poolId }, { before, after: null, write });
  }

  #putZone(edit: EditOf<"putZone">, at: string): void {
    const { domain, text } = edit;
    const before = this.store.zones.get(domain);
    if (!this.#isFresh("zone", domain, before, edit, at)) return;
    if (before?.text === text || !this.#domainIsValid(domain, { wildcard: false, at })) return;
    const { cuts, problems } = readZoneText(text, { domain });
    for (const { line, column, message } of problems) {
      this.refuse("invalid", `${at}/text`, `Zone "${domain}": line ${line}, column ${column}: ${message}`);
    }
    if (problems.length > 0) return;
    const after = { domain, text };
    const write = () => this.#writer.putZone(after, cuts);
    this.#write({ kind: "zone", id: domain, poolId: null }, { before, after, write });
    this.#require(() => zoneCutsFault(this.store, domain), `${at}/text`);
  }

  #deleteZone(edit: EditOf<"deleteZone">, at: string): void {
    const { domain } = edit;
    const before = this.store.zones.get(domain);
    if (!this.#isCurrent("zone", domain, before, edit, at)) return;
    const write = () => this.#writer.deleteZone(domain);
    this.#write({ kind: "zone", id: domain, poolId: null }, { before, after: null, write });
    // What lay in this zone lies in the one around it now, which may have handed it over to other servers.
    this.#require(() => zoneCutsFault(this.store, this.store.zones.cuts.enclosing(domain)), at);
  }

  #createOverride({ id, fields }: EditOf<"createOverride">, at: string): void {
    if (!this.#idIsFree("override", id, this.store.overrides.get(id) !== null, at)) return;
    if (this.store.overrides.count() >= OVERRIDES_MAX) {
      return this.refuse("invalid", at, `There are ${OVERRIDES_MAX} overrides already: delete some first`);
    }
    const poolId = this.store.overrides.poolOf(targetOf(fields));
    if (poolId === undefined) {
      this.refuse(
        "missing-reference",
        `${at}/target`,
        `There is nothing called ${fields.target}: name a member, a pool, or a region that members have`,
      );
    }
    const faults = overrideFaults(fields, this.#nowMs);
    for (const { field, message } of faults) {
      this.refuse("invalid", `${at}/${field === "drainMs" ? "drain" : field}`, message);
    }
    if (poolId === undefined || faults.length > 0) return;
    this.#insertOverride({ ...fields, id, poolId, createdAt: this.#nowMs });
  }

  #deleteOverride(edit: EditOf<"deleteOverride">, at: string): void {
    const before = this.store.overrides.get(edit.id);
    if (!this.#isCurrent("override", edit.id, before, edit, at)) return;
    this.#writer.deleteOverride(edit.id);
    this.#touchCovered(before);
    this.#recordGone({ kind: "override", id: edit.id }, before);
  }

  #touchCovered(override: Pick<OverrideRow, "target" | "poolId">): void {
    for (const id of this.store.overrides.poolsCoveredBy(override)) this.#touched.pool(id);
  }

  #putFallback(edit: EditOf<"putFallback">, at: string): void {
    const stored = this.store.fallback();
    const revision = fallbackRevision(stored);
    if (!this.#isFresh("static fallback", "of the model", { revision }, edit, at)) return;
    const before = stored && fallbackJson(stored);
    const after = edit.fallback && fallbackJson(edit.fallback);
    if (before === after) return;
    this.#writer.putFallback(edit.fallback);
    this.#touched.fallback();
    this.#writer.record({ kind: "fallback", id: "", before, after });
  }

  /** Writes or deletes an object and records it. @returns `false` when it is as it was, and nothing is done */
  #write<Kind extends ChangedKey["kind"]>(
    key: ChangedKey & { readonly kind: Kind },
    { before, after, write }: {
      readonly before: Recorded[Kind] | null;
      readonly after: Recorded[Kind] | null;
      readonly write: () => void;
    },
  ): boolean {
    const { kind, id } = key;
    const jsons = { before: before && jsonOf(kind, before), after: after && jsonOf(kind, after) };
    if (jsons.before === jsons.after) return false;
    write();
    this.#touch(key);
    this.#writer.record({ kind, id, ...jsons });
    return true;
  }

  #touch({ kind, id, poolId }: Pick<PastChange, "kind" | "id"> & { readonly poolId: string | null }): void {
    if (kind === "service") this.#touched.service(id);
    else if (kind === "zone") this.#touched.zone(id);
    else if (kind === "fallback") this.#touched.fallback();
    else if (poolId !== null) this.#touched.pool(poolId);
  }

  /** For the history: an object that goes with what it belongs to. */
  #recordGone<Kind extends keyof Recorded>(
    { kind, id }: { readonly kind: Kind; readonly id: string },
    before: Recorded[Kind],
  ): void {
    this.#writer.record({ kind, id, before: jsonOf(kind, before), after: null });
  }

  #domainIsFree(domain: string, at: string): boolean {
    if (!this.#domainIsValid(domain, { wildcard: true, at })) return false;
    const other = this.store.services.byDomain(domain);
    if (!other) return true;
    this.refuse(
      "duplicate",
      `${at}/domain`,
      `A service for "${domain}" exists already (id ${other.id}): change that one, or choose another domain`,
    );
    return false;
  }

  #domainIsValid(domain: string, { wildcard, at }: { wildcard: boolean; at: string }): boolean {
    const fault = domainFault(domain, { wildcard });
    if (fault !== null) this.refuse("invalid", `${at}/domain`, fault);
    return fault === null;
  }

  #poolExists(poolId: string, at: string): boolean {
    if (this.store.pools.get(poolId)) return true;
    this.refuse("not-found", at, `There is no pool ${poolId}: look at the list of pools`);
    return false;
  }

  #idIsFree(noun: string, id: string, taken: boolean, at: string): boolean {
    if (!isId(id)) {
      this.refuse("invalid", `${at}/id`, `The id "${id}" must be 32 lower-case hex digits`);
      return false;
    }
    if (taken) {
      this.refuse("duplicate", `${at}/id`, `A ${noun} with the id ${id} exists already: choose another id`);
    }
    return !taken;
  }

  #isCurrent<Row extends { readonly revision: number }>(
    noun: string,
    id: string,
    row: Row | null,
    edit: { readonly ifRevision?: number },
    at: string,
  ): row is Row {
    if (row) return this.#isFresh(noun, id, row, edit, at);
    this.refuse("not-found", at, `There is no ${noun} ${id}`);
    return false;
  }

  /** A row that this same commit wrote counts as the one its author saw. */
  #isFresh(
    noun: string,
    id: string,
    row: { readonly revision: number } | null,
    { ifRevision }: { readonly ifRevision?: number },
    at: string,
  ): boolean {
    if (
      ifRevision === undefined || row?.revision === ifRevision || row?.revision === this.#writer.generation
    ) {
      return true;
    }
    this.refuse(
      "stale",
      at,
      `The ${noun} ${id} was changed meanwhile: it is at revision ${row?.revision ?? "none"}, ` +
        `this edit was made for ${ifRevision}; read it again`,
    );
    return false;
  }

  #require(judge: () => Fault | null, pointer: string): void {
    if (judge()) this.#retries.push({ judge, pointer });
  }

  #refused(): ChangeRefused {
    const problems = this.#refusals.map(({ pointer, message }) => ({ pointer, message }));
    return new ChangeRefused(this.#refusals[0]!.kind, problems);
  }
}

/** Objects that are known by their ids for the guards: some 100 MB of the thread of an apply. */
const TOUCHED_KNOWN_MAX = 1_000_000;
/** Services that are detached from a deleted pool at a time; a pool may have a million. */
const DETACH_BATCH = 1_000;
