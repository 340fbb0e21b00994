/**
 * HTTP at a unix socket, for programs of this machine: who may connect is what the file system says, so that no token is
 * asked for. Only the socket's owner may, and root (0600).
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { type App, HttpConnection } from "./http_connection.ts";
import { GRACE_MS, PATIENCE } from "./server.ts";

/** What a server is made of. */
export interface UnixServerOptions {
  /** Where it listens; what stands there is replaced. */
  readonly path: string;
  /** What answers. */
  readonly app: App;
  /** Hears of connections that can't be accepted. */
  readonly log: Logger;
  /** Paces what is tried again. */
  readonly clock: Pick<Clock, "sleep">;
}

/** Connections at a time. */
const CONNECTIONS_MAX = 64;
/** After a connection that couldn't be accepted. */
const PAUSE_MS = 100;

/** A listening server. */
export class UnixServer implements AsyncDisposable {
  readonly #options: UnixServerOptions;
  readonly #listener: Deno.UnixListener;
  /** Of the socket: another process may have put its own in its place. */
  readonly #inode: number | null;
  readonly #ending = new AbortController();
  readonly #connections = new Set<HttpConnection>();
  readonly #accepting: Promise<void>;

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
    const { log, clock } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        this.#serve(await this.#listener.accept());
      } catch (error) {
        if (signal.aborted) return;
        log.error("A connection to a unix socket can't be accepted", { socket: this.#options.path, error });
        await clock.sleep(PAUSE_MS, signal);
      }
    }
  }

  #serve(socket: Deno.UnixConn): void {
    if (this.#connections.size >= CONNECTIONS_MAX) return socket.close();
    const { app, log } = this.#options;
    const connection = new HttpConnection(socket, {
      ...{ app, log, scheme: "http", patience: PATIENCE },
      ...{ onRequest: () => {}, onStalled: () => {} },
    });
    this.#connections.add(connection);
    connection.ended.then(() => this.#connections.delete(connection));
  }
}

/** It is made in a folder that only its owner may enter, so that no one else connects before its mode is set. */
function listen(path: string): Deno.UnixListener {
  const folder = `${path}.d`;
  remove(folder);
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
    remove(folder);
  }
}

function inodeOf(path: string): number | null {
  try {
    return Deno.lstatSync(path).ino;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    throw cause;
  }
}

function remove(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
}
