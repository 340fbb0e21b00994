/**
 * `Idempotency-Key`: a create that is sent twice happens once.
 *
 * A client that got no answer can't know whether its create was carried out. It sends the same request with the
 * same key again and gets the first answer again. The memory is this process's own and bounded: after a restart,
 * ten minutes, or `KEYS_MAX` newer keys, a repeated create meets the ordinary duplicate check.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import type { Clock } from "../clock.ts";
import { ApiProblem } from "./problem.ts";
import { IDEMPOTENCY_KEY } from "./route.ts";

/** How long an answer is remembered. */
const KEEP_MS = 600_000;

/** 4,096 answers of about 1 KiB: 4 MiB at most. */
const KEYS_MAX = 4_096;

/**
 * Remembers the answers of creates that carried a key. Only successes are kept: a refused create may be retried.
 *
 * @param accepts whether a key counts for a request
 */
export function rememberAnswers(
  clock: Pick<Clock, "monotonicMs">,
  accepts: (c: Context) => boolean,
): MiddlewareHandler {
  // In order of their making, so the oldest come first.
  const answers = new Map<string, Answer>();
  return async (c, next) => {
    const key = c.req.header("idempotency-key");
    const counts = accepts(c) && c.req.query("dryRun") !== "true";
    // A key that isn't one is refused by what its route declares.
    if (!counts || key === undefined || !IDEMPOTENCY_KEY.test(key)) return await next();
    forgetOld(answers, clock.monotonicMs());
    const url = new URL(c.req.url);
    const slot = [digest(c.req.header("authorization") ?? ""), url.pathname, key].join(" ");
    const request = digest(`${url.search}\n${await c.req.text()}`);
    const known = answers.get(slot);
    if (known && known.request !== request) {
      throw new ApiProblem(422, `Idempotency-Key ${key} was used for another request (take a new key)`);
    }
    const first = known && await known.response;
    if (first) return new Response(first.body, first);
    const { promise, resolve } = Promise.withResolvers<Kept | null>();
    answers.set(slot, { request, response: promise, endsMs: clock.monotonicMs() + KEEP_MS });
    await next();
    const kept = c.res.ok ? await keep(c.res) : null;
    if (!kept) answers.delete(slot);
    resolve(kept);
  };
}

interface Answer {
  /** Digest of what was asked. */
  readonly request: string;
  /** Pending while the first request is under way; null when it failed. */
  readonly response: Promise<Kept | null>;
  readonly endsMs: number;
}

interface Kept {
  readonly status: number;
  readonly headers: [string, string][];
  readonly body: string;
}

async function keep(response: Response): Promise<Kept> {
  return { status: response.status, headers: [...response.headers], body: await response.clone().text() };
}

function forgetOld(answers: Map<string, Answer>, nowMs: number): void {
  for (const [slot, { endsMs }] of answers) {
    if (endsMs > nowMs && answers.size < KEYS_MAX) return;
    answers.delete(slot);
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
