/**
 * Memory back to the system after a large apply, and after other nodes have said very much at once.
 *
 * glibc keeps what SQLite has freed for the next one who asks on the same thread; but that thread ends, and a node
 * would carry hundreds of megabytes that aren't used. Likewise it keeps what messages were received into: a node that learnt
 * 40,000 reports had 22 MiB of that (2026-11). It takes 2 to 4 ms.
 *
 * @module
 */

/** Returns the free pages of the C library's heap to the system, where that library is glibc; else does nothing. */
export function trimHeap(): void {
  if (Deno.build.os !== "linux") return;
  try {
    const libc = Deno.dlopen("libc.so.6", { malloc_trim: { parameters: ["usize"], result: "i32" } });
    libc.symbols.malloc_trim(0n);
    libc.close();
  } catch {
    // No glibc, or no permission for FFI: then the memory waits for the next apply.
  }
}
