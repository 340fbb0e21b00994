/** @module What a thread of a node that is watched has in memory, and how it is asked for that (`threads.ts`). */

/** The channel over which they are asked, and answer. */
export const CHANNEL = "memory of threads";

/** A thread's heap, bytes. */
export interface ThreadMemory {
  readonly name: string;
  readonly heapUsed: number;
  readonly heapTotal: number;
  /** Buffers outside of the heap, as far as the collector knows of them. */
  readonly external: number;
}

/** What this thread has. */
export function memoryOf(name: string): ThreadMemory {
  const { heapUsed, heapTotal, external } = Deno.memoryUsage();
  return { name, heapUsed, heapTotal, external };
}
