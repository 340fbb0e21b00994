/**
 * The process that `prove crash` kills when it writes without a node: `writer.ts FILE`. Each line on standard input
 * is a write; each is answered by `ack` and the generation when it is committed.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { systemClock } from "../../../src/clock.ts";
import { Changes } from "../../../src/change/commit.ts";
import type { Edit } from "../../../src/change/edit.ts";
import { newId } from "../../../src/model/id.ts";
import { HISTORY_LIMITS } from "../../../src/store/history.ts";
import { Store } from "../../../src/store/store.ts";
import { memberFields, ORIGIN, poolFields, serviceFields } from "../../change/samples.ts";
import { KEEP } from "../crash.ts";
import type { DirectOrder } from "./drivers.ts";
import { MEMBER_PORT, type Write } from "./lane.ts";

const store = Store.open(Deno.args[0]!);
const changes = new Changes({ store, clock: systemClock, history: { ...HISTORY_LIMITS, keep: KEEP } });
for await (const line of createInterface({ input: process.stdin })) {
  console.log(`ack ${await obey(JSON.parse(line))}`);
}
store.close();

async function obey(order: DirectOrder): Promise<number> {
  if ("write" in order) return changes.commit([editOf(order.write)], ORIGIN).generation;
  const { signal } = new AbortController();
  const options = { origin: ORIGIN, dryRun: false, signal };
  if ("rollback" in order) {
    return (await changes.rollback({ ...options, to: order.rollback })).commit.generation;
  }
  const [lines, dryRun] = "plan" in order ? [order.plan, true] : [order.apply, false];
  const applied = await changes.apply(new Blob([lines]).stream(), {
    ...options,
    dryRun,
    file: "body",
    format: "ndjson",
    ifGeneration: null,
  });
  if (applied.kind !== "applied") throw new Error(JSON.stringify(applied));
  return applied.commit.generation;
}

function editOf(write: Write): Edit {
  switch (write.kind) {
    case "createPool":
      return { kind: "createPool", id: newId(), fields: poolFields({ name: write.pool }) };
    case "changePool":
      return {
        kind: "updatePool",
        id: poolId(write.pool),
        fields: poolFields({ name: write.pool, maxAnswers: write.maxAnswers }),
      };
    case "deletePool":
      return { kind: "deletePool", id: poolId(write.pool) };
    case "createMember":
      return { kind: "createMember", id: newId(), poolId: poolId(write.pool), fields: fieldsOf(write) };
    case "changeMember":
      return { kind: "updateMember", id: memberId(write), fields: fieldsOf(write) };
    case "deleteMember":
      return { kind: "deleteMember", id: memberId(write) };
    case "createService":
    case "changeService": {
      const pool = write.pool === null ? null : poolId(write.pool);
      const fields = serviceFields({ domain: write.domain, poolId: pool, ttl: write.ttl });
      return write.kind === "createService"
        ? { kind: "createService", id: newId(), fields }
        : { kind: "updateService", id: serviceId(write.domain), fields };
    }
    case "deleteService":
      return { kind: "deleteService", id: serviceId(write.domain) };
  }
}

function fieldsOf({ ipAddress, weight }: { readonly ipAddress: string; readonly weight: number }) {
  return memberFields({ ipAddress, port: MEMBER_PORT, weight });
}

function poolId(name: string): string {
  return store.pools.byName(name)!.id;
}

function memberId({ pool, ipAddress }: { readonly pool: string; readonly ipAddress: string }): string {
  return store.members.at({ poolId: poolId(pool), ipAddress, target: null, port: MEMBER_PORT })!.id;
}

function serviceId(domain: string): string {
  return store.services.byDomain(domain)!.id;
}
