/**
 * The audit as a part of a node.
 *
 * @module
 */
import { AUDIT, AuditTrail } from "../change/audit_trail.ts";
import type { Settings } from "../settings/settings.ts";
import type { Start } from "./part.ts";

/** Keeps refused attempts, and the audit within its limits. */
export const audit: Start = ({ store, clock, log, settings, ports }) => {
  const limitsOf = ({ audit: { keep, maxAge } }: Settings) => ({ keep, maxAgeMs: maxAge });
  const trail = new AuditTrail({ store, clock, log, limits: limitsOf(settings()) });
  const offered = ports.offer(AUDIT, trail);
  return {
    name: "audit",
    prepare: (next) => () => trail.use(limitsOf(next)),
    [Symbol.asyncDispose]: () => {
      offered[Symbol.dispose]();
      return trail[Symbol.asyncDispose]();
    },
  };
};
