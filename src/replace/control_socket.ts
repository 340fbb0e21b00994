/**
 * Where a running node is found by the process that is to take its place: a Unix socket beside the database,
 * `<database>.control`, which only the node's own user may open and use.
 *
 * Whoever connects has a few seconds to say what is wanted; nothing else of the node waits for it.
 *
 * @module
 */
import {
  connectLocally,
  listenLocally,
  type LocalConnection,
  type LocalListener,
} from "../sockets/local_socket.ts";
import type { Logger } from "../telemetry/log.ts";
import { Conversation } from "./conversation.ts";

/** Connections at the same time: one that takes over, and a few that are about to be refused. */
const CONNECTIONS_MAX = 8;

/** Where the control socket of a database lies. */
export function controlPathOf(database: string): string {
  return `${database}.control`;
}

/** What a control socket is opened with. */
export interface ControlSocketOptions {
  /** File of the database that it lies beside; its lock is held. */
  readonly database: string;
  /** Number of this process's user. */
  readonly uid: number;
  /** Speaks with whoever comes; never rejects. */
  readonly converse: (conversation: Conversation) => Promise<void>;
  /** Hears of those that are refused. */
  readonly log: Logger;
}

/** The socket of a running node. Disposing ends what is spoken, and takes the file away. */
export class ControlSocket implements AsyncDisposable {
  readonly #options: ControlSocketOptions;
  readonly #path: string;
  readonly #listener: LocalListener;
  readonly #open = new Set<LocalConnection>();
  readonly #accepting: Promise<void>;
  readonly #conversations = new Set<Promise<void>>();
  #isLeft = false;

  private constructor(options: ControlSocketOptions, path: string, listener: LocalListener) {
    this.#options = options;
    this.#path = path;
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  /**
   * Puts the socket into its place, where a process that crashed, or one that hands over, may have left another.
   *
   * @throws {Error} when it can't be bound
   */
  static open(options: ControlSocketOptions): ControlSocket {
    const path = controlPathOf(options.database);
    // Bound under another name and renamed: whoever connects finds the one or the other.
    const own = `${path}.${Deno.pid}`;
    remove(own);
    const listener = listenLocally(own);
    try {
      Deno.renameSync(own, path);
    } catch (error) {
      listener[Symbol.asyncDispose]();
      remove(own);
      throw error;
    }
    return new ControlSocket(options, path, listener);
  }

  /** Says that the file is another process's from now on, which has put its own there. */
  leave(): void {
    this.#isLeft = true;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isLeft) remove(this.#path);
    await this.#listener[Symbol.asyncDispose]();
    await this.#accepting;
    await Promise.all([...this.#open].map((connection) => connection[Symbol.asyncDispose]()));
    await Promise.all(this.#conversations);
  }

  async #accept(): Promise<void> {
    for (;;) {
      const connection = await this.#listener.accept();
      if (connection === null) return;
      const { pid, uid } = connection.peer;
      const reason = this.#open.size >= CONNECTIONS_MAX
        ? "there are too many"
        : uid !== this.#options.uid && uid !== ROOT
        ? "it is another user's"
        : null;
      if (reason !== null) {
        this.#options.log.warn("A process was refused at the control socket", { pid, uid, reason });
        await connection[Symbol.asyncDispose]();
        continue;
      }
      this.#serve(connection);
    }
  }

  #serve(connection: LocalConnection): void {
    this.#open.add(connection);
    const conversation = new Conversation(connection);
    const spoken = this.#options.converse(conversation).finally(async () => {
      this.#open.delete(connection);
      await conversation[Symbol.asyncDispose]();
      this.#conversations.delete(spoken);
    });
    this.#conversations.add(spoken);
  }
}

const ROOT = 0;

/**
 * Connects to the node that runs on a database; `null` = there is none.
 *
 * @throws {Error} when there is one that can't be reached
 */
export function connectToNode(database: string): Conversation | null {
  try {
    return new Conversation(connectLocally(controlPathOf(database)));
  } catch (error) {
    const isAbsent = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused;
    if (isAbsent) return null;
    throw error;
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
