/** @module Whether large shared buffers are in huge pages, by what the kernel says of them. */
import { equal, ok } from "node:assert/strict";
import { addressOf, createShared } from "../src/shared_memory.ts";

Deno.test("createShared() asks for huge pages for a large buffer, and not for a small one", () => {
  const large = createShared(64 << 20);
  const small = createShared(1 << 20);
  equal(large.byteLength, 64 << 20);
  if (Deno.build.os !== "linux") return;
  ok(areHugeAskedFor(large));
  ok(!areHugeAskedFor(small));
  ok(new Uint8Array(large).every((byte, i) => i % 4096 !== 0 || byte === 0), "a new buffer isn't all zero");
});

/** Whether the mapping in the middle of a buffer has the flag `hg` (proc_pid_smaps(5)). */
function areHugeAskedFor(buffer: SharedArrayBuffer): boolean {
  const middle = addressOf(buffer) + BigInt(buffer.byteLength >> 1);
  let isHere = false;
  for (const line of Deno.readTextFileSync("/proc/self/smaps").split("\n")) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range) isHere = BigInt(`0x${range[1]}`) <= middle && middle < BigInt(`0x${range[2]}`);
    else if (isHere && line.startsWith("VmFlags:")) return / hg\b/.test(line);
  }
  throw new Error("the buffer's mapping isn't listed");
}
