/**
 * Every key of the settings has its answer to a reload. That what is marked as live is so shows `live_keys_test.ts`.
 *
 * @module
 */
import { deepEqual, notDeepEqual } from "node:assert/strict";
import { keysOf, settingsTree } from "../../src/settings/keys.ts";
import type { SettingsOutside } from "../../src/settings/outside.ts";
import { needingRestart } from "../../src/settings/reloading.ts";
import { loadSettings, type Settings } from "../../src/settings/settings.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { fileOf, otherValue } from "./other_values.ts";

const KEYS = keysOf(settingsTree()).filter(({ absent }) => !absent);
const WAITING = KEYS.filter(({ reload }) => reload === "restart");

/** Keys that have no default, or not alone. */
const BEFORE: Readonly<Record<string, unknown>> = {
  workers: 1,
  "dns.tls.certFile": "dns.crt",
  "dns.tls.keyFile": "dns.key",
  "api.tls.certFile": "api.crt",
  "api.tls.keyFile": "api.key",
  "distribute.messageBroker.tls.certFile": "nats.crt",
  "distribute.messageBroker.tls.keyFile": "nats.key",
  "distribute.messageBroker.username": "user",
  "distribute.messageBroker.password": "password",
};

/** All that a file may be at once: a certificate, its key, and credentials of NATS. */
const FILE = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n" +
  "-----BEGIN NATS USER JWT-----\n-----BEGIN USER NKEY SEED-----\n";

/** A machine on which every file is that. */
const OUTSIDE: SettingsOutside = {
  readFile: () => new TextEncoder().encode(FILE),
  expectReadable: () => {},
  exists: () => false,
  isWritable: () => false,
  hostname: () => "node",
  homeFolder: () => "/",
  processors: () => 4,
  tlsRefusal: () => null,
};

function settingsOf(values: Readonly<Record<string, unknown>>): Settings {
  const outside = {
    ...OUTSIDE,
    readFile: (path: string) =>
      path === "/p.yaml" ? new TextEncoder().encode(fileOf(values)) : OUTSIDE.readFile(path),
  };
  const { settings, problems } = loadSettings({ file: "/p.yaml", env: {}, outside });
  deepEqual(problems.map(formatProblem), [], "tests/settings/other_values.ts needs a value that is right");
  return settings!;
}

for (const key of WAITING) {
  const name = key.path.join(".");
  Deno.test(`a reload with another ${name} names that key and no other`, () => {
    const before = settingsOf(BEFORE);
    const after = settingsOf({ ...BEFORE, [name]: otherValue(key, BEFORE[name]) });
    notDeepEqual(after, before, `nothing comes of ${name}`);
    deepEqual(needingRestart(before, after), [name]);
    deepEqual(needingRestart(before, before), []);
  });
}
