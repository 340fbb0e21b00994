/**
 * A secret that goes in never comes out: not in the log at its most talkative, not by any route of the API, and not in
 * the database.
 *
 * What is wrong with a settings file is held to the same in `settings/secrets_test.ts`.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { routesOf } from "../src/api/resource.ts";
import { RESOURCES } from "../src/api/routes.ts";
import { issueToken } from "../src/license/token.ts";
import { startTestNode, TEST_SETTINGS } from "./test_node.ts";

/** A token of the settings, one that is tried, the address of a webhook with its key, and the secret of licences. */
const WORDS = [
  "canary-token-5d41402a",
  "canary-guess-bc4b2a76",
  "canary-path-2a3f0c11",
  "canary-key-90e1d7b4",
  "canary-license-7d793037",
] as const;
const [TOKEN, GUESS, PATH, KEY, LICENSE_SECRET] = WORDS;
const LICENSE = { tier: "paid", maxRps: 1000, iat: 0, exp: 253_402_300_799, id: "acme-7" };
const LICENSE_TOKEN = issueToken(LICENSE, LICENSE_SECRET);
const CANARIES = [...WORDS, ...LICENSE_TOKEN.split(".")];
const ROUTES = routesOf(RESOURCES);

Deno.test("no answer, no line of the log and no byte of the database holds a token", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/node.db`;
    const seen: string[] = [];
    {
      await using node = await startTestNode({
        database: { path },
        api: { ...TEST_SETTINGS.api, tokens: [TOKEN] },
        log: { level: "debug", format: "json" },
        notify: { webhooks: [{ url: `http://127.0.0.1:1/${PATH}`, secret: KEY, events: null }] },
        license: { secret: [LICENSE_SECRET], key: LICENSE_TOKEN, keyFault: null, scope: "node" },
      });
      const origin = new URL(node.api).origin;
      const call = async (method: string, at: string, token: string) => {
        const response = await fetch(`${origin}${at}`, {
          method,
          headers: {
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            accept: "application/json", // a stream of events wouldn't end
          },
          ...(method === "GET" ? {} : { body: "{}" }),
        });
        seen.push(JSON.stringify([...response.headers]), await response.text());
        return response.status;
      };
      const created = await fetch(`${node.api}/pools`, {
        method: "POST",
        headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify({ name: "web" }),
      });
      equal(created.status, 201);
      seen.push(JSON.stringify([...created.headers]), await created.text());
      equal(await call("GET", "/api/v1/pools", GUESS), 401);
      for (const { method, path } of ROUTES) {
        await call(method.toUpperCase(), path.replaceAll(/\{[^}]+\}/g, "0".repeat(32)), TOKEN);
      }
      equal(await call("GET", "/api/v1/history/1", TOKEN), 200);
      const test = await fetch(`${node.api}/webhooks/test`, {
        method: "POST",
        headers: { authorization: `Bearer ${TOKEN}` },
      });
      equal(test.status, 200);
      seen.push(await test.text());
      seen.push(...node.lines);
    }
    for (const { name } of Deno.readDirSync(folder)) {
      seen.push(new TextDecoder("latin1").decode(Deno.readFileSync(`${folder}/${name}`)));
    }
    ok(seen.length > 2 * ROUTES.length, "every route has answered, and the log has a line for it");
    deepEqual(seen.filter((text) => CANARIES.some((canary) => text.includes(canary))), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
