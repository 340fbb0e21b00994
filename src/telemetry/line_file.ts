/**
 * A file that lines are appended to, off the caller's path: lines wait in memory, at most so many bytes of them, while
 * the ones before are written.
 *
 * Before each write the path is looked at: a file that was moved away or removed is let go and begun again, so log
 * rotation needs no signal. What can't be written is said once, and once more when it can be again.
 *
 * @module
 */

/** Who hears what becomes of lines. */
export interface LineFileOptions {
  /** Where they go; the folder must exist. */
  readonly path: string;
  /** Told how many were written. */
  readonly onWritten: (lines: number) => void;
  /** Told how many were lost because the file can't be written. */
  readonly onLost: (lines: number) => void;
  /** Told of the first failure after success, or at all. */
  readonly onFault: (error: Error) => void;
  /** Told of the first success after a failure. */
  readonly onMended: () => void;
}

/** Characters of lines that wait at most: some ten thousand lines. */
const WAITING_MAX = 4 << 20;
/** Longest wait for the last lines when it is disposed of, milliseconds: a path may be a pipe that isn't read. */
const STOP_MS = 1_000;

/** Appends lines. */
export class LineFile implements AsyncDisposable {
  readonly #options: LineFileOptions;
  #waiting: string[] = [];
  #waitingSize = 0;
  #writing: Promise<void> | null = null;
  #open: { readonly file: Deno.FsFile; readonly info: Deno.FileInfo } | null = null;
  #isFaulty = false;
  /** Whether the last write ended within a line. */
  #isTorn = false;

  /** Opens nothing before the first line. */
  constructor(options: LineFileOptions) {
    this.#options = options;
  }

  /** Takes a line without its break; false = too many wait. */
  append(line: string): boolean {
    if (this.#waitingSize + line.length > WAITING_MAX) return false;
    this.#waitingSize += line.length;
    this.#waiting.push(line);
    this.#writing ??= this.#writeAll();
    return true;
  }

  /** Writes what waits, and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    const deadline = Promise.withResolvers<void>();
    const timer = setTimeout(deadline.resolve, STOP_MS);
    await Promise.race([this.#writing, deadline.promise]);
    clearTimeout(timer);
    this.#close();
  }

  async #writeAll(): Promise<void> {
    // Lines of the same turn of the event loop are written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingSize = 0;
      await this.#write(lines);
    }
    this.#writing = null;
  }

  async #write(lines: readonly string[]): Promise<void> {
    try {
      const file = await this.#current();
      const text = `${this.#isTorn ? "\n" : ""}${lines.join("\n")}\n`;
      const bytes = new TextEncoder().encode(text);
      for (let written = 0; written < bytes.length;) {
        written += await file.write(bytes.subarray(written));
        this.#isTorn = written < bytes.length;
      }
      this.#options.onWritten(lines.length);
      if (this.#isFaulty) this.#options.onMended();
      this.#isFaulty = false;
    } catch (error) {
      this.#close();
      this.#options.onLost(lines.length);
      if (!this.#isFaulty) this.#options.onFault(error as Error);
      this.#isFaulty = true;
    }
  }

  async #current(): Promise<Deno.FsFile> {
    const { path } = this.#options;
    const found = await Deno.stat(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    });
    const { info } = this.#open ?? {};
    if (this.#open && found?.dev === info?.dev && found?.ino === info?.ino) return this.#open.file;
    this.#close();
    this.#isTorn = false;
    const file = await Deno.open(path, { append: true, create: true, mode: 0o640 });
    this.#open = { file, info: await file.stat() };
    return file;
  }

  #close(): void {
    this.#open?.file.close();
    this.#open = null;
  }
}
