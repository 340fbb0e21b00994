/**
 * A request of HTTP whose answer comes whole and in time, or fails.
 *
 * @module
 */

/** An answer of a service. */
export interface AwsAnswer {
  /** HTTP's. */
  readonly status: number;
  /** Whole. */
  readonly body: string;
}

/** Most bytes of an answer. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/** Sends a request once. @throws {Error} that names the host when there is no whole answer in time */
export async function fetchText(
  request: Request | string,
  init: RequestInit,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<AwsAnswer> {
  const { host } = new URL(typeof request === "string" ? request : request.url);
  const over = new AbortController();
  const end = () => over.abort();
  const timer = setTimeout(end, timeoutMs);
  signal.addEventListener("abort", end);
  try {
    signal.throwIfAborted();
    const response = await fetch(request, { ...init, redirect: "error", signal: over.signal });
    return { status: response.status, body: await textOf(response) };
  } catch (error) {
    signal.throwIfAborted();
    if (over.signal.aborted) throw new Error(`${host} didn't answer within ${timeoutMs} ms`);
    throw new Error(`${host} can't be asked`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}
