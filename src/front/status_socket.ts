/**
 * The socket on which a balancer tells what it knows: whoever connects gets JSON, an object a line, and then the end. Nothing
 * is asked.
 *
 * @module
 */

/** Readers at the same time; what more come wait in the kernel. */
const READERS_MAX = 4;
/** Milliseconds that a reader has for a part, after which it is left. */
const PATIENCE_MS = 10_000;
/** Bytes that are written at once, about. */
const PART_BYTES = 64 * 1024;

/** What is told, and what hears of faults. */
export interface StatusSocketOptions {
  /** Begins to tell. */
  rows(): AsyncIterable<object>;
  /** Hears why it can't be told. */
  onError(reason: string): void;
}

/** A listening status socket. Disposing closes it and removes its file. */
export class StatusSocket implements Disposable {
  /** Where it is. */
  readonly path: string;
  readonly #options: StatusSocketOptions;
  #listener: Deno.UnixListener | null = null;
  /** What is told at the moment, a reader each. */
  readonly #telling = new Set<Promise<void>>();
  #opened = 0;
  #isOpening = false;
  #isOver = false;

  private constructor(path: string, options: StatusSocketOptions) {
    this.path = path;
    this.#options = options;
  }

  /** Listens at a path, in the place of a socket that nothing listens at any more. */
  static open(path: string, options: StatusSocketOptions): StatusSocket {
    const socket = new StatusSocket(path, options);
    socket.reopen();
    return socket;
  }

  /** Listens again, where the file is gone. */
  reopen(): void {
    void this.#reopen();
  }

  /** Closes it and removes its file. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    if (this.#listener === null) return;
    this.#listener.close();
    remove(this.path);
  }

  async #reopen(): Promise<void> {
    // One at a time: the second would find the first one's socket, or leave it listening where nothing leads to.
    if (this.#isOpening) return;
    this.#isOpening = true;
    try {
      this.#listener?.close();
      this.#listener = null;
      if (await isAnswered(this.path)) throw new Error("another balancer serves it in this directory");
      if (this.#isOver) return;
      // Under a name of its own each time: a listener that was closed removes the file that it has made, some time later.
      const aside = `${this.path}.${Deno.pid}.${++this.#opened}`;
      remove(aside);
      this.#listener = Deno.listen({ transport: "unix", path: aside });
      Deno.renameSync(aside, this.path);
      void this.#accept(this.#listener);
    } catch (error) {
      this.#options.onError((error as Error).message);
    } finally {
      this.#isOpening = false;
    }
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    try {
      for await (const reader of listener) {
        const telling: Promise<void> = this.#tell(reader).catch(() => {}).finally(() =>
          void this.#telling.delete(telling)
        );
        this.#telling.add(telling);
        while (this.#telling.size >= READERS_MAX) await Promise.race(this.#telling);
      }
    } catch (error) {
      if (!this.#isOver) this.#options.onError((error as Error).message);
    }
  }

  async #tell(reader: Deno.UnixConn): Promise<void> {
    using _ = { [Symbol.dispose]: () => reader.close() };
    const writer = reader.writable.getWriter();
    let part = "";
    for await (const row of this.#options.rows()) {
      part += `${JSON.stringify(row)}\n`;
      if (part.length < PART_BYTES) continue;
      await inTime(writer.write(new TextEncoder().encode(part)));
      part = "";
    }
    await inTime(writer.write(new TextEncoder().encode(part)));
  }
}

async function inTime(work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("The reader doesn't read")), PATIENCE_MS);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Whether a socket is there that something listens at. */
async function isAnswered(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
