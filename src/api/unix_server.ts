/**
 * HTTP at a unix socket, for programs of this machine: who may connect is what the file system says, so that no token is
 * asked for. Only the socket's owner may, and root (0600).
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { type App, givingWay, HttpConnection, type Patience } from "./http_connection.ts";
import { COMPLAINT_INTERVAL_MS, type ConnectionFate, GRACE_MS, PATIENCE } from "./server.ts";

/** What a server is made of. */
export interface UnixServerOptions {
  /** Where it listens; a socket that stands there is replaced. */
  readonly path: string;
  /** What answers. */
  readonly app: App;
  /** What is borne of clients; `PATIENCE` when left out. */
  readonly patience?: Patience;
  /** Hears of connections that can't be accepted. */
  readonly log: Logger;
  /** Paces what is tried again, and says how long ago that was said. */
  readonly clock: Pick<Clock, "sleep" | "monotonicMs">;
  /** Told what becomes of each connection. */
  readonly observe?: (fate: ConnectionFate) => void;
}

/** Connections at a time; beyond them one that is idle gives way, as at the API's own listener. */
export const UNIX_CONNECTIONS_MAX = 64;
/** After a connection that couldn't be accepted. */
const PAUSE_MS = 100;

/** A listening server. */
export class UnixServer implements AsyncDisposable {
  readonly #options: UnixServerOptions;
  readonly #listener: Deno.UnixListener;
  /** Of the socket: another process may have put its own in its place. */
  readonly #inode: number | null;
  readonly #ending = new AbortController();
  /** In the order in which they were last busy. */
  readonly #connections = new Set<HttpConnection>();
  readonly #accepting: Promise<void>;
  #complainedMs = -Infinity;
  #complaints = 0;

  /**
   * Listens.
   *
   * @throws {Error} with a message for people when it can't
   */
  constructor(options: UnixServerOptions) {
    const { path } = this.#options = options;
    try {
      this.#listener = listen(path);
      this.#inode = inodeOf(path);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Cannot listen at the socket ${path}: ${reason}`, { cause });
    }
    this.#accepting = this.#accept();
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Ends requests under way after their answers, within two seconds, and removes its file. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { path } = this.#options;
    this.#ending.abort();
    this.#listener.close();
    if (this.#inode !== null && inodeOf(path) === this.#inode) Deno.removeSync(path);
    await this.#accepting;
    for (const connection of this.#connections) connection.drain();
    let late: ReturnType<typeof setTimeout> | undefined;
    const tooLate = new Promise((resolve) => late = setTimeout(resolve, GRACE_MS));
    await Promise.race([Promise.all([...this.#connections].map(({ ended }) => ended)), tooLate]);
    clearTimeout(late);
    for (const connection of this.#connections) connection.close();
  }

  async #accept(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        this.#admit(await this.#listener.accept());
      } catch (error) {
        if (signal.aborted) return;
        this.#complain(error);
        await clock.sleep(PAUSE_MS, signal);
      }
    }
  }

  #admit(socket: Deno.UnixConn): void {
    const { app, log, patience = PATIENCE, observe } = this.#options;
    if (this.#connections.size >= UNIX_CONNECTIONS_MAX) {
      const yielding = givingWay([...this.#connections]);
      if (!yielding) {
        observe?.("refused");
        return socket.close();
      }
      observe?.("evicted");
      this.#connections.delete(yielding);
      yielding.close();
    }
    observe?.("accepted");
    const connection = new HttpConnection(socket, {
      ...{ app, log, scheme: "http", patience },
      onRequest: () => {
        // To the end of the order: it is the youngest now.
        if (this.#connections.delete(connection)) this.#connections.add(connection);
      },
      // It counts until its client leaves: nothing else ends what is under way.
      onStalled: () => {},
    });
    this.#connections.add(connection);
    connection.ended.then(() => this.#connections.delete(connection));
  }

  #complain(error: unknown): void {
    const { log, clock, observe, path } = this.#options;
    observe?.("failed");
    this.#complaints++;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#complainedMs < COMPLAINT_INTERVAL_MS) return;
    log.error("Connections to a unix socket can't be accepted; trying again", {
      ...{ socket: path, failures: this.#complaints, error },
    });
    this.#complainedMs = nowMs;
    this.#complaints = 0;
  }
}

/**
 * It is made in a folder that only its owner may enter, so that no one else connects before its mode is set, and takes the
 * place of what a process before this one has left. What is no socket is left alone.
 */
function listen(path: string): Deno.UnixListener {
  const before = infoOf(path);
  if (before !== null && before.isSocket !== true) {
    throw new Error("something else is there (remove it, or name another place)");
  }
  const folder = `${path}.d`;
  removeFolder(folder);
  Deno.mkdirSync(folder, { mode: 0o700 });
  let listener: Deno.UnixListener | null = null;
  try {
    listener = Deno.listen({ transport: "unix", path: `${folder}/s` });
    Deno.chmodSync(`${folder}/s`, 0o600);
    Deno.renameSync(`${folder}/s`, path);
    return listener;
  } catch (error) {
    listener?.close();
    throw error;
  } finally {
    removeFolder(folder);
  }
}

/** Removes what a process that was killed has left, and nothing else. */
function removeFolder(folder: string): void {
  const info = infoOf(folder);
  if (info === null) return;
  const isOurs = info.isDirectory &&
    [...Deno.readDirSync(folder)].every(({ name }) => infoOf(`${folder}/${name}`)?.isSocket === true);
  if (!isOurs) throw new Error(`something else is at ${folder}, where it is made (remove that)`);
  Deno.removeSync(folder, { recursive: true });
}

function inodeOf(path: string): number | null {
  return infoOf(path)?.ino ?? null;
}

function infoOf(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    throw cause;
  }
}
