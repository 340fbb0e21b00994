/**
 * How V8 collects garbage in the executable, and in the nodes that proofs and tests start from the sources.
 *
 * A worker that answers DNS allocates next to nothing, and its heap of 9 MB needs no full collection. Left alone V8 makes one
 * all the same, when the process is quiet for eight seconds or as soon as the heap has doubled, and each keeps the worker from answering for
 * 15 to 40 ms when both processors are busy. So heaps begin with room, and small ones aren't made smaller in passing.
 *
 * V8 marks what is still used in small steps, so that other work comes between them. But it asks for each step as a task, each of which asks
 * for the next, and Deno carries out all tasks there are before it goes on: together they are one turn of 20 to 50 ms in the main
 * thread of a node with 100,000 services that takes a hundred registrations a second (2026-11). Without tasks the steps are
 * taken where memory is asked for, and the longest turn of a minute is of 20 ms.
 *
 * @module
 */

/** For `deno run --v8-flags=` and `deno compile --v8-flags=`. */
export const V8_FLAGS =
  "--v8-flags=--no-memory-reducer-for-small-heaps,--initial-old-space-size=64,--no-incremental-marking-task";
