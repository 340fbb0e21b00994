/**
 * No message about a settings file shows what may be a secret, however wrongly it was written.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { SECRET_FILE_KEYS } from "../../src/settings/secrets.ts";
import { type LoadedSettings, loadSettings } from "../../src/settings/settings.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";

const CANARY = "canary7f3a9b";
/** The same as a number, as YAML reads a token of digits. */
const NUMBER = "7391847265";

const FILES = [
  `api: ${CANARY}`,
  `api: { tokens: ${NUMBER} }`,
  `api: { tokens: [${NUMBER}] }`,
  `api: { tokens: [{ name: ${CANARY} }] }`,
  `api: { tokens: { admin: ${CANARY} } }`,
  `api: { tokens: ["\${${CANARY}"] }`,
  `license: ${CANARY}`,
  `license: ${NUMBER}`,
  `license: [${CANARY}]`,
  `license: { secret: [${CANARY}] }`,
  `license: { key: ${NUMBER} }`,
  `license: { secret: "${CANARY}" ${CANARY} }`,
  `license: { secret: "\\q${CANARY}" }`,
  `license: { secret: %${CANARY} }`,
  `license:\n  secret: ${CANARY}: x`,
  `dns: { cookies: ${CANARY} }`,
  `dns: { cookies: { secret: { hex: ${CANARY} } } }`,
  `gitops: { auth: ${CANARY} }`,
  `gitops: { auth: { password: ${NUMBER}, token: [${CANARY}] } }`,
  `state: { nats: { auth: "${CANARY}" } }`,
  `state: { nats: { auth: { password: ${NUMBER}, nkeySeed: true } } }`,
  `notify: { webhooks: [${CANARY}] }`,
  `notify: { webhooks: [{ url: "ftp://user:${CANARY}@hooks.example.com", secret: ${NUMBER} }] }`,
];

Deno.test("private keys and credentials are told as files that hold secrets, with those that secrets are read from", () => {
  const text =
    "api: { tls: { certFile: api.crt, keyFile: api.key } }\nlicense: { secret: file:license.secret }\n";
  deepEqual(loadedFrom(text).secretFiles.toSorted(), ["/api.key", "/license.secret"]);
});

Deno.test("every key that names a private key or credentials is known as one", () => {
  const page = Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url));
  const rows = page.split("\n").filter((row) => /private key|credentials file/i.test(row));
  const keys = rows.map((row) => /^\| `([\w.]+)`/.exec(row)?.[1]?.split(".").at(-1)).filter((key) =>
    key !== undefined
  );
  ok(keys.length >= 3, page.slice(0, 200));
  deepEqual(keys.filter((key) => !SECRET_FILE_KEYS.includes(key)), []);
});

for (const text of FILES) {
  Deno.test(`what is wrong is said without the secret in: ${text.replaceAll("\n", " ")}`, () => {
    const messages = problemsIn(text);
    ok(messages.length > 0, "the file is wrong, so that there is something to say");
    deepEqual(messages.filter((message) => message.includes(CANARY) || message.includes(NUMBER)), []);
  });
}

function problemsIn(text: string): string[] {
  return loadedFrom(text).problems.map(formatProblem);
}

function loadedFrom(text: string): LoadedSettings {
  const outside = {
    readFile: () => new TextEncoder().encode(text),
    expectReadable: () => {},
    exists: () => false,
    isWritable: () => false,
    hostname: () => "node",
    homeFolder: () => "/",
    processors: () => 1,
    tlsRefusal: () => null,
  };
  return loadSettings({ file: "/pleiades.yaml", env: {}, outside });
}
