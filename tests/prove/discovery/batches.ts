/** @module The same question over UDP so many times, a batch at a time. */
import type { SocketAddress } from "../../../src/ip.ts";

const BATCH = 50;

/** Asks so often; resolves when all are answered. */
export async function askInBatches(
  server: SocketAddress,
  query: Uint8Array,
  queries: number,
): Promise<void> {
  const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
  const buffer = new Uint8Array(2048);
  try {
    for (let sent = 0; sent < queries;) {
      const size = Math.min(BATCH, queries - sent);
      for (let i = 0; i < size; i++, sent++) await socket.send(query, { ...server, transport: "udp" });
      for (let i = 0; i < size; i++) await socket.receive(buffer);
    }
  } finally {
    socket.close();
  }
}
