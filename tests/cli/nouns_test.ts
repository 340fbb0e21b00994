/** @module The table of nouns against the schemas of the API. */
import { deepEqual } from "node:assert/strict";
import { NOUNS } from "../../src/cli/nouns.ts";
import { formatDuration } from "../../src/input/duration.ts";
import {
  fallbackSchema,
  geoRuleFieldsSchema,
  healthCheckSchema,
  memberFieldsSchema,
  poolFieldsSchema,
  serviceFieldsSchema,
} from "../../src/model/model_schema.ts";

const SCHEMAS = {
  "pools": poolFieldsSchema,
  "members": memberFieldsSchema,
  "services": serviceFieldsSchema,
  "health-checks": healthCheckSchema,
  "geo-rules": geoRuleFieldsSchema,
  "fallback": fallbackSchema,
};

for (const [name, schema] of Object.entries(SCHEMAS)) {
  Deno.test(`${name}: every field of the API has a flag, and no flag is more`, () => {
    const noun = NOUNS.find((each) => each.name === name);
    deepEqual(noun?.fields.map((field) => field.name), Object.keys(schema.shape));
  });
}

const EMPTY = {
  "pools": { name: "any" },
  "members": { ipAddress: "192.0.2.1", port: 1 },
  "services": { domain: "example.com" },
  "health-checks": {},
};

for (const [name, fields] of Object.entries(EMPTY)) {
  Deno.test(`${name}: the help shows the defaults that the API gives`, () => {
    const parsed: Record<string, unknown> = SCHEMAS[name as keyof typeof SCHEMAS].parse(fields);
    const typed = Object.entries(parsed).filter(([key, value]) =>
      !(key in fields) && value !== null && value !== "" && !(Array.isArray(value) && value.length === 0)
    ).map(([key, value]) => [key, asTyped(key, value)]);
    const noun = NOUNS.find((each) => each.name === name)!;
    const shown = noun.fields.filter(({ byDefault }) => byDefault !== undefined)
      .map((field) => [field.name, field.byDefault]);
    deepEqual(shown.toSorted(), typed.toSorted());
  });
}

function asTyped(key: string, value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return key.endsWith("Ms") ? formatDuration(Number(value)) : String(value);
}
