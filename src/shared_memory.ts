/**
 * Shared memory that is read at random: tables of a million names, databases of places.
 *
 * A look-up in it touches a few places anywhere, and with pages of 4 KiB the processor has to find each of these pages
 * first, which takes as long as fetching what is there. In huge pages (2 MiB, `madvise(2)`) it knows them all: with a
 * million names an answer takes a quarter less of our own time (docs/performance.md). Linux gives them to a program
 * that asks, as long as `/sys/kernel/mm/transparent_hugepage/enabled` isn't `never`; elsewhere nothing changes.
 *
 * @module
 */
import { openLibc } from "./libc.ts";

/** Smaller buffers stay in the processor's own list of pages; and up to 2 MiB at each end can't be in a huge page. */
const HUGE_BYTES_MIN = 16 << 20;
const PAGE_BYTES = 4096;
const MADV_HUGEPAGE = 14;

const SYMBOLS = {
  madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** A new buffer, all zero, in huge pages where that pays and where the system has them. */
export function createShared(bytes: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes);
  if (bytes >= HUGE_BYTES_MIN && Deno.build.os === "linux") askForHugePages(buffer);
  return buffer;
}

/** Before anything is written: pages that are there already would stay as they are. */
function askForHugePages(buffer: SharedArrayBuffer): void {
  try {
    using libc = openLibc(SYMBOLS);
    const start = Number(addressOf(buffer));
    const from = Math.ceil(start / PAGE_BYTES) * PAGE_BYTES;
    const to = Math.floor((start + buffer.byteLength) / PAGE_BYTES) * PAGE_BYTES;
    // What the kernel says doesn't matter: without huge pages the buffer is as good, only slower.
    libc.symbols.madvise(Deno.UnsafePointer.create(BigInt(from)), BigInt(to - from), MADV_HUGEPAGE);
  } catch {
    // Another C library, or no permission for foreign functions: likewise.
  }
}

/** Where a buffer lies in this process. */
export function addressOf(buffer: SharedArrayBuffer): bigint {
  // Shared memory has an address like any other; the types only know of the other kind.
  const bytes: Uint8Array = new Uint8Array(buffer);
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>));
}
