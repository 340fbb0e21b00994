/** @module Values that are written to a bucket, and what the server says of each. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import type { MsgHdrs, NatsConnection } from "@nats-io/nats-core";
import { ValueWriter } from "../../src/cluster/value_writer.ts";
import { ManualClock, settle } from "../clock.ts";

interface Published {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string;
  readonly operation: string | undefined;
}

/** A connection on which the test says what the server does. */
function bed(domain: string | null = null) {
  const clock = new ManualClock();
  const published: Published[] = [];
  let heard: (subject: string, said: string) => void = () => {};
  const listens: string[] = [];
  let isClosed = false;
  const connection = {
    subscribe: (
      subject: string,
      { callback }: { callback: (error: null, message: { subject: string; data: Uint8Array }) => void },
    ) => {
      listens.push(subject);
      heard = (subject, said) => callback(null, { subject, data: new TextEncoder().encode(said) });
      return { unsubscribe: () => void listens.splice(0) };
    },
    publish: (
      subject: string,
      data: Uint8Array,
      { reply, headers }: { reply: string; headers?: MsgHdrs },
    ) => {
      if (isClosed) throw new Error("closed");
      published.push({ subject, data, reply, operation: headers?.get("KV-Operation") });
    },
    isClosed: () => isClosed,
  };
  const writer = new ValueWriter(
    connection as unknown as NatsConnection,
    { bucket: "b", domain, inboxPrefix: "_INBOX.test.a", timeoutMs: 3_000 },
    clock,
  );
  return {
    ...{ clock, writer, published, listens },
    answer: (i: number, said: string) => heard(published[i]!.reply, said),
    close: () => void (isClosed = true),
  };
}

const KEPT = '{"stream":"KV_b","seq":1}';

Deno.test("a value is written when the server says so, of each of those under way", async () => {
  const { writer, published, listens, answer } = bed();
  using _ = writer;
  const log: string[] = [];
  for (const key of ["x.1", "x.2"]) writer.put(key, new Uint8Array([7])).then(() => log.push(key));
  deepEqual(published.map(({ subject }) => subject), ["$KV.b.x.1", "$KV.b.x.2"]);
  deepEqual(published[0]!.data, new Uint8Array([7]));
  equal(listens.length, 1, "one inbox for all");
  for (const { reply } of published) {
    equal(reply.startsWith("_INBOX.test.a."), true);
    equal(listens[0]!.replace(/\*$/, reply.split(".").at(-1)!), reply);
  }
  answer(1, KEPT);
  answer(1, KEPT);
  await settle();
  deepEqual(log, ["x.2"]);
  answer(0, KEPT);
  await settle();
  deepEqual(log, ["x.2", "x.1"]);
});

Deno.test("keys are deleted as the library does it, and a domain is part of the subject", async () => {
  const { writer, published, answer } = bed("hub");
  using _ = writer;
  const deleted = writer.delete("x.1");
  answer(0, KEPT);
  await deleted;
  deepEqual(published.map(({ subject, data, operation }) => ({ subject, size: data.length, operation })), [
    { subject: "$JS.hub.API.$KV.b.x.1", size: 0, operation: "DEL" },
  ]);
});

Deno.test("a write fails that is refused, that nobody or nonsense answers, or that isn't answered in time", async () => {
  const { clock, writer, answer } = bed();
  using _ = writer;
  const refused = rejects(writer.put("x.1", new Uint8Array(1)), /^Error: no space$/);
  answer(0, '{"error":{"code":503,"description":"no space"},"stream":"KV_b","seq":0}');
  const unheard = rejects(writer.put("x.2", new Uint8Array(1)), /no JetStream/);
  answer(1, "");
  const nonsense = rejects(writer.put("x.3", new Uint8Array(1)), /can't be read/);
  answer(2, "{");
  const late = rejects(writer.put("x.4", new Uint8Array(1)), /^Error: timeout$/);
  await clock.advance(1_000);
  let isOver = false;
  const later = rejects(writer.put("x.5", new Uint8Array(1)), /timeout/).then(() => isOver = true);
  await clock.advance(2_000);
  await Promise.all([refused, unheard, nonsense, late]);
  equal(isOver, false);
  await clock.advance(1_000);
  await later;
  // What is said too late isn't taken for what is said of the next one.
  let isKept = false;
  const next = writer.put("x.6", new Uint8Array(1)).then(() => isKept = true);
  for (let i = 0; i < 5; i++) answer(i, KEPT);
  await settle();
  equal(isKept, false);
  answer(5, KEPT);
  await next;
});

Deno.test("what is under way has failed when the connection ends, and so has what comes after it", async () => {
  const { writer, listens, close } = bed();
  const underWay = rejects(writer.put("x.1", new Uint8Array(1)), /has ended/);
  writer[Symbol.dispose]();
  await underWay;
  deepEqual(listens, []);
  await rejects(writer.put("x.2", new Uint8Array(1)), /has ended/);
  const other = bed();
  other.close();
  await rejects(other.writer.put("x.1", new Uint8Array(1)), /closed/);
  other.writer[Symbol.dispose]();
  equal(other.listens.length, 1, "a closed connection isn't spoken to");
  close();
});
