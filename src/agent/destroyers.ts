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

/** Runs a program with the addresses as its last arguments; any exit code but 0 is a failure. */
export function commandDestroyer({ program, args, timeoutMs }: DestroyCommand): Destroyer {
  return {
    async destroy(addresses, signal) {
      const [over, late] = [new AbortController(), AbortSignal.timeout(timeoutMs)];
      const end = () => over.abort();
      for (const each of [signal, late]) each.addEventListener("abort", end);
      try {
        signal.throwIfAborted();
        const command = new Deno.Command(program, {
          args: [...args, ...addresses],
          stdin: "null",
          stdout: "null",
          stderr: "piped",
          signal: over.signal,
        });
        const { success, code, signal: killedBy, stderr } = await command.output();
        signal.throwIfAborted();
        if (late.aborted) throw new Error(`${program} wasn't done within ${timeoutMs} ms, and was ended`);
        if (success) return;
        const how = killedBy === null ? `exit code ${code}` : `signal ${killedBy}`;
        throw new Error(`${program} failed with ${how}: ${shortened(new TextDecoder().decode(stderr))}`);
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) {
          throw new Error(
            `${program} may not be run: the executable runs /etc/pleiades/destroy and nothing else (agent.destroy.command)`,
          );
        }
        throw error;
      } finally {
        for (const each of [signal, late]) each.removeEventListener("abort", end);
      }
    },
  };
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
