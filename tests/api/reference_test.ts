/**
 * The reference in Markdown and HTML.
 *
 * @module
 */
import assert from "node:assert/strict";
import { openApiDocument } from "../../src/api/openapi.ts";
import { apiReference, type OpenApiDocument } from "../../src/api/reference.ts";
import { apiWorld } from "./api_world.ts";

const SMALL: OpenApiDocument = {
  openapi: "3.1.0",
  info: { title: "T", version: "1", description: "About." },
  tags: [{ name: "Things", description: "What things are." }],
  paths: {
    "/things/{id}": {
      put: {
        tags: ["Things"],
        summary: "Replace a thing",
        parameters: [{
          name: "id",
          in: "path",
          required: true,
          schema: { type: "string" },
          description: "Which | one",
        }],
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } } },
        responses: {
          "200": {
            description: "The things",
            content: {
              "application/json": {
                schema: { type: "array", items: { $ref: "#/components/schemas/Thing" } },
              },
            },
          },
          "204": { description: "Nothing <b>" },
          "404": {
            description: "Not there",
            content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
          },
        },
      },
    },
  },
  components: {
    schemas: {
      Thing: {
        type: "object",
        required: ["size"],
        properties: {
          size: { type: ["integer", "null"], minimum: 1, maximum: 9, description: "How big" },
          kind: { type: "string", enum: ["a", "b"], default: "a" },
        },
      },
    },
  },
};

Deno.test("a reference in Markdown has each operation, its parameters, bodies and answers, and each object", () => {
  assert.equal(
    apiReference(SMALL),
    `# REST API

<!-- Generated from the OpenAPI document by deno task generate. -->

About.

## Errors

Each is an \`application/problem+json\` with a [Problem](#problem).

| status | meaning |
| --- | --- |
| 404 | Not there |

## Things

What things are.

### \`PUT /things/{id}\`

Replace a thing

| parameter | in | type | meaning |
| --- | --- | --- | --- |
| \`id\` | path | string | Which \\| one |

Body: \`application/json\` [Thing](#thing)

| status | meaning | body |
| --- | --- | --- |
| 200 | The things | \`application/json\` [Thing\\[\\]](#thing) |
| 204 | Nothing <b> |  |

[Errors](#errors): 404

## Objects

### Thing

| field | type |  | meaning |
| --- | --- | --- | --- |
| \`size\` | integer 1–9 or null | required | How big |
| \`kind\` | "a" \\| "b" | default "a" |  |
`,
  );
});

Deno.test("the reference of the whole API names every path", () => {
  const document = openApiDocument({ version: "1", secured: false });
  const text = apiReference(document);
  for (const path of Object.keys(document.paths)) assert.ok(text.includes(` ${path}\``), path);
  assert.doesNotMatch(text, /\bundefined\b|\[object Object\]/);
});

Deno.test("the root leads to the page, with a token or without", async () => {
  using world = apiWorld({ auth: { tokens: ["secret"], loopback: true } });
  const response = await world.send("GET /");
  assert.deepEqual([response.status, response.headers.get("location")], [302, "/docs/api"]);
});

Deno.test("/docs/api is one page without scripts, which loads nothing from elsewhere", async () => {
  using world = apiWorld();
  const response = await world.send("GET /docs/api");
  assert.match(response.headers.get("content-security-policy")!, /^default-src 'none'; style-src 'self'/);
  const html = await response.text();
  assert.doesNotMatch(html, /<script|<img|(href|src)="(\w+:|\/\/)|\son\w+=|style=|\bundefined\b/);
  for (const path of Object.keys(openApiDocument({ version: "1", secured: false }).paths)) {
    assert.ok(html.includes(`<code>${path}</code>`), path);
  }
  const style = await world.send("GET /docs/api.css");
  assert.equal(style.headers.get("content-type"), "text/css");
});
