/**
 * The node beside the database, if one answers: its status, its events as they happen, and explanations of its answers. All of
 * it comes by the API, by the commands that the shell has for it.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import { ApiRefusal } from "../cli/api_refusal.ts";
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "../cli/client.ts";
import { serverSentEvents } from "../cli/event_stream.ts";
import { eventWords } from "../cli/event_words.ts";
import { explain } from "../cli/explain.ts";
import { CommandFailed } from "../cli/failure.ts";
import { span } from "../cli/span.ts";
import { modelWords, status } from "../cli/status.ts";
import type { Terminal } from "../cli/terminal.ts";
import { wallTimeOfSecond } from "../cli/wall_time.ts";
import { systemClock } from "../clock.ts";
import type { ServerState } from "./state.ts";
import type { NodeItem } from "./reading.ts";

/** Between two looks for a node, and two of its status. */
const RETRY_MS = 3_000;
const STATUS_MS = 2_000;
/** Events are handed on together: a screen is drawn for a person. */
const BATCH_MS = 1_000;
/** Three times as long as a node is silent at most. */
const IDLE_MS = 45_000;
/** A node that is there answers sooner. */
const TIMEOUT_MS = 10_000;
/** Events that are read on arrival. */
const TAIL = 100;

/** Who hears of the node. */
export interface NodeListener {
  /** Something about it is another now. */
  readonly onServer: (change: Partial<ServerState>) => void;
  /** Events, the newest last. */
  readonly onEvents: (words: readonly string[]) => void;
}

/** Follows a node until it is aborted; never rejects. */
export class NodeLink {
  readonly #options: ClientOptions;
  readonly #terminal: Terminal;
  readonly #listener: NodeListener;
  readonly #api: ApiClient;
  #lastId: string | null = null;
  #answers: { readonly count: number; readonly atMs: number } | null = null;

  /** Does nothing yet. @throws {CommandFailed} when the address is none */
  constructor(options: ClientOptions, terminal: Terminal, listener: NodeListener) {
    this.#options = options;
    this.#terminal = terminal;
    this.#listener = listener;
    this.#api = new ApiClient(options, terminal, { timeoutMs: TIMEOUT_MS });
  }

  /** Looks for the node, follows it, and looks for it again. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const away = new AbortController();
      const both = anySignal([signal, away.signal]);
      try {
        await this.#look();
        this.#listener.onServer({ state: "connected", message: "" });
        await Promise.race([this.#events(both), this.#statuses(both)]);
      } catch (error) {
        const isRefused = error instanceof ApiRefusal && error.status < 500;
        const message = error instanceof Error ? error.message : String(error);
        if (!signal.aborted) {
          this.#listener.onServer({ state: isRefused ? "refused" : "away", message, rate: null });
        }
      } finally {
        away.abort();
      }
      this.#answers = null;
      await systemClock.sleep(RETRY_MS, signal);
    }
  }

  /** The account of an answer, as `pleiades explain` prints it; never rejects. */
  async explain({ name, type, client }: Record<"name" | "type" | "client", string>): Promise<string[]> {
    const lines: string[] = [];
    const terminal = capturing(this.#terminal, lines);
    try {
      await explain(
        name,
        { ...this.#options, type, ...(client !== "" && { client }), output: "table" },
        terminal,
      );
    } catch (error) {
      lines.push(error instanceof Error ? error.message : String(error));
    }
    return lines;
  }

  async #look(): Promise<void> {
    const state = await this.#api.get("/status");
    const lines: string[] = [];
    await status({ ...this.#options, output: "table" }, capturing(this.#terminal, lines));
    this.#listener.onServer({
      // The nodes have a table of their own.
      status: lines.filter((line) => !line.startsWith("nodes ")),
      nodes: nodesOf(state),
      rate: this.#rateOf(state),
    });
  }

  #rateOf({ dns }: JsonObject): number | null {
    const count = isJsonObject(dns) ? Number(dns["answers"]) : NaN;
    const atMs = performance.now();
    const before = this.#answers;
    this.#answers = Number.isFinite(count) ? { count, atMs } : null;
    if (before === null || this.#answers === null || count < before.count) return null;
    return (count - before.count) * 1000 / (atMs - before.atMs);
  }

  async #statuses(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await systemClock.sleep(STATUS_MS, signal);
      if (!signal.aborted) await this.#look();
    }
  }

  async #events(signal: AbortSignal): Promise<void> {
    const body = await this.#api.stream(`/events?tail=${TAIL}`, {
      accept: "text/event-stream",
      ...this.#lastId !== null && { "last-event-id": this.#lastId },
    });
    let batch: string[] = [];
    const hand = () => {
      if (batch.length > 0) this.#listener.onEvents(batch);
      batch = [];
    };
    const timer = setInterval(hand, BATCH_MS);
    try {
      for await (const { id, data } of serverSentEvents(body, { idleMs: IDLE_MS, signal })) {
        if (id === "") continue;
        this.#lastId = id;
        const event: unknown = JSON.parse(data);
        if (isJsonObject(event)) batch.push(lineOf(event));
      }
      if (!signal.aborted) throw new CommandFailed("The node has ended its events; looking for it again");
    } finally {
      clearInterval(timer);
      hand();
    }
  }
}

/** The nodes of the cluster that share what they find; a node on its own is the only one. */
function nodesOf({ node, peers }: JsonObject): NodeItem[] {
  const self = isJsonObject(node) ? node : {};
  const nodes = isJsonObject(peers) && Array.isArray(peers["nodes"]) ? peers["nodes"] : [self];
  return nodes.filter(isJsonObject).map(({ id, region, heartbeatAgeSeconds, model }) => ({
    id: String(id),
    region: String(region ?? ""),
    heard: id === self["id"] ? "this one answers" : `${span(Number(heartbeatAgeSeconds))} ago`,
    model: isJsonObject(model) ? standingOf(model, id === self["id"]) : "",
  }));
}

/** Generations are counted by each node for itself: what can be compared is how much of the log was taken, and a digest. */
function standingOf(model: JsonObject, isSelf: boolean): string {
  const words = modelWords(model);
  if (words.length > 0) return words.join(", ");
  if (isSelf) return model["log"] === null ? "" : "up to date";
  return model["digest"] === null ? "reading it" : "the same";
}

function lineOf(event: JsonObject): string {
  return `${wallTimeOfSecond(event["at"])}  ${String(event["kind"]).padEnd(8)}  ${eventWords(event)}`;
}

/** A terminal whose words are kept. */
function capturing({ env }: Terminal, lines: string[]): Terminal {
  const keep = (text: string) => void lines.push(...text.split("\n"));
  return { out: keep, err: keep, env, colour: false };
}
