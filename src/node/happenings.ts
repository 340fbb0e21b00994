/**
 * From what the parts of a node report to the events that others may follow.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import type { Refused } from "../change/commit.ts";
import { endpointOfKey } from "../desired/check_target.ts";
import type { NodeEvent } from "../events/event.ts";
import type { GuardEvent } from "../health/flip_guard.ts";
import type { PolicyTurn } from "../health/global_view.ts";
import type { VerdictChange } from "../health/health_checker.ts";
import type { PoolTurn } from "../health/pool_watch.ts";
import type { OverrideTurn } from "../change/override_clock.ts";
import type { Store } from "../store/store.ts";
import { describeError } from "../telemetry/log.ts";
import type { SeenCommit } from "./commits.ts";
import type { OpenGround } from "./ground.ts";
import type { Sources } from "./sources.ts";

/** Has changes of health, of overrides and of the model emitted, and what failed, until it is disposed of. */
export function emitHappenings(
  { store, changes, commits, events, internalErrors }: OpenGround,
  { health, overrides }: Sources,
): Disposable {
  const joints = new DisposableStack();
  joints.use(health.onVerdicts((changes) => {
    for (const change of changes) events.emit(healthEvent(change));
  }));
  joints.use(health.onPolicyTurn((turns) => {
    for (const turn of turns) events.emit(policyEvent(turn));
  }));
  joints.use(health.onGuardEvent((event) => events.emit(guardEvent(event))));
  joints.use(overrides.onTurn((turn) => events.emit(overrideEvent(turn))));
  joints.use(commits.subscribe((commit) => events.emit(commitEvent(commit, store))));
  joints.use(changes.onRefused((refused) => events.emit(refusalEvent(refused))));
  joints.use(internalErrors.onError((error) => events.emit(internalFailure(error))));
  return joints;
}

/** A change of what is believed. */
export function healthEvent({ key, verdict, previous }: VerdictChange): NodeEvent {
  const { state, lastError: error } = verdict;
  const { type: check, ipAddress: address, port } = endpointOfKey(key);
  return { kind: "health", target: key, check, address, port, state, previous: previous.state, error };
}

/** What counts differs from what own probes find, or no longer does. */
export function policyEvent({ key, policy, differs, own, state, why: reason }: PolicyTurn): NodeEvent {
  const { type: check, ipAddress: address, port } = endpointOfKey(key);
  const change = differs ? "begun" : "ended";
  return { kind: "policy", change, target: key, check, address, port, state, own, policy, reason };
}

/** What happened to the guard. */
export function guardEvent(event: GuardEvent): NodeEvent {
  const of = (change: GuardEvent["kind"], targets: number) =>
    ({ kind: "guard", change, targets, until: null, outcome: null }) as const;
  switch (event.kind) {
    case "tripped":
    case "blinded":
      return { ...of(event.kind, event.held), until: rfc3339(event.untilUnixMs) };
    case "ended":
      return { ...of(event.kind, event.failedOver), outcome: event.outcome };
    case "sighted":
    case "overdue":
      return of(event.kind, event.held);
  }
}

/** A pool that went down or came back. */
export function poolEvent({ id: poolId, name, family, isDown }: PoolTurn): NodeEvent {
  return { kind: "pool", poolId, name, isDown, family };
}

/** What time, or an operator, did to an override. */
export function overrideEvent({ change, override, target }: OverrideTurn): NodeEvent {
  const { id: overrideId, state, owner, reason } = override;
  const expiresAt = rfc3339(override.expiresAt);
  return { kind: "override", change, overrideId, target, state, owner, reason, expiresAt };
}

/** A commit of this process, or of another one. */
export function commitEvent(
  { generation, everything, poolIds, serviceIds, zoneDomains, fallback, isForeign }: SeenCommit,
  store: Pick<Store, "history">,
): NodeEvent {
  const { via, by, reason } = store.history.get(generation) ?? { via: "", by: "", reason: "" };
  const touched = {
    pools: poolIds.length,
    services: serviceIds.length,
    zones: zoneDomains.length,
    fallback,
  };
  return {
    ...{ kind: "commit", generation, by, reason, via: isForeign ? null : via },
    touched: everything ? null : touched,
  };
}

/** A change that guards refused. */
export function refusalEvent({ origin: { via, by, reason }, guards }: Refused): NodeEvent {
  const found = guards.map(({ guard, message }) => ({ guard, message }));
  return { kind: "refusal", via, by, reason, guards: found };
}

/** An error that no part of the program took. */
function internalFailure(error: unknown): NodeEvent {
  return { kind: "failure", what: "internal", message: describeError(error).slice(0, MESSAGE_LENGTH_MAX) };
}

/** Of an error that comes from anywhere; a line of the log has all of it. */
const MESSAGE_LENGTH_MAX = 500;
