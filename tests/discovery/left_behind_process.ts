/** @module Runs `left_behind.ts`: only a flag at a process's start makes the collector callable. */
import { fileURLToPath } from "node:url";

/** Bytes that a round of such work leaves behind until the whole heap is collected. */
export async function leftBehind(kind: "answers" | "lists"): Promise<number> {
  const script = fileURLToPath(new URL("left_behind.ts", import.meta.url));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", "--v8-flags=--expose-gc", script, kind],
    stderr: "inherit",
  }).output();
  return Number.parseFloat(new TextDecoder().decode(stdout));
}
