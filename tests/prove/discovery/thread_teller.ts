/**
 * Loaded into each thread of a node that is watched, before the thread's own entry: says what is in its heap when it is asked.
 *
 * @module
 */
import { CHANNEL, memoryOf } from "./thread_memory.ts";

const channel = new BroadcastChannel(CHANNEL);
const { name } = globalThis as unknown as { readonly name: string };
channel.onmessage = ({ data: asked }) => {
  // What another thread has said comes here, too.
  if (typeof asked === "number") channel.postMessage({ asked, memory: memoryOf(name) });
};
