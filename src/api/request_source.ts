/**
 * Where a request comes from: the address at the other end of its connection. What a proxy says of its own clients isn't
 * believed, since anyone can say it.
 *
 * @module
 */
import type { Context } from "hono";
import type { LaterAnswer } from "./shared_answer.ts";

/** What the server tells the application of a request's connection. */
export interface RequestSource {
  /** Address of the client, without its port. */
  readonly remoteAddress: string;
  /** Resolves after so many milliseconds, or when the connection ends; until then it gives way to others like an idle one. */
  readonly holdBack: (ms: number) => Promise<void>;
  /** What is answered, in place of the response of this moment; it never rejects. */
  readonly answerLater: (answer: Promise<LaterAnswer>) => void;
}

/** Address of a request's client; empty when it came by no connection. */
export function remoteAddressOf(c: Context): string {
  const source: Partial<RequestSource> | undefined = c.env;
  return source?.remoteAddress ?? "";
}

/** Keeps the answer to a request back for a while. */
export async function holdBack(c: Context, ms: number): Promise<void> {
  const source: Partial<RequestSource> | undefined = c.env;
  await source?.holdBack?.(ms);
}

/**
 * Answers a request when there is something to be said, by an answer of many: the request is through with all that stands around
 * its route by then.
 *
 * @returns what the handler returns
 */
export async function answerLater(c: Context, answer: Promise<LaterAnswer>): Promise<Response> {
  const source: Partial<RequestSource> | undefined = c.env;
  if (source?.answerLater === undefined) return (await answer).answer.response();
  source.answerLater(answer);
  c.set(LATER, answer);
  return c.body(null);
}

/** What a request is answered later; `null` = it is answered by its response. */
export function laterAnswerOf(c: Context): Promise<LaterAnswer> | null {
  return c.get(LATER) ?? null;
}

const LATER = "laterAnswer";
