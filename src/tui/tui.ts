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
import { startThread } from "../thread.ts";
import { ESCAPE_MS, KeyDecoder } from "./key_decoder.ts";
import type { FromStore, ToStore } from "./messages.ts";
import { type Effect, type Event, initialState, type State, update } from "./model.ts";
import { NodeLink } from "./node_link.ts";
import { Tty } from "./tty.ts";
import { frameOf } from "./view/frame.tsx";

/** Flags of `tui`. */
export type TuiFlags = ClientOptions & DatabaseOptions;

/** Between two frames, milliseconds: what comes more often is drawn together. */
const FRAME_MS = 20;

/** What a run is made of that tests have fail. */
export interface TuiParts {
  /** What events make of states. */
  readonly update: typeof update;
  /** What states look like. */
  readonly frameOf: typeof frameOf;
}

/** Runs until it is left. @throws {CommandFailed} where there is no terminal, or the database can't be used */
export async function tui(
  flags: TuiFlags,
  terminal: Terminal,
  parts: TuiParts = { update, frameOf },
): Promise<ExitCode> {
  expectTerminal(terminal);
  // Settings take longer to load than all else.
  const path = flags.db ?? (await import("../cli/database_path.ts")).databasePath(flags);
  return await new Session({ ...flags, db: path }, terminal, parts).run();
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
  readonly #parts: TuiParts;
  readonly #tty = new Tty();
  readonly #colour: boolean;
  readonly #over = new AbortController();
  readonly #end = Promise.withResolvers<ExitCode>();
  readonly #link: NodeLink;
  readonly #worker: Worker;
  #state: State;
  #drawnAtMs = -Infinity;
  #drawing: ReturnType<typeof setTimeout> | null = null;

  constructor(flags: TuiFlags & { readonly db: string }, terminal: Terminal, parts: TuiParts) {
    this.#flags = flags;
    this.#parts = parts;
    this.#terminal = terminal;
    this.#colour = terminal.colour;
    const url = flags.api ?? terminal.env("PLEIADES_API_URL") ?? DEFAULT_API_URL;
    this.#state = initialState({ path: flags.db, url, size: this.#tty.size });
    this.#link = new NodeLink(flags, terminal, {
      onServer: (change) => this.#happen({ kind: "server", change }),
      onEvents: (words) => this.#happen({ kind: "happened", words }),
    });
    this.#worker = startThread("tui", "tui store");
  }

  async run(): Promise<ExitCode> {
    using _listening = this.#listen();
    try {
      this.#tty.enter();
      this.#draw();
      this.#openStore();
      this.#readKeys().then(() => this.#end.resolve(0), (error) => this.#fail(error));
      this.#link.follow(this.#over.signal).catch((error) => this.#fail(error));
      return await this.#end.promise;
    } finally {
      this.#over.abort();
      if (this.#drawing !== null) clearTimeout(this.#drawing);
      this.#worker.terminate();
      this.#tty.leave();
    }
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
    this.#tell({
      kind: "open",
      opening: { path: this.#state.path, author: authorName(this.#terminal) ?? "" },
    });
  }

  #onStore(message: FromStore): void {
    if (message.kind === "fault" && message.isFinal) return this.#fail(new CommandFailed(message.message));
    this.#happen({ kind: "store", message });
    if (message.kind === "opened") {
      import("./guard_settings.ts").then(({ guardSettings }) => {
        const guard = guardSettings(this.#flags.config);
        if (guard !== null) this.#tell({ kind: "guard", guard });
      }).catch((error) => this.#fail(error));
    }
  }

  #tell(message: ToStore): void {
    this.#worker.postMessage(message);
  }

  async #readKeys(): Promise<void> {
    const decoder = new KeyDecoder();
    const buffer = new Uint8Array(4_096);
    let timer: ReturnType<typeof setTimeout> | null = null;
    for (let size = await Deno.stdin.read(buffer); size !== null; size = await Deno.stdin.read(buffer)) {
      if (timer !== null) clearTimeout(timer);
      for (const input of decoder.push(buffer.subarray(0, size))) this.#happen(input);
      timer = !decoder.isPending ? null : setTimeout(() => {
        for (const input of decoder.flush()) this.#happen(input);
      }, ESCAPE_MS);
    }
  }

  #happen(event: Event): void {
    const [state, effects] = this.#parts.update(this.#state, event);
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
        this.#link.explain(effect).then((lines) =>
          this.#happen({ kind: "explained", title: `${effect.name} ${effect.type}`, lines })
        );
        return;
      case "suspend":
        this.#tty.suspend();
        return this.#comeBack();
      case "redraw":
        return this.#tty.forget();
      case "quit":
        return this.#end.resolve(0);
    }
  }

  /** After a stop, whoever made it: the terminal may have another size, and the shell has written on it. */
  #comeBack(): void {
    this.#tty.leave();
    this.#tty.enter();
    this.#happen({ kind: "resized", ...this.#tty.size });
  }

  #drawSoon(): void {
    if (this.#drawing !== null) return;
    const wait = Math.max(0, this.#drawnAtMs + FRAME_MS - performance.now());
    this.#drawing = setTimeout(() => {
      this.#drawing = null;
      this.#draw();
    }, wait);
  }

  #draw(): void {
    try {
      this.#tty.draw(this.#parts.frameOf(this.#state, { colour: this.#colour }));
    } catch (error) {
      return this.#fail(error);
    }
    this.#drawnAtMs = performance.now();
  }
}
