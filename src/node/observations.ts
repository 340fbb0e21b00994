/**
 * What a node has observed, kept in its database for the next start: verdicts, and addresses of members by name.
 *
 * Observations are a help, so when one can't be written, answering goes on.
 *
 * @module
 */
import type { HealthMemory } from "../health/node_health.ts";
import type { NamesMemory } from "../resolver/member_resolver.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";

/** Where health leaves off, and begins again. */
export function healthMemory(store: Store, log: Logger): HealthMemory {
  const { verdicts } = store;
  const keep = observer(store, "the last verdicts", log);
  return {
    verdicts: () => verdicts.each(),
    outs: () => verdicts.eachOut(),
    keepVerdicts: (entries) => keep(() => verdicts.save(entries)),
    forgetVerdicts: (targets) => keep(() => verdicts.forget(targets)),
    keepOuts: (outs) => keep(() => verdicts.saveOuts(outs)),
  };
}

/** Where names leave off, and begin again. */
export function namesMemory(store: Store, log: Logger): NamesMemory {
  const { resolvedNames } = store;
  const keep = observer(store, "the addresses of names", log);
  return {
    each: () => resolvedNames.each(),
    save: (entries) => keep(() => resolvedNames.save(entries)),
    forget: (targets) => keep(() => resolvedNames.forget(targets)),
  };
}

/** Writes where the database may be written, and says when it can't be. */
function observer({ readOnly }: Store, what: string, log: Logger): (write: () => void) => void {
  return (write) => {
    if (readOnly) return;
    try {
      write();
    } catch (error) {
      log.warn(`Cannot keep ${what} in the database`, { error });
    }
  };
}
