/** @module When the stream of the cluster's log is looked at, on a server that stores nothing yet. */
import { equal, ok } from "node:assert/strict";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { Changes } from "../../src/change/commit.ts";
import { LogReplica } from "../../src/change/log_replica.ts";
import { ConfigLog } from "../../src/cluster/config_log.ts";
import { Trust } from "../../src/cluster/trust.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock } from "../clock.ts";

/** A connection to a server whose stream is empty. */
class EmptyServer {
  /** Questions for messages. */
  reads = 0;
  /** Questions about the stream that aren't answered. */
  unanswered = 0;
  isLeaderless = false;
  hear: (error: null, message: Msg) => void = () => {};
  readonly options = { inboxPrefix: "_INBOX.test" };
  readonly info = { max_payload: 1 << 20 };

  get connection(): NatsConnection {
    return this as unknown as NatsConnection;
  }

  subscribe(_subject: string, { callback }: { readonly callback: EmptyServer["hear"] }): void {
    this.hear = callback;
  }

  request(subject: string): Promise<Pick<Msg, "data">> {
    equal(subject, "$JS.API.STREAM.INFO.GSLB_TEST_LOG");
    if (this.isLeaderless) return this.unanswered++, new Promise(() => {});
    const state = { first_seq: 1, last_seq: 0, messages: 0 };
    const info = { created: "2026-01-01T00:00:00Z", config: { allow_direct: true }, state };
    return Promise.resolve({ data: new TextEncoder().encode(JSON.stringify(info)) });
  }

  requestMany(): Promise<AsyncIterable<Partial<Msg>>> {
    this.reads++;
    const nothing = { code: 404, description: "Message Not Found" } as NonNullable<Msg["headers"]>;
    const answer = async function* () {
      yield await Promise.resolve({ headers: nothing });
    };
    return Promise.resolve(answer());
  }
}

Deno.test("what was heard of is looked for until the servers have it, and a leader that isn't there is asked again", async () => {
  const clock = new ManualClock();
  using store = Store.memory();
  const replica = new LogReplica({ store, changes: new Changes({ store, clock }), clock });
  replica.join({ cluster: "test", node: "a", boot: "00" });
  const log = createLogger({ level: "error", format: "json", clock, write: () => {} });
  const configLog = new ConfigLog({
    terms: {
      ...{ stream: "GSLB_TEST_LOG", subject: "gslb.test.log", bucket: "gslb_test_config" },
      ...{ node: "a", domain: null, lookMs: 600_000 },
    },
    ...{ replica, clock, log, trust: new Trust({ signing: null, log, registry: new Registry({}) }) },
  });
  const server = new EmptyServer();
  server.isLeaderless = true;
  const ending = new AbortController();
  const following = configLog.session(server.connection, ending.signal);
  await clock.advance(1_000);
  ok(server.unanswered > 1, "the stream has no leader yet");
  server.isLeaderless = false;
  await clock.advance(1_000);
  equal(configLog.status().isCurrent, true);

  const before = server.reads;
  await clock.advance(60_000);
  equal(server.reads, before, "nothing was heard of");
  server.hear(null, {} as Msg);
  await clock.advance(1_000);
  const early = server.reads;
  await clock.advance(2_000);
  ok(before < early && early < server.reads, "servers may take seconds to store a message");
  await clock.advance(60_000);
  const late = server.reads;
  await clock.advance(60_000);
  equal(server.reads, late, "they haven't taken it");
  ending.abort();
  await clock.advance(0);
  await following;
});
