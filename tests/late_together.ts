/**
 * A thread that was kept from its event loop, where bytes have come and time is over by now. Deno 2.6 tells of the bytes first.
 *
 * @module
 */

/**
 * Whether this run time tells of bytes before it runs timers, and runs those that were cleared meanwhile; Deno 2.9.6 runs timers
 * first.
 */
export const TELLS_OF_BYTES_FIRST = Deno.version.deno.localeCompare("2.9.0", "en", { numeric: true }) < 0;

/** How long the thread is kept, milliseconds: time is the subject. */
const KEPT_MS = 20;

/** Keeps this thread from its event loop. */
export function keepThread(ms: number = KEPT_MS): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/**
 * Sets timers, and does something in the turn of the event loop in which they are due; resolves when they have run, if they do.
 * On a busy machine the bytes may come a turn later.
 *
 * @param set timers of a few milliseconds
 * @param meanwhile what bytes that come in the same turn bring about
 */
export async function lateTogether(set: () => void, meanwhile: () => void): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  using client = await Deno.connect({ hostname: "127.0.0.1", port });
  using server = await listener.accept();
  const byte = new Uint8Array(1);
  const heard = server.read(byte).then(meanwhile);
  set();
  const written = client.write(byte);
  keepThread();
  await Promise.all([heard, written]);
  await new Promise((resolve) => setTimeout(resolve, 1)); // Time is the subject: a timer's turn.
}
