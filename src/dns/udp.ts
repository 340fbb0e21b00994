/**
 * The portable UDP transport, on `Deno.listenDatagram`.
 *
 * Several loops read from one socket, each with buffers of its own: while one waits for its answer to be handed to
 * the kernel, another already takes the next packet. Nothing is queued by us: what we are too slow for waits in
 * the socket's buffer, and beyond it the kernel drops it.
 *
 * @module
 */
import { COUNTER } from "./counters.ts";
import { UDP_SIZE_MAX } from "./engine.ts";
import { type Exchange } from "./exchange.ts";

/** Loops per socket: two hide the wait for `send`; more bring nothing measurable on one thread. */
const LOOPS = 4;
/** Queries are short; what is longer than this loses its tail and is answered FORMERR. */
const QUERY_MAX = 4096;

/** Answers everything that arrives, until the socket is closed. */
export async function serveUdp(socket: Deno.DatagramConn, exchange: Exchange): Promise<void> {
  await Promise.all(Array.from({ length: LOOPS }, () => answerLoop(socket, exchange)));
}

async function answerLoop(socket: Deno.DatagramConn, exchange: Exchange): Promise<void> {
  const buffer = new Uint8Array(QUERY_MAX);
  const out = new Uint8Array(UDP_SIZE_MAX);
  for (;;) {
    const received = await receive(socket, buffer);
    if (!received) return;
    const [packet, from] = received;
    const size = exchange.answerDatagram(packet, from as Deno.NetAddr, out);
    if (size === 0) continue;
    try {
      await socket.send(out.subarray(0, size), from);
    } catch {
      exchange.count(COUNTER.sendErrors); // the client's network said no; it will ask again
    }
  }
}

/** The next packet; `null` when the socket was closed. */
async function receive(
  socket: Deno.DatagramConn,
  buffer: Uint8Array,
): Promise<[Uint8Array, Deno.Addr] | null> {
  for (;;) {
    try {
      return await socket.receive(buffer);
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return null;
      // An ICMP error for an earlier answer shows up here on some systems; the socket itself is fine.
      if (!(error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset)) {
        throw error;
      }
    }
  }
}
