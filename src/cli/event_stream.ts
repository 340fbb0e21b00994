/**
 * Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
 *
 * @module
 */

/** An event as it was sent. */
export interface ServerSentEvent {
  /** Empty = it has none. */
  readonly id: string;
  /** What it is called. */
  readonly event: string;
  /** What it carries; lines are separated by line feeds. */
  readonly data: string;
}

/** Characters of an event at most. */
const EVENT_LENGTH_MAX = 1 << 20;

/** How a stream is read. */
export interface EventPatience {
  /** How long the other side may send nothing, not even a comment. */
  readonly idleMs: number;
  /** When aborted, reading ends, without an error. */
  readonly signal: AbortSignal;
}

/**
 * The events of a stream, until it ends.
 *
 * @throws {DOMException} `TimeoutError` when it sends nothing for so long
 * @throws {RangeError} when an event has more than a million characters
 */
export async function* serverSentEvents(
  body: ReadableStream<Uint8Array>,
  { idleMs, signal }: EventPatience,
): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  let fields: [string, string][] = [];
  const end = () => void reader.cancel().catch(() => {}); // the read under way then says that it is done
  signal.addEventListener("abort", end);
  try {
    while (!signal.aborted) {
      const { done, value } = await inTime(reader.read(), idleMs);
      if (done) return;
      const lines = `${rest}${decoder.decode(value, { stream: true })}`.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line !== "") fields.push(fieldOf(line));
        else {
          const event = eventOf(fields);
          fields = [];
          if (event !== null) yield event;
        }
      }
      const length = fields.reduce((sum, [, value]) => sum + value.length, rest.length);
      if (length > EVENT_LENGTH_MAX) throw new RangeError("An event is longer than any event is");
    }
  } finally {
    signal.removeEventListener("abort", end);
    await reader.cancel().catch(() => {}); // one that has failed can't be cancelled, and needn't
  }
}

/** A name and its value, of which one leading space is dropped. A comment has the empty name. */
function fieldOf(line: string): [string, string] {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
}

/** `null` where there is no data. */
function eventOf(fields: readonly [string, string][]): ServerSentEvent | null {
  const all = (name: string) => fields.filter(([own]) => own === name).map(([, value]) => value);
  const data = all("data");
  if (data.length === 0) return null;
  return { id: all("id").at(-1) ?? "", event: all("event").at(-1) ?? "message", data: data.join("\n") };
}

async function inTime<Value>(promise: Promise<Value>, ms: number): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new DOMException("Nothing came in time", "TimeoutError")), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => {}); // told by the race, if it was still on
  }
}
