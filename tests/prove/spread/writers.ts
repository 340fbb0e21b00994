/**
 * Nodes that say what they find at many addresses, in a process of their own: `writers.ts SERVER NODES ADDRESSES`. Says `ready`
 * when they have found it, and ends when its input does.
 *
 * @module
 */
import { startPeer } from "../../cluster/nodes.ts";
import { foundAt, HEARTBEATS } from "./found.ts";

const [server = "", nodes = "", addresses = ""] = Deno.args;
await using writers = new AsyncDisposableStack();
for (let node = 1; node <= Number(nodes); node++) {
  const writer = writers.use(startPeer(`w${node}`, [server], HEARTBEATS));
  writer.local.say(foundAt(Number(addresses)));
}
console.log("ready");
for await (const _ of Deno.stdin.readable) { /* it says nothing but its end */ }
