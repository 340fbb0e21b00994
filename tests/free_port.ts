/**
 * Ports for what has to be told its port: a configuration file, a command line.
 *
 * @module
 */

/** Below those that systems give to whoever asks for any (32768 and above): no other test gets one of these meanwhile. */
const FROM = 10_000;
const TO = 32_000;

/** A port of the loopback address that is free over TCP and UDP. */
export function freePort(): number {
  for (;;) {
    const port = FROM + Math.floor(Math.random() * (TO - FROM));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
