/**
 * Sends wrong tokens as fast as it is answered, on connections that stay open, each token another one; prints how often each
 * status came, as JSON. A process of its own: `deno run attacker.ts HOST PORT TOKENS CONNECTIONS`.
 *
 * @module
 */
const [hostname = "", port = "", tokens = "", connections = ""] = Deno.args;
const counts: Record<string, number> = {};
let sent = 0;

await Promise.all(Array.from({ length: Number(connections) }, attack));
console.log(JSON.stringify(counts));

async function attack(): Promise<void> {
  using socket = await Deno.connect({ hostname, port: Number(port) });
  const bytes = new Uint8Array(4096);
  while (sent < Number(tokens)) {
    sent++;
    const head =
      `GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong-${crypto.randomUUID()}\r\n\r\n`;
    await socket.write(new TextEncoder().encode(head));
    const status = await answer(socket, bytes);
    counts[status] = (counts[status] ?? 0) + 1;
  }
}

/** Reads one answer to its end; they are short, and there is one at a time. */
async function answer(socket: Deno.TcpConn, bytes: Uint8Array): Promise<string> {
  let text = "";
  for (;;) {
    const size = await socket.read(bytes);
    if (size === null) throw new Error(`The connection was closed after: ${text}`);
    text += new TextDecoder().decode(bytes.subarray(0, size));
    const [head, body] = text.split("\r\n\r\n");
    const length = /content-length: (\d+)/i.exec(head ?? "")?.[1];
    if (
      body !== undefined && (length === undefined ? body.endsWith("0\r\n") : body.length >= Number(length))
    ) {
      return text.slice(9, 12);
    }
  }
}
