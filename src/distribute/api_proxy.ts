/**
 * The service in front of a primary's API: each request goes on as it came and, when PowerDNS has done what it asks for, others
 * are told of the zone that it changed.
 *
 * The token is checked by PowerDNS, not here. Changes go to PowerDNS one after the other, as many at a time as `writesAtOnce`
 * says: with SQLite behind it, PowerDNS refuses half of what comes in parallel ("database is locked").
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { Turns } from "../turns.ts";
import {
  answerHead,
  type Header,
  HttpFault,
  type HttpHead,
  HttpReader,
  type HttpSocket,
  passedOn,
  valuesOf,
  writeMessage,
} from "./http_message.ts";
import {
  canonicalZone,
  encodeEvent,
  type EventKind,
  METRIC_WORD,
  type Subjects,
  type ZoneEvent,
} from "./messages.ts";
import type { ProxyMetrics } from "./metrics.ts";
import { connectUpstream, type Upstream } from "./upstream.ts";

/** What a proxy is made with. */
export interface ApiProxyNeeds {
  /** Where PowerDNS has its API. */
  readonly upstream: Upstream;
  /** Changes that PowerDNS gets at the same time. */
  readonly writesAtOnce: number;
  /** What events are said on. */
  readonly subjects: Subjects;
  /** Says something to all. */
  readonly publish: (subject: string, data: Uint8Array) => void;
  /** Stamps events. */
  readonly clock: Clock;
  /** Hears of events and faults. */
  readonly log: Logger;
  /** Counts. */
  readonly metrics: ProxyMetrics;
}

/** Longest wait for a whole head, milliseconds, from its first byte. */
const HEAD_MS = 5_000;
/** Longest wait for a whole body. */
const BODY_MS = 10_000;
/** Longest wait until a client has taken its answer. */
const WRITE_MS = 15_000;
/** How long a connection without a request is kept. */
const IDLE_MS = 60_000;
/** Longest wait for PowerDNS. */
const UPSTREAM_MS = 60_000;
/** Bytes of a request's body: a zone of half a million records. */
const REQUEST_MAX = 64 * 1024 * 1024;
/** Bytes of an answer's body: the list of a million zones. */
const ANSWER_MAX = 512 * 1024 * 1024;
/** Changes that wait for their turn; with more the API is overloaded, and says so. */
const WAITING_MAX = 1_024;

/** Hands requests on. */
export class ApiProxy {
  readonly #needs: ApiProxyNeeds;
  /** Of changes, to PowerDNS. */
  readonly #turns: Turns;

  /** Connects to nothing before there is a request. */
  constructor(needs: ApiProxyNeeds) {
    this.#needs = needs;
    this.#turns = new Turns(needs.writesAtOnce);
  }

  /** Serves a connection until it ends; closes it, and never fails. */
  async serve(connection: HttpSocket & { close(): void }): Promise<void> {
    let isOpen = true;
    const close = () => {
      if (isOpen) connection.close();
      isOpen = false;
    };
    try {
      const reader = new HttpReader(connection);
      while (await within(IDLE_MS, close, () => reader.waits())) {
        if (!await this.#exchange(reader, connection, close)) break;
      }
    } catch (error) {
      this.#needs.log.debug("A connection has ended", { error });
    } finally {
      close();
    }
  }

  /** One request; whether another may follow. */
  async #exchange(reader: HttpReader, connection: HttpSocket, close: () => void): Promise<boolean> {
    let head: HttpHead | null;
    let answer: Answer;
    let event: ProxyEvent | null = null;
    let isLast = true;
    try {
      head = await within(HEAD_MS, close, () => reader.head());
      if (head === null) return false;
      const request = requestOf(head);
      isLast = isLastOf(request, head);
      if (valuesOf(head.headers, "expect").some((each) => each.toLowerCase() === "100-continue")) {
        await writeMessage(connection, { startLine: "HTTP/1.1 100 Continue", headers: [] }, null);
      }
      const { body, isCut } = await within(
        BODY_MS,
        close,
        () => reader.body(head!, { sizeMax: REQUEST_MAX, toEnd: false }),
      );
      if (isCut) return false;
      ({ answer, event } = await this.#handled({ ...request, headers: head.headers, body }));
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      answer = refusal(error.status, error.message);
      isLast = true;
    }
    const ends = isLast || answer.isCut;
    const headers: Header[] = [...answer.headers, ...(ends ? [["Connection", "close"] as const] : [])];
    const writing = within(WRITE_MS, close, () => writeAnswer(connection, { ...answer, headers }));
    // The answer has left by now, or goes to a client that is slow, and others mustn't wait for that one. What follows from the
    // event would take the processor from the answer.
    try {
      if (event !== null) this.#publish(event);
    } finally {
      await writing;
    }
    return !ends;
  }

  async #handled(
    request: Request,
  ): Promise<{ readonly answer: Answer; readonly event: ProxyEvent | null }> {
    if (request.method === "GET" || request.method === "HEAD" || request.method === "OPTIONS") {
      return { answer: await this.#forward(request), event: null };
    }
    if (this.#turns.waiting >= WAITING_MAX) {
      return { answer: refusal(503, "Too many changes wait for PowerDNS"), event: null };
    }
    return await this.#turns.take(async () => {
      const answer = await this.#forward(request);
      return { answer, event: this.#eventOf(request, answer) };
    });
  }

  /** What others are to be told; `null` = nothing. */
  #eventOf(request: Request, answer: Answer): ProxyEvent | null {
    const event = answer.status >= 200 && answer.status < 300 ? eventOf(request, answer) : null;
    if (event === null) return null;
    const { kind, zone } = event;
    if (zone !== null) return { kind, zone, serial: serialOf(answer.headers) };
    this.#needs.log.warn("A change names no zone that can be read; no event goes out", {
      path: request.target.split("?")[0],
    });
    return null;
  }

  #publish({ kind, zone, serial }: ProxyEvent): void {
    const { subjects, publish, clock, log, metrics } = this.#needs;
    publish(subjects.events[kind], encodeEvent({ kind, zone, atMs: clock.unixMs(), serial, epoch: null }));
    metrics.events.labels(METRIC_WORD[kind]).inc();
    log.info("Zone changed", { zone, kind });
  }

  async #forward({ method, target, headers, body }: Request): Promise<Answer> {
    const { upstream, metrics, log } = this.#needs;
    metrics.requests.inc();
    const late = new AbortController();
    let conn: Deno.Conn | null = null;
    const close = () => {
      late.abort("over"); // without a reason an exception is made
      conn?.close();
      conn = null;
    };
    try {
      return await within(UPSTREAM_MS, close, async () => {
        const opened = conn = await connectUpstream(upstream, late.signal);
        const startLine = `${method} ${target} HTTP/1.1`;
        const isBodiless = body.length === 0 && (method === "GET" || method === "HEAD");
        await writeMessage(
          opened,
          { startLine, headers: [...passedOn(headers), ["Connection", "close"]] },
          isBodiless ? null : body,
        );
        return await readAnswer(new HttpReader(opened), method);
      });
    } catch (error) {
      log.warn("PowerDNS doesn't answer", {
        ...{ upstream: `${upstream.hostname}:${upstream.port}`, error },
      });
      return refusal(502, "PowerDNS doesn't answer");
    } finally {
      close();
    }
  }
}

/** What a change did to a zone. */
type ProxyEvent = Pick<ZoneEvent, "kind" | "zone" | "serial">;

/** A request. */
interface Request {
  readonly method: string;
  /** Path and query, as they came. */
  readonly target: string;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
}

/** An answer. */
interface Answer {
  readonly status: number;
  readonly startLine: string;
  readonly headers: readonly Header[];
  /** `null` = answers of this kind have none. */
  readonly body: Uint8Array | null;
  /** What `Content-Length` says of an answer to HEAD. */
  readonly length: string | null;
  /** Whether the connection ended before the body did. */
  readonly isCut: boolean;
}

/** @throws {HttpFault} on what mustn't go on */
function requestOf(
  { startLine }: HttpHead,
): { readonly method: string; readonly target: string; readonly version: string } {
  const [, method, target, version] = /^([A-Z]{1,32}) (\S{1,8192}) HTTP\/(1\.[01])$/.exec(startLine) ?? [];
  if (method === undefined || target === undefined || version === undefined) {
    throw new HttpFault(400, "The request line can't be read");
  }
  if (!target.startsWith("/")) throw new HttpFault(400, "The target must be a path");
  const path = target.split("?")[0]!;
  // PowerDNS and whoever stands between might resolve them in different ways.
  const isDotted = path.split("/").some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment));
  if (isDotted) throw new HttpFault(400, "The path has a segment of dots");
  return { method, target, version };
}

function isLastOf({ version }: { readonly version: string }, { headers }: HttpHead): boolean {
  const options = valuesOf(headers, "connection").join(",").toLowerCase();
  return options.includes("close") || (version === "1.0" && !options.includes("keep-alive"));
}

async function readAnswer(reader: HttpReader, method: string): Promise<Answer> {
  const { head, status } = await answerHead(reader);
  const given = {
    status,
    startLine: head.startLine.replace(/^HTTP\/1\.0/, "HTTP/1.1"),
    headers: passedOn(head.headers),
  };
  const [length = null] = valuesOf(head.headers, "content-length");
  if (method === "HEAD") return { ...given, body: null, length, isCut: false };
  if (status === 204 || status === 304) return { ...given, body: null, length: null, isCut: false };
  // What the head says has happened, even if the rest never comes.
  const { body, isCut } = await reader.body(head, { sizeMax: ANSWER_MAX, toEnd: true }).catch((error) => {
    if (error instanceof HttpFault) throw error;
    return { body: new Uint8Array(0), isCut: true };
  });
  return { ...given, body, length: isCut ? length : null, isCut };
}

async function writeAnswer(
  connection: HttpSocket,
  { startLine, headers, body, length, isCut }: Answer,
): Promise<void> {
  if (length !== null) headers = [...headers, ["Content-Length", length]];
  await writeMessage(connection, { startLine, headers }, isCut ? null : body);
  if (isCut && body !== null) {
    for (let at = 0; at < body.length;) at += await connection.write(body.subarray(at));
  }
}

function refusal(status: number, message: string): Answer {
  return {
    status,
    startLine: `HTTP/1.1 ${status} ${REASONS[status] ?? "Error"}`,
    headers: [["Content-Type", "text/plain; charset=utf-8"]],
    body: new TextEncoder().encode(`${message}\n`),
    length: null,
    isCut: false,
  };
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

/** What a request that PowerDNS has done did to a zone; `null` = nothing. */
export function eventOf(
  { method, target, body }: { readonly method: string; readonly target: string; readonly body: Uint8Array },
  answer: { readonly body: Uint8Array | null },
): { readonly kind: EventKind; readonly zone: string | null } | null {
  const path = target.split("?")[0]!;
  const match = /^\/api\/v1\/servers\/[^/]+\/zones(?:\/([^/]+)(\/.*)?)?\/?$/.exec(path);
  if (match === null) return null;
  const [, id, below] = match;
  if (id === undefined) {
    if (method !== "POST") return null;
    // What it is called stands in the answer; the request may have an id, which PowerDNS ignores.
    return { kind: "add", zone: nameIn(answer.body) ?? nameIn(body) };
  }
  const zone = zoneOfId(id);
  const rest = (below ?? "").replace(/\/$/, "");
  if (rest === "") {
    if (method === "DELETE") return { kind: "delete", zone };
    return method === "PUT" || method === "PATCH" ? { kind: "modified", zone } : null;
  }
  const isChange = (rest === "/rectify" && method === "PUT") ||
    (/^\/(?:metadata|cryptokeys)$/.test(rest) && method === "POST") ||
    (/^\/(?:metadata|cryptokeys)\/[^/]+$/.test(rest) && (method === "PUT" || method === "DELETE"));
  return isChange ? { kind: "modified", zone } : null;
}

/** A zone's name in a body; its id where it has no name. */
function nameIn(body: Uint8Array | null): string | null {
  if (body === null) return null;
  try {
    const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    if (typeof json !== "object" || json === null) return null;
    const of = (key: string) => key in json ? Reflect.get(json, key) : undefined;
    const name = of("name") ?? of("id");
    return typeof name === "string" ? canonicalZone(name) : null;
  } catch {
    return null;
  }
}

/** Paths have `%XX` of URLs and `=XX` of PowerDNS, one within the other. */
function zoneOfId(id: string): string | null {
  try {
    return canonicalZone(
      decodeURIComponent(id).replaceAll(
        /=([0-9A-Fa-f]{2})/g,
        (_, hex) => String.fromCharCode(parseInt(hex, 16)),
      ),
    );
  } catch {
    return null;
  }
}

/** Of the zone after the change, where PowerDNS says it. */
function serialOf(headers: readonly Header[]): number | null {
  const [text = ""] = valuesOf(headers, "x-pdns-new-serial");
  const serial = Number(text);
  return /^\d{1,10}$/.test(text) && serial <= 0xffff_ffff ? serial : null;
}

/** What an action gives, unless it takes too long: then `close` ends what it waits for. */
async function within<Result>(ms: number, close: () => void, action: () => Promise<Result>): Promise<Result> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    close();
  }, ms);
  try {
    return await action();
  } catch (error) {
    if (isLate) throw new Deno.errors.TimedOut(`nothing came within ${ms} ms`, { cause: error });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
