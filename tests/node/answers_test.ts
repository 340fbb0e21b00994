/**
 * What is answered follows from what it is joined to, from the first moment on.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { newId } from "../../src/model/id.ts";
import { memberFieldsSchema, poolFieldsSchema, serviceFieldsSchema } from "../../src/model/model_schema.ts";
import type { Core, Start } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { askFor, startTestNode, until } from "../test_node.ts";

const ORIGIN = { via: "test", by: "", reason: "" };

/** Commits a service of one member. */
function commitService({ changes }: Core, domain: string): void {
  const poolId = newId();
  changes.commit([
    { kind: "createPool", id: poolId, fields: poolFieldsSchema.parse({ name: domain }) },
    {
      kind: "createMember",
      ...{ id: newId(), poolId, fields: memberFieldsSchema.parse({ ipAddress: "192.0.2.1", port: 443 }) },
    },
    { kind: "createService", id: newId(), fields: serviceFieldsSchema.parse({ domain, poolId }) },
  ], ORIGIN);
}

Deno.test("a whole snapshot that is published while the workers start is answered by them", async () => {
  const found = Promise.withResolvers<Core>();
  const part: Start = (core) => {
    found.resolve(core);
    return null;
  };
  const Real = globalThis.Worker;
  let isCommitted = false;
  try {
    const starting = startTestNode({}, { parts: [...PARTS, part] });
    const core = await found.promise;
    globalThis.Worker = class extends Real {
      constructor(...args: ConstructorParameters<typeof Real>) {
        super(...args);
        if (isCommitted) return;
        commitService(core, "www.example.com");
        core.answers.publisher.touch(true);
        isCommitted = true;
      }
    };
    await using node = await starting;
    ok(isCommitted);
    const addresses = await until(() => askFor(node, "www.example.com"), ({ length }) => length > 0);
    deepEqual(addresses, ["192.0.2.1"]);
  } finally {
    globalThis.Worker = Real;
  }
});

Deno.test("a change that comes before the workers is in their first answers", async () => {
  const part: Start = (core) => {
    commitService(core, "www.example.com");
    return null;
  };
  await using node = await startTestNode({}, { parts: [...PARTS, part] });
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);
});
