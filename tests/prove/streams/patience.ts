/**
 * A client of the ordinary kind over UDP, which asks on and on while others do what they like.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { UdpClient } from "../../dns/clients.ts";
import { query } from "../../dns/packets.ts";
import { within } from "./within.ts";

/** Pause between an answer and the next query, milliseconds. */
const PAUSE_MS = 5;
/** An answer that takes longer doesn't come. */
const SILENCE_MAX_MS = 5_000;

/** What became of its queries. */
export interface Patience {
  readonly answers: number;
  /** Milliseconds: the median, the longest but one in a hundred, the longest. */
  readonly times: { readonly p50: number; readonly p99: number; readonly most: number };
  /** What went wrong; `null` = nothing did. */
  readonly fault: string | null;
}

/** Asks until `signal` is aborted or an answer is wrong or doesn't come. */
export async function askOnAndOn(server: SocketAddress, signal: AbortSignal): Promise<Patience> {
  const times: number[] = [];
  let fault: string | null = null;
  using client = new UdpClient(server);
  for (let id = 0; fault === null && !signal.aborted; id = (id + 1) & 0xffff) {
    const startMs = performance.now();
    const answer = await within(SILENCE_MAX_MS, client.ask(query("www.example.com", "A", { id })), null);
    times.push(performance.now() - startMs);
    if (answer === null) fault = `no answer over UDP within ${SILENCE_MAX_MS / 1000} s`;
    else if ((answer[0]! << 8 | answer[1]!) !== id || answer[7] !== 1) {
      fault = `the answer over UDP to query ${id} is ${answer.toHex()}`;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0;
  return {
    answers: times.length,
    times: { p50: at(0.5), p99: at(0.99), most: times.at(-1) ?? 0 },
    fault,
  };
}
