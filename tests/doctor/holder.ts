/**
 * A program that holds addresses, by UDP and TCP, until it is ended: `holder.ts ADDR:PORT…`.
 *
 * @module
 */
import { parseSocketAddress } from "../../src/ip.ts";

const listeners = Deno.args.map((text) => parseSocketAddress(text)).map((address) => {
  Deno.listenDatagram({ transport: "udp", ...address });
  return Deno.listen(address);
});
console.log(`holding ${listeners.length}`);
for (const listener of listeners) for await (const connection of listener) connection.close();
