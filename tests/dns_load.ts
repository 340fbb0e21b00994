/**
 * Load on a real node by dnsperf, at a rate that is offered whatever comes back, and what dnsperf saw of it.
 *
 * @module
 */
import type { SocketAddress } from "../src/ip.ts";
import { program } from "./programs.ts";

/** What to ask. */
export interface LoadOptions {
  /** Who is asked. */
  readonly server: SocketAddress;
  /** As dnsperf reads them, such as `www.example.org A`; asked in turn. */
  readonly questions: readonly string[];
  /** Queries a second. */
  readonly perSecond: number;
  /** How long at most. */
  readonly seconds: number;
}

/** What dnsperf saw. */
export interface LoadReport {
  /** Queries sent. */
  readonly sent: number;
  /** Queries answered a second. */
  readonly perSecond: number;
  /** Queries without an answer within five seconds. */
  readonly lost: number;
  /** Such as `NOERROR 100 (100.00%)`. */
  readonly codes: string;
}

/** Queries under way at most: 50 ms at 20,000 a second. */
const OUTSTANDING = 1000;
/** Kibibytes; where it is too small, it is dnsperf that loses answers. */
const SOCKET_BUFFER = 4096;

/** A running dnsperf. Disposing kills it. */
export class DnsLoad implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: Promise<string>;
  readonly #folder: string;

  private constructor(child: Deno.ChildProcess, folder: string) {
    this.#child = child;
    this.#output = new Response(child.stdout).text();
    this.#folder = folder;
  }

  /**
   * Starts it.
   *
   * @throws {Error} when this machine has no dnsperf
   */
  static async start({ server, questions, perSecond, seconds }: LoadOptions): Promise<DnsLoad> {
    const dnsperf = program("dnsperf");
    if (!dnsperf) throw new Error("dnsperf is missing (Debian: apt-get install dnsperf)");
    const folder = await Deno.makeTempDir({ prefix: "pleiades-load-" });
    await Deno.writeTextFile(`${folder}/questions`, questions.map((question) => `${question}\n`).join(""));
    const args = [
      ...["-s", server.hostname, "-p", server.port, "-d", `${folder}/questions`],
      ...["-l", seconds, "-Q", perSecond, "-q", OUTSTANDING, "-b", SOCKET_BUFFER],
    ];
    const command = new Deno.Command(dnsperf, {
      args: args.map(String),
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    });
    return new DnsLoad(command.spawn(), folder);
  }

  /** What it saw, once its time is over. */
  async report(): Promise<LoadReport> {
    const output = await this.#output;
    const figure = (label: string) => Number(new RegExp(`${label}:\\s+([\\d.]+)`).exec(output)?.[1] ?? NaN);
    return {
      sent: figure("Queries sent"),
      perSecond: figure("Queries per second"),
      lost: figure("Queries lost"),
      codes: /Response codes:\s+(.*)/.exec(output)?.[1] ?? "none",
    };
  }

  /** Ends it before its time; queries under way count neither as answered nor as lost. */
  async stop(): Promise<LoadReport> {
    this.#signal("SIGINT");
    return await this.report();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal("SIGKILL");
    await this.#output;
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
  }
}

/** Whether queries were sent, none was lost and every answer was NOERROR. */
export function isFlawless({ sent, lost, codes }: LoadReport): boolean {
  return sent > 0 && lost === 0 && /^NOERROR \d+ \(100\.00%\)$/.test(codes);
}

/** Prints what it saw, a figure a line. */
export function printLoad({ sent, perSecond, lost, codes }: LoadReport): void {
  console.log(`queries sent       ${sent} (${perSecond.toFixed(0)} answered per second)`);
  console.log(`queries lost       ${lost}`);
  console.log(`response codes     ${codes}`);
}
