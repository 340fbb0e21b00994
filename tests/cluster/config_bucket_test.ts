/** @module When the bucket of models is asked again, on servers of which none leads. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { openConfigBucket } from "../../src/cluster/config_bucket.ts";
import { ManualClock } from "../clock.ts";

/** A connection to servers that answer nothing while they have no leader: neither now nor later. */
class LeaderlessServers {
  hasLeader = false;
  /** Subjects that were asked. */
  asked: string[] = [];
  readonly options = { inboxPrefix: "_INBOX.test" };
  readonly info = { max_payload: 1 << 20 };

  get connection(): NatsConnection {
    return this as unknown as NatsConnection;
  }

  request(subject: string): Promise<Partial<Msg>> {
    this.asked.push(subject);
    if (!this.hasLeader) return new Promise(() => {});
    if (subject === VALUE) {
      const headers = { code: 404, description: "Message Not Found" } as NonNullable<Msg["headers"]>;
      return Promise.resolve({ headers, data: new Uint8Array() });
    }
    const state = { first_seq: 1, last_seq: 0, messages: 0 };
    const info = { created: "2026-01-01T00:00:00Z", config: { allow_direct: true }, state };
    return Promise.resolve({ data: new TextEncoder().encode(JSON.stringify(info)) });
  }
}

const STREAM = "$JS.API.STREAM.INFO.KV_gslb_test_config";
const VALUE = "$JS.API.DIRECT.GET.KV_gslb_test_config.$KV.gslb_test_config.log";

Deno.test("the bucket of models is there as soon as its servers have a leader", async () => {
  const clock = new ManualClock();
  const servers = new LeaderlessServers();
  const { signal } = new AbortController();
  const bucket = { bucket: "gslb_test_config", domain: null };
  const opening = openConfigBucket(servers.connection, bucket, { clock, signal });
  await clock.advance(1_000);
  // All of these are about the bucket: what servers are in general only another leader knows.
  deepEqual([...new Set(servers.asked)], [STREAM]);
  ok(servers.asked.length > 1);
  servers.hasLeader = true;
  await clock.advance(500);
  const opened = await opening;
  servers.hasLeader = false;
  servers.asked = [];
  const getting = opened.get("log");
  await clock.advance(1_000);
  servers.hasLeader = true;
  await clock.advance(500);
  equal(await getting, null);
  deepEqual([...new Set(servers.asked)], [VALUE]);
  ok(servers.asked.length > 2);
  equal(clock.sleeperCount, 0);
});
