/**
 * `pleiades tui`: joins the terminal, the thread of the database and the node to the pure part (`model.ts`).
 *
 * @module
 */
import { DEFAULT_API_URL } from "../cli/api_url.ts";
import type { ClientOptions } from "../cli/client.ts";
import type { DatabaseOptions } from "../cli/database_path.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "../cli/failure.ts";
import { authorName } from "../cli/login_name.ts";
import type { Terminal } from "../cli/terminal.ts";
import { systemClock } from "../clock.ts";
import { startThread } from "../thread.ts";
import { ESCAPE_MS, KeyDecoder } from "./key_decoder.ts";
import type { FromStore, ToStore } from "./messages.ts";
import { type Event, update } from "./model.ts";
import { initialState, type State } from "./state.ts";
import type { Effect } from "./steps.ts";
import type { NodeLink } from "./node_link.ts";
import { Tty } from "./tty.ts";
import type { frameOf } from "./view/frame.tsx";
import { plainFrame } from "./view/screen.ts";

/** Flags of `tui`. */
export type TuiFlags = ClientOptions & DatabaseOptions;

/** Between two frames, milliseconds: what comes more often is drawn together. A key doesn't wait for that. */
const FRAME_MS = 33;
/** For so long after a key it is waited for what comes of it. */
const AWAITED_MS = 200;
/** A process that is to stop has stopped by then, unless it can't be stopped. */
const STOP_MS = 500;
/** Ink isn't waited for longer than this, though the database hasn't answered. */
const ROWS_MS = 500;

/** What a run is made of that tests have done otherwise. */
export interface TuiParts {
  /** What events make of states. */
  readonly update: typeof update;
  /** What states look like. */
  readonly frameOf: typeof frameOf;
  /** Reads what is typed, as `Deno.stdin` does. */
  readonly read: (buffer: Uint8Array) => Promise<number | null>;
}

/**
 * Runs until it is left.
 *
 * The first screen is there as soon as the thread of the database has its rows. Ink, which takes longer to load than all else,
 * comes after that, and with it weight and colours.
 *
 * @throws {CommandFailed} where there is no terminal, or the database can't be used
 */
export async function tui(
  flags: TuiFlags,
  terminal: Terminal,
  parts: Partial<TuiParts> = {},
): Promise<ExitCode> {
  expectTerminal(terminal);
  const worker = startThread("tui", "tui store");
  try {
    // Settings take longer to load than all else.
    const path = flags.db ?? (await import("../cli/database_path.ts")).databasePath(flags);
    return await new Session({ ...flags, db: path }, terminal, { ...parts, worker }).run();
  } finally {
    worker.terminate();
  }
}

function expectTerminal({ env }: Terminal): void {
  if (!Tty.isThere()) {
    throw wrongUsage(
      `tui needs a terminal: from a script use "pleiades pools", "pleiades services" and the like`,
    );
  }
  if (env("TERM") === "dumb") {
    throw wrongUsage("tui can't draw on a terminal of the type dumb: set TERM to what it is, such as xterm");
  }
}

/** One run. */
class Session {
  readonly #flags: TuiFlags;
  readonly #terminal: Terminal;
  readonly #update: TuiParts["update"];
  readonly #read: TuiParts["read"];
  #frameOf: TuiParts["frameOf"];
  readonly #tty = new Tty();
  readonly #colour: boolean;
  readonly #over = new AbortController();
  readonly #end = Promise.withResolvers<ExitCode>();
  readonly #rows = Promise.withResolvers<void>();
  readonly #worker: Worker;
  #link: NodeLink | null = null;
  #state: State;
  #drawnAtMs = -Infinity;
  #keyAtMs = -Infinity;
  #drawing: ReturnType<typeof setTimeout> | null = null;
  #comingBack: ReturnType<typeof setTimeout> | null = null;

  /** The worker stays the caller's to end. */
  constructor(
    flags: TuiFlags & { readonly db: string },
    terminal: Terminal,
    parts: Partial<TuiParts> & { readonly worker: Worker },
  ) {
    this.#flags = flags;
    this.#update = parts.update ?? update;
    this.#frameOf = parts.frameOf ?? plainFrame;
    this.#read = parts.read ?? ((buffer) => Deno.stdin.read(buffer));
    this.#terminal = terminal;
    this.#colour = terminal.colour;
    const url = flags.api ?? terminal.env("PLEIADES_API_URL") ?? DEFAULT_API_URL;
    this.#state = initialState({ path: flags.db, url, size: this.#tty.size });
    this.#worker = parts.worker;
  }

  async run(): Promise<ExitCode> {
    using _listening = this.#listen();
    try {
      this.#tty.enter();
      this.#openStore();
      this.#readKeys().then(() => this.#end.resolve(0), (error) => this.#fail(error));
      this.#begin().catch((error) => this.#fail(error));
      return await this.#end.promise;
    } finally {
      this.#over.abort();
      if (this.#drawing !== null) clearTimeout(this.#drawing);
      if (this.#comingBack !== null) clearTimeout(this.#comingBack);
      this.#tty.leave();
    }
  }

  /** What is loaded while nothing else can be done would be in the way of the rows. */
  async #begin(): Promise<void> {
    this.#draw();
    await Promise.race([this.#rows.promise, systemClock.sleep(ROWS_MS, this.#over.signal)]);
    if (this.#over.signal.aborted) return;
    if (this.#frameOf === plainFrame) {
      this.#frameOf = (await import("./view/frame.tsx")).frameOf;
      this.#draw();
    }
    const { NodeLink } = await import("./node_link.ts");
    this.#link = new NodeLink(this.#flags, this.#terminal, {
      onServer: (change) => this.#happen({ kind: "server", change }),
      onEvents: (words) => this.#happen({ kind: "happened", words }),
    });
    await this.#link.follow(this.#over.signal);
  }

  /** What happens to the process. Whatever fails unseen ends the run with what it was. */
  #listen(): Disposable {
    const listening = new DisposableStack();
    const on = (signal: Deno.Signal, listener: () => void) => {
      if (Deno.build.os === "windows" && signal !== "SIGINT") return;
      Deno.addSignalListener(signal, listener);
      listening.defer(() => Deno.removeSignalListener(signal, listener));
    };
    on("SIGWINCH", () => this.#happen({ kind: "resized", ...this.#tty.size }));
    on("SIGCONT", () => this.#comeBack());
    // As the shell counts an end by a signal.
    for (const [signal, number] of [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const) {
      on(signal, () => {
        this.#tty.leave();
        Deno.exit(128 + number);
      });
    }
    const onError = (event: ErrorEvent) => {
      event.preventDefault();
      this.#fail(event.error);
    };
    const onRejection = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      this.#fail(event.reason);
    };
    addEventListener("error", onError);
    addEventListener("unhandledrejection", onRejection);
    listening.defer(() => {
      removeEventListener("error", onError);
      removeEventListener("unhandledrejection", onRejection);
    });
    return listening;
  }

  #fail(error: unknown): void {
    this.#tty.leave();
    this.#end.reject(error instanceof Error ? error : new Error(String(error)));
  }

  #openStore(): void {
    this.#worker.onmessage = ({ data }: MessageEvent<FromStore>) => this.#onStore(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(`The thread of the database failed: ${event.message}`));
    };
    const settings = { config: this.#flags.config, env: Deno.env.toObject() };
    const author = authorName(this.#terminal) ?? "";
    this.#tell({ kind: "open", opening: { path: this.#state.path, author, settings } });
  }

  #onStore(message: FromStore): void {
    if (message.kind === "fault" && message.isFinal) return this.#fail(new CommandFailed(message.message));
    // A start is waited for as what comes of a key is.
    if (message.kind === "opened") this.#keyAtMs = performance.now();
    this.#happen({ kind: "store", message });
  }

  #tell(message: ToStore): void {
    this.#worker.postMessage(message);
  }

  async #readKeys(): Promise<void> {
    const decoder = new KeyDecoder();
    const buffer = new Uint8Array(4_096);
    let timer: ReturnType<typeof setTimeout> | null = null;
    for (let size = await this.#read(buffer); size !== null; size = await this.#read(buffer)) {
      if (this.#over.signal.aborted) return;
      if (timer !== null) clearTimeout(timer);
      this.#keyAtMs = performance.now();
      for (const input of decoder.push(buffer.subarray(0, size))) this.#happen(input);
      this.#drawPending();
      timer = !decoder.isPending ? null : setTimeout(() => {
        for (const input of decoder.flush()) this.#happen(input);
      }, ESCAPE_MS);
    }
  }

  #happen(event: Event): void {
    const [state, effects] = this.#update(this.#state, event);
    const isOther = state !== this.#state;
    this.#state = state;
    for (const effect of effects) this.#do(effect);
    if (isOther || effects.length > 0) this.#drawSoon();
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case "ask":
        return this.#tell(effect);
      case "explain":
        this.#link?.explain(effect).then((lines) =>
          this.#happen({ kind: "explained", title: `${effect.name} ${effect.type}`, lines })
        );
        return;
      case "suspend":
        return this.#suspend();
      case "redraw":
        return this.#tty.forget();
      case "quit":
        return this.#end.resolve(0);
    }
  }

  /**
   * Goes to the shell. What continues the process is heard of as a signal; where there is no shell that could, the system
   * doesn't stop it, and so it comes back by itself.
   */
  #suspend(): void {
    if (!this.#tty.suspend()) return this.#comeBack();
    this.#comingBack ??= setTimeout(() => this.#comeBack(), STOP_MS);
  }

  /** After a stop, whoever made it: the terminal may have another size, and the shell has written on it. */
  #comeBack(): void {
    if (this.#comingBack !== null) clearTimeout(this.#comingBack);
    this.#comingBack = null;
    this.#tty.leave();
    this.#tty.enter();
    this.#happen({ kind: "resized", ...this.#tty.size });
  }

  #drawPending(): void {
    if (this.#drawing === null) return;
    clearTimeout(this.#drawing);
    this.#drawing = null;
    this.#draw();
  }

  #drawSoon(): void {
    if (this.#drawing !== null) return;
    const now = performance.now();
    // What a person has asked for is drawn as soon as it is there.
    const isAwaited = now - this.#keyAtMs < AWAITED_MS;
    const wait = isAwaited ? 0 : Math.max(0, this.#drawnAtMs + FRAME_MS - now);
    this.#drawing = setTimeout(() => {
      this.#drawing = null;
      this.#draw();
    }, wait);
  }

  #draw(): void {
    try {
      this.#tty.draw(this.#frameOf(this.#state, { colour: this.#colour }));
    } catch (error) {
      return this.#fail(error);
    }
    this.#drawnAtMs = performance.now();
    if (this.#state.pools.isRead) this.#rows.resolve();
  }
}
