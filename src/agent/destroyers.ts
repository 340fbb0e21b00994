/**
 * What ends the machines of servers that are removed: a program of the operator's, or a service.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import type { Destroyer } from "./ports.ts";

/** A program that ends machines. */
export interface DestroyCommand {
  /** Its path. */
  readonly program: string;
  /** What it gets in front of the addresses. */
  readonly args: readonly string[];
  /** Longest time that it may take, milliseconds; then it is killed. */
  readonly timeoutMs: number;
}

/** Most characters of what a program or a service says, in a message. */
const SAID_MAX = 200;

/** Bytes of what a program says that are kept; it may say any number of them. */
const KEPT_BYTES = 4_096;

/**
 * What a program that is to end has, milliseconds, before it is killed: an operator's lock is to be gone within a second. And
 * what is waited for the last words of one that has ended, since others may hold its pipe open.
 */
const END_MS = 500;

/**
 * Runs a program with the addresses as its last arguments; any exit code but 0 is a failure.
 *
 * The round goes on when the program has ended, or is killed: what it has started itself may live on, and isn't waited for.
 */
export function commandDestroyer({ program, args, timeoutMs }: DestroyCommand): Destroyer {
  return {
    async destroy(addresses, signal) {
      signal.throwIfAborted();
      const child = started(program, [...args, ...addresses]);
      const said = new Said(child.stderr);
      const over = new AbortController();
      let kill: ReturnType<typeof setTimeout> | undefined;
      const end = () => {
        if (over.signal.aborted) return;
        over.abort();
        send(child, "SIGTERM");
        kill = setTimeout(() => send(child, "SIGKILL"), END_MS);
      };
      const late = setTimeout(end, timeoutMs);
      signal.addEventListener("abort", end);
      try {
        const { success, code, signal: endedBy } = await child.status;
        signal.throwIfAborted();
        if (over.signal.aborted) {
          throw new Error(`${program} wasn't done within ${timeoutMs} ms, and was ended`);
        }
        if (success) return;
        const how = endedBy === null ? `exit code ${code}` : `signal ${endedBy}`;
        throw new Error(`${program} failed with ${how}: ${shortened(await said.text())}`);
      } finally {
        clearTimeout(late);
        clearTimeout(kill);
        signal.removeEventListener("abort", end);
        await said.end();
      }
    },
  };
}

function started(program: string, args: readonly string[]): Deno.ChildProcess {
  try {
    return new Deno.Command(program, { args: [...args], stdin: "null", stdout: "null", stderr: "piped" })
      .spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new Error(
      `${program} may not be run: the executable runs /etc/pleiades/destroy and nothing else (agent.destroy.command)`,
    );
  }
}

function send(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** What a program says on its standard error: read as it comes, so that it is never held up, and its beginning kept. */
class Said {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #reading: Promise<void>;
  readonly #decoder = new TextDecoder();
  #text = "";
  #size = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.#reading = this.#read().catch(() => {}); // what can't be read wasn't said
  }

  /** What was said, of a program that has ended. */
  async text(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, END_MS));
    await Promise.race([this.#reading, late]);
    clearTimeout(timer);
    return this.#text;
  }

  /** Reads no more. */
  async end(): Promise<void> {
    await this.#reader.cancel();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      if (this.#size >= KEPT_BYTES) continue;
      this.#size += value.length;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }
}

/** A service that ends machines. */
export interface DestroyWebhook {
  /** Where the addresses are posted. */
  readonly url: string;
  /** Signs the post. */
  readonly secret: string;
  /** Longest wait for its answer, milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Posts `{"destroy": [ADDRESS, …]}`; any status but 2xx is a failure. `Pleiades-Signature` is `sha256=` and the HMAC of the
 * body in hexadecimal digits.
 */
export function webhookDestroyer({ url, secret, timeoutMs }: DestroyWebhook): Destroyer {
  return {
    async destroy(addresses, signal) {
      const body = JSON.stringify({ destroy: addresses });
      const [over, late] = [new AbortController(), AbortSignal.timeout(timeoutMs)];
      const end = () => over.abort();
      for (const each of [signal, late]) each.addEventListener("abort", end);
      try {
        signal.throwIfAborted();
        const response = await fetch(url, {
          method: "POST",
          body,
          redirect: "error",
          signal: over.signal,
          headers: {
            "content-type": "application/json",
            "pleiades-signature": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
          },
        });
        await response.body?.cancel();
        if (!response.ok) throw new Error(`the webhook answered ${response.status}`);
      } catch (error) {
        signal.throwIfAborted();
        const { origin } = new URL(url);
        if (late.aborted) throw new Error(`${origin} didn't answer within ${timeoutMs} ms`);
        throw new Error(`${origin} didn't destroy ${addresses.join(", ")}`, { cause: error });
      } finally {
        for (const each of [signal, late]) each.removeEventListener("abort", end);
      }
    },
  };
}

function shortened(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, " ");
  return line.length > SAID_MAX ? `${line.slice(0, SAID_MAX)}…` : line || "it said nothing";
}
