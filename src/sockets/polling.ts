/**
 * The loop of a thread that serves descriptors.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Poller } from "./stream_sockets.ts";

/** How long the thread itself sleeps, milliseconds; nothing else of it runs meanwhile. */
const NAP_MS = 1;
/** Time after which the event loop gets its turn, milliseconds. */
const TURN_MS = 2;
/** Longest sleep, milliseconds: how late what is timed may be. */
const POLL_MS = 100;

/**
 * Serves what is ready until it is told to stop. As long as something comes the thread itself sleeps for it, and the event
 * loop gets its turn now and then; when nothing comes another thread waits, and the event loop has this one. Waking two
 * threads for every packet costs as much as the packet.
 *
 * @param serve gets how many descriptors are ready, 0 among them; `true` = the event loop has something to do at once
 */
export async function turnUntil(
  signal: AbortSignal,
  poller: Poller,
  serve: (ready: number) => boolean,
): Promise<void> {
  while (!signal.aborted) {
    const turnAtMs = performance.now() + TURN_MS;
    let ready: number;
    let hasToTurn: boolean;
    do {
      ready = poller.nap(NAP_MS);
      hasToTurn = serve(ready);
    } while (ready > 0 && !hasToTurn && performance.now() < turnAtMs);
    if (ready === 0 && !hasToTurn) await poller.wait(POLL_MS);
    else await new Promise((resolve) => void setImmediate(resolve));
  }
}
