/**
 * Bodies that are read whole: large ones, many at a time, those that don't come and those that break off.
 *
 * @module
 */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { BodyRoom } from "../../src/api/body_room.ts";
import type { ApiProblem } from "../../src/api/problem.ts";

const request = (body: BodyInit | null, headers: HeadersInit = {}) =>
  new Request("http://localhost/", { method: "PUT", body, headers });
const status = (wanted: number) => (error: ApiProblem) => error.status === wanted;

Deno.test("a body takes its room until it is disposed of, and what finds none is told to come again", async () => {
  const room = new BodyRoom({ eachMax: 6, allMax: 8 });
  {
    using body = await room.read(request("12345"));
    deepEqual(body.bytes, new TextEncoder().encode("12345"));
    await rejects(room.read(request("1234")), status(503));
    equal(room.taken, 5);
    using other = await room.read(request("123"));
    equal(other.bytes.length + room.taken, 11);
  }
  equal(room.taken, 0);
  using none = await room.read(request(null));
  equal(none.bytes.length, 0);
});

Deno.test("a body that is too large is refused by what it says, or as soon as it shows, and gives its room back", async () => {
  const room = new BodyRoom({ eachMax: 6, allMax: 8 });
  let pulled = 0;
  const endless = () =>
    new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(4));
      },
    }, { highWaterMark: 0 });
  await rejects(room.read(request(endless(), { "content-length": "100000000" })), status(413));
  equal(pulled, 0);
  await rejects(room.read(request(endless())), status(413));
  equal(pulled, 2);
  const broken = new ReadableStream({
    pull: (controller) => controller.error(new Error("it broke off")),
  }, { highWaterMark: 0 });
  await rejects(room.read(request(broken)), /it broke off/);
  equal(room.taken, 0);
});

Deno.test("a body that doesn't come keeps no others out", async () => {
  const room = new BodyRoom({ eachMax: 8, allMax: 8 });
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const silent = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: async (controller) => {
      await gone;
      controller.close();
    },
  }, { highWaterMark: 0 });
  const waiting = room.read(request(silent, { "content-length": "8" }));
  using other = await room.read(request("12345678"));
  equal(other.bytes.length, 8);
  resolve();
  using empty = await waiting;
  equal(empty.bytes.length, 0);
});
