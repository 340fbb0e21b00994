/**
 * A DNS fleet by itself, for measurements from outside: answers 10,000 names on 127.0.0.1, prints the port, and ends
 * with its stdin. The one argument is the UDP transport.
 *
 * @module
 */
import { Loopback, type LoopbackOptions } from "../tests/dns/loopback.ts";
import { tenThousandNames } from "./dns_names.ts";

if (import.meta.main) {
  await using node = await Loopback.start(tenThousandNames(), {
    transport: Deno.args[0] as LoopbackOptions["transport"],
    onLog: (line) => console.error(line),
  });
  console.log(node.address.port);
  await Deno.stdin.readable.pipeTo(new WritableStream());
}
