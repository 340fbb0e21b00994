/**
 * For any key of the settings another value than its default, found from the schema; so that tests can change each key
 * without a list of them.
 *
 * @module
 */
import type { SettingsKey } from "../../src/settings/keys.ts";

/** Values where the schema's own example is what the file has, or names what isn't there. */
const BY_HAND: Readonly<Record<string, unknown>> = {
  "agent.destroy.webhook.secret": "another",
  "agent.pleiades.token": "another",
  "agent.rfc2136.secret": "YW5vdGhlcg==",
  "api.listenAddr": "127.0.0.2",
  "api.tls.certFile": "another.crt",
  "api.tls.keyFile": "another.key",
  "api.tokens": ["another"],
  "database.path": "another.db",
  "discovery.consul.address": ["192.0.2.1:8500"],
  "discovery.consul.tls.caFile": "another.crt",
  "discovery.consul.token": "another",
  "distribute.consul.caFile": "another.crt",
  "distribute.consul.token": "another",
  "distribute.messageBroker.password": "another",
  "distribute.messageBroker.tls.caFile": "another.crt",
  "distribute.messageBroker.tls.certFile": "another.crt",
  "distribute.messageBroker.tls.keyFile": "another.key",
  "distribute.powerDNS.apiToken": "another",
  "queryLog.path": "another.log",
  "state.signing.key": `ed25519-private:${"A".repeat(43)}`,
  "state.signing.keys": [`ed25519:${"A".repeat(43)}`],
};

/**
 * A valid value for a key that isn't the one it has.
 *
 * @param before what it has; absent = its default
 */
export function otherValue(
  { path, kind, byDefault, choices, example }: SettingsKey,
  before: unknown = byDefault,
): unknown {
  const name = path.join(".");
  if (Object.hasOwn(BY_HAND, name)) return BY_HAND[name];
  if (choices) return choices.find((word) => word !== before);
  if (kind === "boolean") return !before;
  if (kind === "number") return Number(before ?? example) + 1;
  // A duration: its example may be its default.
  if (typeof before === "string" && /^\d+[a-z]+$/.test(before)) {
    return before.replace(/\d+/, (count) => String(Number(count) + 1));
  }
  return example;
}

/** A settings file, which as JSON is YAML, with these values by the names of their keys. */
export function fileOf(values: Readonly<Record<string, unknown>>): string {
  const root: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const path = name.split(".");
    let at = root;
    for (const step of path.slice(0, -1)) at = (at[step] ??= {}) as Record<string, unknown>;
    at[path.at(-1)!] = value;
  }
  return JSON.stringify(root, null, 1);
}
