/**
 * The OpenAPI document says what the API does.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createApi } from "../../src/api/api.ts";
import { openApiDocument } from "../../src/api/openapi.ts";
import type { SchemaObject } from "../../src/api/reference.ts";
import { routesOf } from "../../src/api/resource.ts";
import { RESOURCES } from "../../src/api/routes.ts";
import { apiWorld } from "./api_world.ts";

const DOCUMENT = openApiDocument({ version: "1.2.3", secured: true });
const OPERATIONS = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    line: `${method.toUpperCase()} ${path}`,
    operation,
  }))
);

Deno.test("the document is OpenAPI 3.1 of this version", () => {
  assert.equal(DOCUMENT.openapi, "3.1.0");
  assert.equal(DOCUMENT.info.version, "1.2.3");
});

Deno.test("every route that answers is in the document, and the other way round", () => {
  using world = apiWorld();
  const served = createApi(world.parts).routes
    .filter(({ method, path }) => method !== "ALL" && !path.endsWith("*"))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  const described = OPERATIONS.map(({ line }) => line);
  assert.deepEqual([...new Set(served)].sort(), described.sort());
  assert.equal(routesOf(RESOURCES).length, described.length);
});

for (const { line, operation } of OPERATIONS) {
  Deno.test(`${line} has a summary, a tag that is explained, and an id of its own`, () => {
    assert.ok(operation.summary);
    assert.ok(DOCUMENT.tags?.some(({ name }) => name === operation.tags?.[0]));
    const ids = OPERATIONS.map((each) => each.operation.operationId);
    assert.equal(ids.filter((id) => id === operation.operationId).length, 1);
  });

  Deno.test(`every error of ${line} is a problem document`, () => {
    for (const [status, response] of Object.entries(operation.responses)) {
      if (Number(status) < 400) continue;
      assert.deepEqual(Object.keys(response.content ?? {}), ["application/problem+json"], status);
    }
  });

  Deno.test(`every path parameter of ${line} is declared`, () => {
    const named = [...line.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
    assert.deepEqual(declared.map(({ name }) => name), named);
  });
}

Deno.test("requests may leave out what has a default, and answers always have every field", () => {
  const { MemberFields, Member } = DOCUMENT.components.schemas as Record<string, SchemaObject>;
  assert.deepEqual(MemberFields!.required, ["port"]);
  assert.deepEqual(MemberFields!.properties!["weight"]!.default, 1);
  assert.deepEqual(Member!.required, [
    "id",
    "poolId",
    "ipAddress",
    "target",
    "port",
    "weight",
    "priority",
    "enabled",
    "latitude",
    "longitude",
    "region",
    "health",
    "override",
  ]);
});

Deno.test("a patch may leave out everything, and null stands for the default where there is one", () => {
  const { MemberPatch } = DOCUMENT.components.schemas as Record<string, SchemaObject>;
  assert.equal(MemberPatch!.required, undefined);
  assert.deepEqual(MemberPatch!.properties!["weight"]!.type, ["integer", "null"]);
  assert.deepEqual(MemberPatch!.properties!["port"]!.type, "integer");
  assert.equal(MemberPatch!.properties!["weight"]!.default, undefined);
});

Deno.test("every field of every object is described", () => {
  const plain = new Set(["Problem", "Health"]);
  for (const [name, schema] of Object.entries(DOCUMENT.components.schemas)) {
    if (plain.has(name)) continue;
    for (const [field, { description, $ref, properties }] of Object.entries(schema.properties ?? {})) {
      assert.ok(description || $ref || properties, `${name}.${field}`);
    }
  }
});

Deno.test("only a node with tokens says that one is needed", () => {
  assert.ok("security" in DOCUMENT);
  assert.ok(!("security" in openApiDocument({ version: "1.2.3", secured: false })));
});

Deno.test("/openapi.json is the document of this node", async () => {
  using world = apiWorld({ auth: { tokens: ["t"], loopback: true } });
  const served = await (await world.send("GET /openapi.json")).json();
  assert.deepEqual(served, openApiDocument({ version: "0.0.0-test", secured: true }));
});

Deno.test("every time has one form in JSON: RFC 3339, never a number", () => {
  const odd: string[] = [];
  let times = 0;
  const look = (
    name: string,
    schema: SchemaObject & { readonly format?: string; readonly pattern?: string },
  ) => {
    const all = [schema, ...schema.anyOf ?? []];
    for (const [field, child] of Object.entries(schema.properties ?? {})) {
      if (/^(at|since|until)$|At$/.test(field)) {
        times++;
        const isTime = [child, ...child.anyOf ?? []].some((each) => isTimeText(name, each));
        if (!isTime) odd.push(`${name}.${field}`);
      }
      look(`${name}.${field}`, child);
    }
    for (const each of all) if (each.items) look(`${name}[]`, each.items);
  };
  for (const [name, schema] of Object.entries(DOCUMENT.components.schemas)) look(name, schema);
  assert.deepEqual(odd, []);
  assert.ok(times >= 15, `${times}`);
});

/** A request takes offsets and fractions, which the format of an answer hasn't. */
function isTimeText(name: string, { type, ...rest }: SchemaObject): boolean {
  const isText = type === "string" || (Array.isArray(type) && type.includes("string"));
  return isText && (name.endsWith("Request") || ("format" in rest && rest.format === "date-time"));
}
