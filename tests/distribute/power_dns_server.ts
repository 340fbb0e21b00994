/**
 * A real PowerDNS with its zones in SQLite, on loopback: a primary or a secondary, that can be killed, stopped for a while and
 * started again.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { pause } from "../clock.ts";
import { freePort } from "../free_port.ts";
import { program } from "../programs.ts";

/** The key of the API of every server here. */
export const API_KEY = "key-of-the-api";

/** Where Debian's package has the schema. */
const SCHEMA = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/** An answer of the API. */
export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

/** The server. */
export class PowerDnsServer implements AsyncDisposable {
  /** Of DNS. */
  readonly dnsPort: number = freePort();
  /** Of the API. */
  readonly apiPort: number = freePort();
  readonly #folder: string;
  /** The file of its zones. */
  readonly #database: string;
  readonly #isSecondary: boolean;
  /** Lines of its configuration beside those that all have. */
  readonly #more: readonly string[];
  #child: Deno.ChildProcess | null = null;

  private constructor(folder: string, { database, isSecondary, more }: {
    readonly database: string;
    readonly isSecondary: boolean;
    readonly more: readonly string[];
  }) {
    this.#folder = folder;
    this.#database = database;
    this.#isSecondary = isSecondary;
    this.#more = more;
  }

  /** Starts one; resolves when its API answers. @param more lines of its configuration */
  static async start(
    { isSecondary = false, more = [] }: {
      readonly isSecondary?: boolean;
      readonly more?: readonly string[];
    } = {},
  ): Promise<PowerDnsServer> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-pdns-" });
    const server = new PowerDnsServer(folder, { database: `${folder}/pdns.db`, isSecondary, more });
    using database = new DatabaseSync(server.#database);
    database.exec("PRAGMA journal_mode = WAL");
    database.exec(await Deno.readTextFile(SCHEMA));
    await server.start();
    return server;
  }

  /** Starts another one with the same zones and the same configuration, which is to end before this one. */
  async startAnother(): Promise<PowerDnsServer> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-pdns-" });
    const server = new PowerDnsServer(folder, {
      ...{ database: this.#database, isSecondary: this.#isSecondary, more: this.#more },
    });
    await server.start();
    return server;
  }

  /** Of its process; `null` = it doesn't run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** As settings name its API. */
  get url(): string {
    return `http://127.0.0.1:${this.apiPort}`;
  }

  /** Starts it, or starts it again with its zones. */
  async start(): Promise<void> {
    const config = [
      "launch=gsqlite3",
      `gsqlite3-database=${this.#database}`,
      ...["gsqlite3-dnssec=yes", "gsqlite3-pragma-synchronous=0"],
      ...["local-address=127.0.0.1", `local-port=${this.dnsPort}`],
      ...["api=yes", `api-key=${API_KEY}`, "webserver=yes", "webserver-address=127.0.0.1"],
      `webserver-port=${this.apiPort}`,
      ...["daemon=no", "guardian=no", "disable-syslog=yes", "log-timestamp=no", "loglevel=4"],
      `socket-dir=${this.#folder}`,
      ...["receiver-threads=1", "distributor-threads=2", "expand-alias=no", "security-poll-suffix="],
      ...(this.#isSecondary ? ["secondary=yes", "retrieval-threads=4"] : ["primary=yes"]),
      ...this.#more,
    ];
    await Deno.writeTextFile(`${this.#folder}/pdns.conf`, `${config.join("\n")}\n`);
    this.#child = new Deno.Command(program("pdns_server")!, {
      args: [`--config-dir=${this.#folder}`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let turn = 0;; turn++) {
      const isUp = await this.api("GET", "").then(({ status }) => status === 200, () => false);
      if (isUp) return;
      await pause(turn);
    }
  }

  /** Ends it as a power failure would. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
    this.#child = null;
  }

  /** Sends it a signal, such as `SIGSTOP` and `SIGCONT`. */
  signal(signal: Deno.Signal): void {
    this.#child!.kill(signal);
  }

  /** Calls its API. @param path below the server, such as `/zones` */
  async api(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const response = await fetch(`${this.url}/api/v1/servers/localhost${path}`, {
      method,
      headers: { "X-API-Key": API_KEY },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  }

  /** Works on its database behind its back. */
  sql(statement: string): void {
    using database = new DatabaseSync(this.#database, { timeout: 5_000 });
    database.exec(statement);
  }

  /** Rows that a query gives. */
  rows(query: string): readonly Record<string, unknown>[] {
    using database = new DatabaseSync(this.#database, { timeout: 5_000 });
    return database.prepare(query).all();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
