/**
 * One attempt, with receivers that do what they shouldn't.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { ATTEMPT_MS, post, type PostOutcome } from "../../src/webhooks/post.ts";
import { ManualClock, settle } from "../clock.ts";
import { Backend } from "../health/backend.ts";
import { selfSigned } from "../health/certificates.ts";
import { Hook } from "./hook.ts";

const CANARIES = ["canary-path-9d8e", "canary-secret-1b2c"] as const;
const [PATH, SECRET] = CANARIES;
const EVENT = { id: "7", kind: "commit", body: "{}" };
const { signal } = new AbortController();

const postTo = (url: string, clock = systemClock) =>
  post(EVENT, { url: `${url}/${PATH}`, secret: SECRET }, { clock, signal });
/** Reads until the other side has closed. */
async function untilGone(connection: Deno.Conn): Promise<void> {
  const bytes = new Uint8Array(1024);
  while (await connection.read(bytes) !== null);
}

const failed = (status: number | null, reason: string, isRefused = false): PostOutcome => ({
  ...{ kind: "failed", status, reason, isRefused },
});

for (
  const [status, isRefused] of [[400, true], [401, false], [404, false], [422, true], [429, false], [
    500,
    false,
  ]] as const
) {
  Deno.test(`an answer of ${status} is a failure${isRefused ? " of this event" : ""}`, async () => {
    await using hook = new Hook();
    hook.answer = () => new Response("x", { status });
    deepEqual(await postTo(hook.url), failed(status, `answered ${status}`, isRefused));
  });
}

Deno.test("a redirect isn't followed", async () => {
  await using elsewhere = new Hook();
  await using hook = new Hook();
  hook.answer = () => new Response(null, { status: 307, headers: { location: elsewhere.url } });
  deepEqual(
    await postTo(hook.url),
    failed(307, "answered 307: redirects aren't followed (give the address that it leads to)"),
  );
  equal(elsewhere.posts.length, 0);
});

Deno.test("an answer without end is read as far as it matters", async () => {
  await using hook = new Hook();
  let isCancelled = false;
  hook.answer = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(16 << 10)),
        cancel: () => void (isCancelled = true),
      }),
    );
  deepEqual(await postTo(hook.url), { kind: "delivered", status: 200 });
  while (!isCancelled) await settle();
});

for (
  const [what, behaviour] of [
    ["never answers", untilGone],
    ["answers drop by drop", async (connection: Deno.Conn) => {
      await connection.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"));
      await untilGone(connection);
    }],
  ] as const
) {
  Deno.test(`a receiver that ${what} is given up after ten seconds`, async () => {
    const clock = new ManualClock();
    await using backend = new Backend(behaviour);
    const posting = postTo(`http://127.0.0.1:${backend.port}`, clock);
    while (backend.accepted === 0) await settle();
    await clock.advance(ATTEMPT_MS - 1);
    await clock.advance(1);
    deepEqual(await posting, failed(null, "no answer within 10 s"));
  });
}

Deno.test("what fails below HTTP is said without the address and the secret", async () => {
  await using closing = new Backend(() => Promise.resolve());
  await using tls = new Backend(() => Promise.resolve(), await selfSigned({ ipAddresses: ["127.0.0.1"] }));
  const outcomes = [
    await postTo("http://127.0.0.1:1"),
    await postTo("http://nosuch.invalid"),
    await postTo(`http://127.0.0.1:${closing.port}`),
    await postTo(`https://127.0.0.1:${closing.port}`),
    await postTo(`https://127.0.0.1:${tls.port}`),
  ];
  for (const outcome of outcomes) {
    ok(
      outcome.kind === "failed" && outcome.status === null && outcome.reason.length > 5,
      JSON.stringify(outcome),
    );
    ok(!CANARIES.some((canary) => JSON.stringify(outcome).includes(canary)), outcome.reason);
  }
});
