/**
 * `Idempotency-Key`: a write that is sent twice happens once.
 *
 * A client that got no answer can't know whether its write was carried out. It sends the same request with the
 * same key again and gets the first answer again. The memory is this process's own and bounded: after a restart,
 * ten minutes, or `KEYS_MAX` newer keys, a repeated write meets the ordinary checks.
 *
 * Whether it is the same request is told by a digest of its body, which is worked out while the body is read: of a whole
 * model nothing is kept but that.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import type { Clock } from "../clock.ts";
import { ApiProblem } from "./problem.ts";
import { IDEMPOTENCY_KEY, type Route } from "./route.ts";

/** How long an answer is remembered. */
const KEEP_MS = 600_000;

/** Answers of about 1 KiB: some 4 MiB. */
const KEYS_MAX = 4_096;

/** All answers together, characters; the largest that there are have some hundred thousand. */
const TEXT_MAX = 8 << 20;

/**
 * Remembers the answers of writes that carried a key. Only successes are kept: a refused write may be retried.
 *
 * @param routeOf the route of a request for which a key counts; `undefined` = it doesn't
 */
export function rememberAnswers(
  clock: Pick<Clock, "monotonicMs">,
  routeOf: (c: Context) => Pick<Route, "bodyBytesMax"> | undefined,
): MiddlewareHandler {
  const memory = new Memory();
  return async (c, next) => {
    const key = c.req.header("idempotency-key");
    const route = c.req.query("dryRun") === "true" ? undefined : routeOf(c);
    // A key that isn't one is refused by what its route declares.
    if (route === undefined || key === undefined || !IDEMPOTENCY_KEY.test(key)) return await next();
    memory.forgetOld(clock.monotonicMs());
    const isStream = route.bodyBytesMax === "counted";
    const slot = [digest(c.req.header("authorization") ?? ""), c.req.method, c.req.path, key].join(" ");
    for (let before = memory.get(slot); before !== undefined; before = memory.get(slot)) {
      const first = await before.response;
      // When the first one failed, this one or another that waited is the first.
      if (first !== null) return await again(c, { key, first, isStream });
    }
    const { promise, resolve } = Promise.withResolvers<Kept | null>();
    memory.set(slot, { response: promise, endsMs: clock.monotonicMs() + KEEP_MS });
    let kept: Kept | null = null;
    try {
      const request = isStream ? digestWhileRead(c) : constant(await digestOfText(c));
      await next();
      kept = c.res.ok ? await keep(c.res, request()) : null;
    } finally {
      if (kept === null) memory.delete(slot);
      else memory.count(slot, kept.body?.length ?? 0);
      resolve(kept);
    }
  };
}

interface Answer {
  /** Pending while the first request is under way; null when it failed. */
  readonly response: Promise<Kept | null>;
  readonly endsMs: number;
}

/** What tells a request from others. */
interface Digested {
  /** Of all of it. */
  readonly digest: string;
  /** Of its body. */
  readonly bytes: number;
}

interface Kept extends Digested {
  readonly status: number;
  readonly headers: [string, string][];
  /** `null` = an answer of its status has none. */
  readonly body: string | null;
}

/** Answers in the order of their making, so the oldest come first. */
class Memory {
  readonly #answers = new Map<string, Answer>();
  /** Characters of those that have been given. */
  readonly #sizes = new Map<string, number>();
  #size = 0;

  get(slot: string): Answer | undefined {
    return this.#answers.get(slot);
  }

  set(slot: string, answer: Answer): void {
    this.delete(slot);
    this.#answers.set(slot, answer);
  }

  count(slot: string, size: number): void {
    if (!this.#answers.has(slot)) return;
    this.#sizes.set(slot, size);
    this.#size += size;
  }

  delete(slot: string): void {
    this.#size -= this.#sizes.get(slot) ?? 0;
    this.#sizes.delete(slot);
    this.#answers.delete(slot);
  }

  forgetOld(nowMs: number): void {
    for (const [slot, { endsMs }] of this.#answers) {
      if (endsMs > nowMs && this.#answers.size < KEYS_MAX && this.#size <= TEXT_MAX) return;
      this.delete(slot);
    }
  }
}

/** The first answer again. @throws {ApiProblem} 422 when it is the answer to another request */
async function again(
  c: Context,
  { key, first, isStream }: { readonly key: string; readonly first: Kept; readonly isStream: boolean },
): Promise<Response> {
  const request = isStream ? await digestOfStream(c, first.bytes) : await digestOfText(c);
  if (request.digest !== first.digest) {
    throw new ApiProblem(422, `Idempotency-Key ${key} was used for another request (take a new key)`);
  }
  return new Response(first.body, first);
}

async function keep(response: Response, request: Digested | null): Promise<Kept | null> {
  // A body that was not read to its end is not known.
  if (request === null) return null;
  const body = response.body === null ? null : await response.clone().text();
  return { ...request, status: response.status, headers: [...response.headers], body };
}

async function digestOfText(c: Context): Promise<Digested> {
  const text = await c.req.text();
  return { digest: hashOf(c).update(text).digest("base64"), bytes: text.length };
}

/** Reads on until it can't be the same body any more. */
async function digestOfStream(c: Context, bytesMax: number): Promise<Digested> {
  const hash = hashOf(c);
  let bytes = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) break;
    hash.update(chunk);
  }
  return { digest: bytes > bytesMax ? "" : hash.digest("base64"), bytes };
}

function constant<Value>(value: Value): () => Value {
  return () => value;
}

/** Has the body's digest worked out while the handler reads it; `null` = it hasn't read all of it. */
function digestWhileRead(c: Context): () => Digested | null {
  const hash = hashOf(c);
  let bytes = 0;
  let digested: Digested | null = null;
  const end = () => void (digested = { digest: hash.digest("base64"), bytes });
  const through = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      bytes += chunk.length;
      hash.update(chunk);
      controller.enqueue(chunk);
    },
    flush: end,
  });
  const { raw } = c.req;
  if (raw.body === null) end();
  else c.req.raw = new Request(raw, { body: raw.body.pipeThrough(through) });
  return () => digested;
}

/** Of all that tells one request from another, but for its body. */
function hashOf(c: Context): Hash {
  const { search } = new URL(c.req.url);
  return createHash("sha256").update(`${search}\n${c.req.header("if-match") ?? ""}\n`);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
