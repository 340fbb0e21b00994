/**
 * No message about a settings file shows what may be a secret, however wrongly it was written.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { loadSettings } from "../../src/settings/settings.ts";
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

for (const text of FILES) {
  Deno.test(`what is wrong is said without the secret in: ${text.replaceAll("\n", " ")}`, () => {
    const messages = problemsIn(text);
    ok(messages.length > 0, "the file is wrong, so that there is something to say");
    deepEqual(messages.filter((message) => message.includes(CANARY) || message.includes(NUMBER)), []);
  });
}

function problemsIn(text: string): string[] {
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
  return loadSettings({ file: "/pleiades.yaml", env: {}, outside }).problems.map(formatProblem);
}
