/**
 * From what the parts of a node report to the events that others may follow.
 *
 * @module
 */
import type { NodeEvent } from "../events/event.ts";
import type { GuardEvent } from "../health/flip_guard.ts";
import type { VerdictChange } from "../health/health_checker.ts";
import type { PoolTurn } from "../health/pool_watch.ts";
import type { OverrideTurn } from "../change/override_clock.ts";
import type { Store } from "../store/store.ts";
import type { SeenCommit } from "./commits.ts";
import type { Ground } from "./ground.ts";
import type { Sources } from "./sources.ts";

/** Has changes of health, of overrides and of the model emitted, until it is disposed of. */
export function emitHappenings(
  { store, commits, events }: Ground,
  { health, overrides }: Sources,
): Disposable {
  const joints = new DisposableStack();
  joints.use(health.onVerdicts((changes) => {
    for (const change of changes) events.emit(healthEvent(change));
  }));
  joints.use(health.onGuardEvent((event) => events.emit(guardEvent(event))));
  joints.use(overrides.onTurn((turn) => events.emit(overrideEvent(turn))));
  joints.use(commits.subscribe((commit) => events.emit(commitEvent(commit, store))));
  return joints;
}

/** A change of what is believed. */
export function healthEvent({ key, verdict, previous }: VerdictChange): NodeEvent {
  const { state, lastError: error } = verdict;
  return { kind: "health", target: key, state, previous: previous.state, error };
}

/** What happened to the guard. */
export function guardEvent(event: GuardEvent): NodeEvent {
  const of = (change: GuardEvent["kind"], targets: number) =>
    ({ kind: "guard", change, targets, until: null, outcome: null }) as const;
  switch (event.kind) {
    case "tripped":
    case "blinded":
      return { ...of(event.kind, event.held), until: event.untilUnixMs };
    case "ended":
      return { ...of(event.kind, event.failedOver), outcome: event.outcome };
    case "sighted":
    case "overdue":
      return of(event.kind, event.held);
  }
}

/** A pool that went down or came back. */
export function poolEvent({ id, name, family, isDown }: PoolTurn): NodeEvent {
  return { kind: "pool", id, name, isDown, family };
}

/** What time, or an operator, did to an override. */
export function overrideEvent({ change, override, target }: OverrideTurn): NodeEvent {
  const { id, state, owner, reason, expiresAt } = override;
  return { kind: "override", change, id, target, state, owner, reason, expiresAt };
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
