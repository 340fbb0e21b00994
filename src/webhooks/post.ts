/**
 * One attempt to post an event to a webhook.
 *
 * Each post has a time-stamp and is signed: HMAC-SHA256 (RFC 2104) over the time-stamp, a full stop and the body, so that
 * a receiver knows who sent it and that it isn't an old one sent once more. What is sent again has the same id.
 *
 * A receiver may be slow, redirect, or answer without end: one attempt takes ten seconds, no redirect is followed (it would
 * carry the event to wherever the answer says), and of the answer little is read. What is said of a failure never has the
 * address in it but the host: whoever knows the rest of it can post there.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";
import { VERSION } from "../version.ts";

/** What is posted. */
export interface Post {
  /** The same for each attempt. */
  readonly id: string;
  /** What it is about. */
  readonly kind: string;
  /** JSON. */
  readonly body: string;
}

/** Where it is posted to. */
export interface PostAddress {
  /** Of the receiver. */
  readonly url: string;
  /** Key of the signature. */
  readonly secret: string;
}

/** What became of an attempt. */
export type PostOutcome =
  | { readonly kind: "delivered"; readonly status: number }
  /** `isRefused`: the receiver finds fault with this event, and would do so again. */
  | {
    readonly kind: "failed";
    readonly status: number | null;
    readonly reason: string;
    readonly isRefused: boolean;
  };

/** How long an attempt takes at most, from the look-up of the name to the end of the answer. */
export const ATTEMPT_MS = 10_000;
/** Of an answer that much is read, so that its connection can be used again. */
const ANSWER_BYTES_MAX = 64 << 10;
/** The event itself is what these find fault with: bad request, too large, wrong type, not to be processed. */
const REFUSING: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/** The value of `Pleiades-Signature`. */
export function signatureOf(secret: string, timestamp: string, body: string): string {
  return `sha256=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;
}

/** Posts once. An abort of the signal ends it, as a failure. */
export async function post(
  { id, kind, body }: Post,
  { url, secret }: PostAddress,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<PostOutcome> {
  const timestamp = String(Math.floor(clock.unixMs() / 1000));
  const late = new AbortController();
  const done = new AbortController();
  void clock.sleep(ATTEMPT_MS, done.signal).then(() => late.abort());
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "user-agent": `Pleiades/${VERSION}`,
        "pleiades-event": kind,
        "pleiades-delivery": id,
        "pleiades-timestamp": timestamp,
        "pleiades-signature": signatureOf(secret, timestamp, body),
      },
      redirect: "manual",
      signal: anySignal([signal, late.signal]),
    });
    await drain(response);
    return outcomeOf(response);
  } catch (error) {
    const reason = late.signal.aborted ? `no answer within ${ATTEMPT_MS / 1000} s` : reasonOf(error);
    return { kind: "failed", status: null, reason, isRefused: false };
  } finally {
    done.abort();
  }
}

/** Reads an answer as far as it isn't long. */
async function drain({ body }: Response): Promise<void> {
  const reader = body?.getReader();
  for (let read = 0; reader !== undefined;) {
    const { done, value } = await reader.read();
    if (done) return;
    read += value.length;
    if (read >= ANSWER_BYTES_MAX) return await reader.cancel();
  }
}

function outcomeOf({ status }: Response): PostOutcome {
  if (status >= 200 && status < 300) return { kind: "delivered", status };
  const reason = status >= 300 && status < 400
    ? `answered ${status}: redirects aren't followed (give the address that it leads to)`
    : `answered ${status}`;
  return { kind: "failed", status, reason, isRefused: REFUSING.has(status) };
}

/** The innermost cause in words; `fetch` names the whole address in those around it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.cause !== undefined) return reasonOf(error.cause);
  const words = error.message.replaceAll(/\bfor url \([^)]*\)|\bhttps?:\/\/\S+/g, "").split(": ").at(-1) ??
    "";
  return words.replaceAll(/\p{Cc}|\s+/gu, " ").trim().slice(0, REASON_LENGTH_MAX) || "failed";
}

const REASON_LENGTH_MAX = 200;
