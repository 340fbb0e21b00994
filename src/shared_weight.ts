/**
 * What shared memory weighs for the garbage collector.
 *
 * @module
 */

/**
 * A weight as large as these buffers, for whatever keeps them to hold as well. The garbage collector counts what a
 * thread allocates, and runs when that has grown, but it doesn't count shared memory: without a weight old snapshots lie
 * about, by the dozen, until something else makes it run. A weight is counted and costs nothing, since it is
 * never touched, and, being resizable, is mapped rather than cut from memory that has to be cleared.
 */
export function weightOf(buffers: readonly SharedArrayBuffer[]): ArrayBuffer {
  const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  return new ArrayBuffer(bytes, { maxByteLength: bytes });
}
