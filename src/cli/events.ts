/**
 * `pleiades events`: what happens inside the node, the last of it or as it happens.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import { ApiRefusal } from "./api_refusal.ts";
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import { serverSentEvents } from "./event_stream.ts";
import { eventWords } from "./event_words.ts";
import type { OutputFormat } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { wallTimeOfSecond } from "./wall_time.ts";

/** Flags of `events`. */
export interface EventsFlags extends ClientOptions {
  /** `--follow`. */
  readonly follow?: boolean;
  /** `--kind`. */
  readonly kind?: readonly string[];
  /** `--since`. */
  readonly since?: { readonly id: string } | { readonly backMs: number };
  /** `--tail`. */
  readonly tail?: number;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Three times as long as a node is silent at most. */
const IDLE_MS = 45_000;
/** Between two attempts to come back. */
const RETRY_MS = 1_000;

/** Prints events; with `--follow` until `signal` is aborted, and over restarts of the node. */
export async function events(
  flags: EventsFlags,
  terminal: Terminal,
  signal: AbortSignal = new AbortController().signal,
): Promise<ExitCode> {
  const api = new ApiClient(flags, terminal);
  const printer = new Printer(flags.output, terminal);
  const path = `/events?${queryOf(flags)}`;
  if (flags.follow === true) await follow(path, { api, terminal, printer, signal });
  else await list(path, { api, terminal, printer });
  return 0;
}

function queryOf({ kind = [], since, tail, follow }: EventsFlags): URLSearchParams {
  const query = new URLSearchParams(kind.map((each) => ["kind", each]));
  if (since === undefined) query.set("tail", String(tail ?? (follow === true ? 10 : 50)));
  else if ("id" in since) query.set("lastEventId", since.id);
  else query.set("since", new Date(Date.now() - since.backMs).toISOString());
  return query;
}

/** What a run prints with. */
interface Run {
  readonly api: ApiClient;
  readonly terminal: Terminal;
  readonly printer: Printer;
}

async function list(path: string, { api, terminal, printer }: Run): Promise<void> {
  const response = await api.request("GET", path, undefined, {
    headers: { accept: "application/json" },
  });
  const documents: unknown = await response.json();
  if (!Array.isArray(documents)) throw new CommandFailed("The API sent no list of events");
  if (response.headers.get("pleiades-events-lost") === "true") terminal.err(LOST);
  if (documents.length === 0) terminal.err("Nothing of that has happened, as far as it is kept");
  printer.print(documents.filter(isJsonObject));
}

/** Goes on behind the last event that was printed, as often as it takes. */
async function follow(path: string, run: Run & { readonly signal: AbortSignal }): Promise<void> {
  const { terminal, signal } = run;
  const place: Place = { lastId: null, isReached: false };
  for (let isAway = false; !signal.aborted;) {
    try {
      await followOnce(path, place, run, () => {
        if (isAway) terminal.err("note: the node is back");
        isAway = false;
      });
    } catch (error) {
      if (signal.aborted) return;
      // What the node refuses, it refuses the next time too; and one that never was there may be another's address.
      const isFinal = error instanceof ApiRefusal && error.status < 500;
      if (isFinal || !place.isReached) throw error;
      if (!isAway) terminal.err("note: the node doesn't answer; trying again");
      isAway = true;
    }
    await systemClock.sleep(RETRY_MS, signal);
  }
}

/** How far a listener has come. */
interface Place {
  lastId: string | null;
  /** Whether the node has answered before. */
  isReached: boolean;
}

async function followOnce(
  path: string,
  place: Place,
  { api, terminal, printer, signal }: Run & { readonly signal: AbortSignal },
  onReached: () => void,
): Promise<void> {
  const body = await api.stream(path, {
    accept: "text/event-stream",
    ...place.lastId !== null && { "last-event-id": place.lastId },
  });
  place.isReached = true;
  onReached();
  for await (const { id, event, data } of serverSentEvents(body, { idleMs: IDLE_MS, signal })) {
    if (event === "lost") terminal.err(LOST);
    if (id === "") continue;
    place.lastId = id;
    const document: unknown = JSON.parse(data);
    if (isJsonObject(document)) printer.print([document]);
  }
}

const LOST = "note: events are missing here: the node doesn't keep them any more";

/** Prints events as they come: a table whose columns are as wide as the next row needs, or JSON a line. */
class Printer {
  readonly #output: OutputFormat;
  readonly #terminal: Terminal;
  #isHeaded = false;

  constructor(output: OutputFormat, terminal: Terminal) {
    this.#output = output;
    this.#terminal = terminal;
  }

  print(documents: readonly JsonObject[]): void {
    for (const document of documents) this.#printOne(document);
  }

  #printOne(document: JsonObject): void {
    if (this.#output === "json") return this.#terminal.out(JSON.stringify(document));
    if (!this.#isHeaded) this.#line(["when", "kind", "what", "id"]);
    this.#isHeaded = true;
    const { at, kind, id } = document;
    this.#line([wallTimeOfSecond(at), String(kind), eventWords(document), String(id)]);
  }

  #line([when, kind, what, id]: readonly [string, string, string, string]): void {
    const isWide = this.#output === "wide";
    const head = `${when.padEnd(WHEN_WIDTH)}  ${kind.padEnd(KIND_WIDTH)}  `;
    const width = isWide ? Infinity : this.#terminal.columns ?? Infinity;
    const line = `${head}${isWide ? `${id.padEnd(ID_WIDTH)}  ` : ""}${what}`;
    this.#terminal.out(line.length <= width ? line : `${line.slice(0, width - 1)}…`);
  }
}

const WHEN_WIDTH = "2026-02-01 03:00:07".length;
const KIND_WIDTH = "override".length;
const ID_WIDTH = 16;
