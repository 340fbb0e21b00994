/**
 * How V8 collects garbage in the executable, and in the nodes that proofs and tests start from the sources.
 *
 * A worker that answers DNS allocates next to nothing, and its heap of 9 MB needs no full collection. Left alone V8 makes one
 * all the same, when the process is quiet for eight seconds or as soon as the heap has doubled, and each keeps the worker from
 * answering for 15 to 40 ms when both processors are busy. So heaps begin with room. More of it is memory: with 64 MB a node grew by
 * 100 to 160 MiB when four others told it all they knew at once, with 32 by 56 to 96 (2026-11). And no heap is made smaller in
 * passing: in the main thread that was the longest turn of all, 20 ms ten seconds after the start of a node with 100,000 services,
 * whose heap of 60 MiB became one of 30; other collections of it take half of that.
 *
 * To collect a heap as soon as it has grown by 40 % (`--heap-growing-percent`), and not only when it has doubled and more, makes less
 * of that, 14 to 41 MiB. But then one of the collections, 90 to 200 ms with both processors busy, falls into that time, and probes
 * wait for it.
 *
 * V8 marks what is still used in small steps, so that other work comes between them. But it asks for each step as a task, each of which asks
 * for the next, and Deno carries out all tasks there are before it goes on: together they are one turn of 20 to 50 ms in the main
 * thread of a node that takes a hundred registrations a second. Without tasks the steps are taken where memory is asked for.
 *
 * What is new has a space of its own, which V8 makes larger while more of it stays in use: of a node that takes a hundred registrations
 * a second the main thread's and the one that answers for discovery grew for six minutes, by 65 MiB, and each of their collections took
 * longer. With 8 MB of it at most, half as much, the node has 214 instead of 280 MiB after four minutes, and its longest turn is
 * 18 ms instead of 28; 4 MB were too few when a node learns what others know, since more is taken for old that isn't.
 *
 * @module
 */

/** For `deno run --v8-flags=` and `deno compile --v8-flags=`. */
export const V8_FLAGS =
  "--v8-flags=--no-memory-reducer,--initial-old-space-size=32,--no-incremental-marking-task," +
  "--max-semi-space-size=8";
