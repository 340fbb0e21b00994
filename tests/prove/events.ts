/**
 * Events to many: `deno task prove events [LISTENERS [EVENTS [replaced]]]`.
 *
 * A thousand listeners follow a real `serve` process while its model is changed ten thousand times. Each of them leaves
 * once, whenever it likes, and comes back with the id that it saw last; in the middle the process is stopped and started
 * again on the same file, or another one takes its place while the changes go on. Every listener must be told of every change, once and in order, and of none as lost.
 *
 * In the end a listener stops reading while much happens, and reads on: it must be told that it was cut, and miss nothing
 * when it comes back.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { anySignal } from "../../src/any_signal.ts";
import { serverSentEvents } from "../../src/cli/event_stream.ts";
import { seededRng } from "../../src/clock.ts";
import { BEHIND_MS } from "../../src/events/streams.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

/** How a run differs from the full one. */
export interface EventsOptions {
  readonly listeners: number;
  /** Changes of the model, half of them before the restart. */
  readonly events: number;
  /** Changes while a listener doesn't read; 0 = that isn't tried. */
  readonly unread: number;
  /** What becomes of the process in the middle. */
  readonly middle: "restarted" | "replaced";
}

/** What came of a run. */
export interface EventsReport {
  /** A line for each listener that missed something, the first ones. */
  readonly faults: readonly string[];
  /** How often listeners came back. */
  readonly returns: number;
  /** Changes a second, while all of them listened. */
  readonly perSecond: number;
  /** Resident, of the process that was started again, bytes; at its start and at the end. */
  readonly memory: { readonly start: number; readonly end: number };
  /** Whether the listener that didn't read was told that it was cut, and then got the rest. */
  readonly cut: "told" | "not told" | "not tried";
}

/** A chunk and a connection; queues would take a mebibyte or more. */
const BYTES_PER_LISTENER_MAX = 256 << 10;
/** What the changes themselves take of a node that has just been started, whoever listens. */
const BYTES_OF_CHANGES_MAX = 192 << 20;
/** Events as large as they get by a reason. */
const LONG_REASON = "x".repeat(1_000);
/** Of some 1,250 bytes each: more than the kernel holds for a listener and 1 MiB, less than what is kept. */
const UNREAD = 5_000;
/** Until a change is sent again that was refused for the moment. */
const REFUSED_PAUSE_MS = 20;
/** Longest wait for all listeners at the end. */
const CATCH_UP_MS = 120_000;

/** Runs the proof; 1,000 listeners and 10,000 events unless told otherwise. */
export async function prove(
  [listeners = "1000", events = "10000", middle = "restarted"]: string[],
): Promise<boolean> {
  const options = {
    ...{ listeners: Number(listeners), events: Number(events), unread: UNREAD },
    middle: middle === "replaced" ? middle : "restarted",
  } as const;
  const { faults, returns, perSecond, memory, cut } = await listenToAll(options);
  const bytes = memory.end - memory.start;
  const bytesMax = options.listeners * BYTES_PER_LISTENER_MAX + BYTES_OF_CHANGES_MAX;
  console.log(`listeners          ${listeners}, which came back ${returns} times`);
  console.log(`events             ${events}, ${perSecond.toFixed(0)} a second, ${options.middle} once`);
  console.log(`listeners at fault ${faults.length}`);
  for (const line of faults.slice(0, 10)) console.log(`  ${line}`);
  console.log(`memory             ${bytes >> 20} MiB more than at the start, may be ${bytesMax >> 20}`);
  console.log(`one that is slow   ${cut === "told" ? "was cut and told so, and missed nothing" : cut}`);
  return faults.length === 0 && bytes <= bytesMax && cut === "told";
}

/** Has listeners follow a node over changes and a restart. */
export async function listenToAll(
  { listeners, events, unread, middle }: EventsOptions,
): Promise<EventsReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-events-" });
  const limit = 2 * listeners + 64;
  await Deno.writeTextFile(
    `${folder}/pleiades.yaml`,
    `api: { maxConnections: ${limit}, maxConnectionsPerClient: ${limit} }\n`,
  );
  const start = (apiPort: string, ...flags: string[]) =>
    ServeProcess.start({
      args: [
        ...["-c", `${folder}/pleiades.yaml`, "--db", `${folder}/node.db`, "--api", `127.0.0.1:${apiPort}`],
        ...flags,
      ],
      executable: program("pleiades"),
    });
  try {
    let serve = await start("0");
    const { api } = serve;
    const rng = seededRng(1);
    const ending = new AbortController();
    const all = Array.from(
      { length: listeners },
      () => new Listener(api, { until: events, leaveAt: 1 + rng() % events }, ending.signal),
    );
    const following = all.map((listener) => listener.follow());
    await Promise.all(all.map((listener) => listener.isListening));
    const startMs = performance.now();
    await change(api, { from: 1, count: events >> 1 });
    const rest = { from: 1 + (events >> 1), count: events - (events >> 1) };
    let memoryAtStart: number;
    if (middle === "replaced") {
      const changing = change(api, rest);
      const before = serve;
      serve = await start(new URL(api).port, "--replace");
      memoryAtStart = residentOf(serve.pid);
      await before.ended();
      await changing;
    } else {
      serve.kill("SIGTERM");
      await serve.ended();
      serve = await start(new URL(api).port);
      memoryAtStart = residentOf(serve.pid);
      await change(api, rest);
    }
    const seconds = (performance.now() - startMs) / 1000;
    const late = setTimeout(() => ending.abort(), CATCH_UP_MS);
    await Promise.all(following);
    clearTimeout(late);
    const memory = { start: memoryAtStart, end: residentOf(serve.pid) };
    const cut = unread === 0 ? "not tried" : await readLate(api, { generation: events, unread });
    await serve[Symbol.asyncDispose]();
    return {
      faults: all.flatMap(({ fault }, i) => fault === null ? [] : [`listener ${i}: ${fault}`]),
      returns: all.reduce((sum, { returns }) => sum + returns, 0),
      perSecond: events / seconds,
      ...{ memory, cut },
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** One that listens to changes of the model, and comes back as often as it takes. */
class Listener {
  /** What it has missed; `null` = nothing. */
  fault: string | null = "nothing came in time";
  /** How often it has come back. */
  returns = -1;
  /** Resolves when its first stream is open. */
  readonly isListening: Promise<void>;
  #opened = () => {};
  #lastId: string | null = null;
  #generation = 0;
  readonly #api: string;
  readonly #terms: { readonly until: number; readonly leaveAt: number };
  readonly #signal: AbortSignal;

  constructor(api: string, terms: { readonly until: number; readonly leaveAt: number }, signal: AbortSignal) {
    this.#api = api;
    this.#terms = terms;
    this.#signal = signal;
    this.isListening = new Promise((resolve) => this.#opened = resolve);
  }

  /** Resolves when it has seen the last change, or has found that one is missing. */
  async follow(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        if (await this.#followOnce()) return;
      } catch {
        // The node is being started again, or this listener has left.
      }
      if (!this.#signal.aborted) await wait(200);
    }
  }

  /** @returns whether it needn't come back */
  async #followOnce(): Promise<boolean> {
    const leaving = new AbortController();
    const response = await fetch(`${this.#api}/events?kind=commit`, {
      headers: this.#lastId === null ? {} : { "last-event-id": this.#lastId },
      signal: anySignal([leaving.signal, this.#signal]),
    });
    if (response.status !== 200) throw new Error(`${response.status}`);
    this.#opened();
    this.returns++;
    try {
      // As `serverSentEvents` does it, but cheap enough for ten million of them.
      let rest = "";
      for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
        const frames = `${rest}${text}`.split("\n\n");
        rest = frames.pop()!;
        for (const frame of frames) {
          if (this.#take(frame)) return true;
          if (this.#generation === this.#terms.leaveAt && this.returns === 0) return false;
        }
      }
      return false;
    } finally {
      leaving.abort();
    }
  }

  /** @returns whether that was the last one, or a fault */
  #take(frame: string): boolean {
    if (frame.startsWith("retry:") || frame.startsWith(":")) return false;
    const [, id, generation] = /^id: (\d+)\nevent: commit\n.*"generation":(\d+),/.exec(frame) ?? [];
    if (id === undefined) return this.#fail(frame);
    if (Number(generation) !== this.#generation + 1) {
      return this.#fail(`generation ${generation} behind ${this.#generation}`);
    }
    this.#lastId = id;
    this.#generation++;
    if (this.#generation < this.#terms.until) return false;
    this.fault = null;
    return true;
  }

  #fail(fault: string): true {
    this.fault = fault;
    return true;
  }
}

/** Changes the model so often, by four clients at a time. */
async function change(
  api: string,
  { from, count, reason = "" }: { readonly from: number; readonly count: number; readonly reason?: string },
): Promise<void> {
  let next = from;
  await Promise.all(Array.from({ length: 4 }, async () => {
    while (next < from + count) {
      const json = { name: `pool-${next++}` };
      const request = { method: "POST", path: `/pools?${new URLSearchParams({ reason })}`, json };
      // Another process may be about to take the place of the one that is asked.
      for (let isAgain = false; !await isTaken(() => call(api, request), isAgain); isAgain = true) {
        await wait(REFUSED_PAUSE_MS);
      }
    }
  }));
}

/**
 * Whether a change was made; not so where it was refused for the moment, or its connection ended before the answer: an idle one
 * may end as it is used (RFC 9112 §9.3.1). One that is asked for again may have been made before.
 *
 * @throws what else went wrong
 */
async function isTaken(ask: () => Promise<unknown>, isAgain: boolean): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    const { message } = error as Error;
    if (isAgain && / 409 /.test(message)) return true;
    if (!/: 503 /.test(message)) throw error;
    return false;
  }
}

/** Opens a stream and doesn't read while much happens. */
async function readLate(
  api: string,
  { generation, unread }: { readonly generation: number; readonly unread: number },
): Promise<"told" | "not told"> {
  const { signal } = new AbortController();
  const ids: number[] = [];
  let last = "";
  let isCut = false;
  const read = async (body: ReadableStream<Uint8Array>, isDone: () => boolean) => {
    for await (const { id, event, data } of serverSentEvents(body, { idleMs: 30_000, signal })) {
      if (event === "cut") isCut = true;
      if (event !== "commit") continue;
      last = id;
      ids.push(JSON.parse(data).generation);
      if (isDone()) return;
    }
  };
  const { hostname, port } = new URL(api);
  // A connection of its own, since `fetch` reads ahead.
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(
    new TextEncoder().encode(`GET /api/v1/events?kind=commit HTTP/1.0\r\nHost: ${hostname}:${port}\r\n\r\n`),
  );
  await connection.read(new Uint8Array(16));
  await change(api, { from: generation + 1, count: unread, reason: LONG_REASON });
  await wait(BEHIND_MS + 2_000);
  await read(withoutHead(connection.readable), () => false);
  if (!isCut) return "not told";
  const [newest] = await call<{ generation: number }[]>(api, { method: "GET", path: "/history?limit=1" });
  const response = await fetch(`${api}/events?kind=commit`, { headers: { "last-event-id": last }, signal });
  await read(response.body!, () => ids.at(-1) === newest!.generation);
  const isWhole = ids.every((each, i) => each === ids[0]! + i) && ids[0] === generation + 1;
  return isWhole ? "told" : "not told";
}

/** The body of an answer of HTTP/1.0, which ends with its connection. */
function withoutHead(bytes: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  let isBody = false;
  return bytes.pipeThrough(
    new TransformStream({
      transform(piece, controller) {
        const text = new TextDecoder().decode(piece);
        const end = isBody ? 0 : text.indexOf("\r\n\r\n") + 4;
        if (!isBody && end === 3) return;
        isBody = true;
        controller.enqueue(new TextEncoder().encode(text.slice(end)));
      },
    }),
  );
}

function residentOf(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)![1]) * 1024;
}
