/** @module The table of nouns against the schemas of the API. */
import { deepEqual } from "node:assert/strict";
import { NOUNS } from "../../src/cli/nouns.ts";
import {
  geoRuleFieldsSchema,
  healthCheckSchema,
  memberFieldsSchema,
  poolFieldsSchema,
  serviceFieldsSchema,
} from "../../src/config/model_schema.ts";

const SCHEMAS = {
  "pools": poolFieldsSchema,
  "members": memberFieldsSchema,
  "services": serviceFieldsSchema,
  "health-checks": healthCheckSchema,
  "geo-rules": geoRuleFieldsSchema,
};

for (const [name, schema] of Object.entries(SCHEMAS)) {
  Deno.test(`${name}: every field of the API has a flag, and no flag is more`, () => {
    const noun = NOUNS.find((each) => each.name === name);
    deepEqual(noun?.fields.map((field) => field.name), Object.keys(schema.shape));
  });
}
