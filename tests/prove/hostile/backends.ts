/**
 * Backends that answer a probe in the dearest way that HTTP allows (RFC 9112).
 *
 * @module
 */
import type { Behaviour } from "../../health/backend.ts";

const HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
/** What is sent a piece; a probe is over long before it has read a hundred. */
const PIECE: Readonly<Record<"one byte" | "extensions" | "endless head", string>> = {
  "one byte": "1\r\na\r\n".repeat(10_000),
  "extensions": `1;${"e".repeat(4096)}=1\r\na\r\n`.repeat(16),
  "endless head": `X-Filler: ${"f".repeat(4096)}\r\n`.repeat(16),
};

/** Says what is asked for, for as long as it is listened to. */
export function hostileBackend(kind: keyof typeof PIECE): Behaviour {
  const encoder = new TextEncoder();
  return async (connection) => {
    await connection.read(new Uint8Array(4096));
    await connection.write(encoder.encode(kind === "endless head" ? "HTTP/1.1 200 OK\r\n" : HEAD));
    const piece = encoder.encode(PIECE[kind]);
    for (;;) {
      for (let rest = piece; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
    }
  };
}
