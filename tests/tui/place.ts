/**
 * A folder with a database, and a terminal in that folder, where the terminal UI is started.
 *
 * @module
 */
import { ROOT } from "../../scripts/process.ts";
import { Store } from "../../src/store/store.ts";
import { executableOrSources } from "../programs.ts";
import { type TerminalOptions, TmuxTerminal } from "./driver.ts";
import { fill, type Filling } from "./store_fixture.ts";

/** What starts the terminal UI from the sources. */
export const FROM_SOURCES: string = `${Deno.execPath()} run -A --quiet --unstable-net ${ROOT}/main.ts tui`;
/** What starts it as soon as can be. */
export const TUI: string = executableOrSources() === null ? FROM_SOURCES : `${executableOrSources()} tui`;

/** A folder with a database, and a terminal in that folder. */
export class Place implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly path: string,
    readonly ids: Readonly<Record<string, string>>,
    readonly terminal: TmuxTerminal,
  ) {}

  static async make(filling: Filling = {}, options: TerminalOptions = {}): Promise<Place> {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/pleiades.db`;
    const ids = Object.keys(filling).length === 0 ? {} : fill(path, filling);
    const terminal = await TmuxTerminal.open({ ...options, env: { ...NO_NODE, ...options.env } });
    await terminal.press(`cd ${folder}; clear`, "Enter");
    return new Place(folder, path, ids, terminal);
  }

  /** What the database holds, as one reads it. */
  read<Result>(look: (store: Store) => Result): Result {
    using store = Store.open(this.path);
    return look(store);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminal[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Nothing listens on port 1. */
const NO_NODE = { PLEIADES_API_URL: "http://127.0.0.1:1" };
