/** @module Signals that depend on several others, also after garbage was collected. */
import { deepEqual, equal } from "node:assert/strict";
import { setImmediate } from "node:timers";
import { fileURLToPath } from "node:url";
import { anySignal } from "../src/any_signal.ts";

declare const gc: () => void;

if (import.meta.main) console.log(JSON.stringify(await behaviour()));

/** What is seen where garbage can be collected at will (`--expose-gc`). */
async function behaviour(): Promise<object> {
  const [first, second, quiet] = [new AbortController(), new AbortController(), new AbortController()];
  const told: unknown[] = [];
  // In functions of their own, so that nothing here holds the signals.
  const listen = () => {
    const signal = anySignal([first.signal, second.signal]);
    signal.addEventListener("abort", () => told.push(signal.reason), { once: true });
  };
  const timed = () => {
    const signal = anySignal([quiet.signal, AbortSignal.timeout(200)]);
    return new Promise<string>((resolve) => {
      signal.addEventListener("abort", () => resolve(signal.reason.name));
    });
  };
  const leave = () => {
    const signal = anySignal([quiet.signal, first.signal]);
    const listener = () => {};
    signal.addEventListener("abort", listener);
    signal.addEventListener("abort", listener);
    signal.removeEventListener("abort", listener);
    return new WeakRef(signal);
  };
  for (let i = 0; i < 10; i++) listen();
  const timeOut = timed();
  const left = Array.from({ length: 10 }, leave);
  for (let turn = 0; turn < 3; turn++) {
    // What a turn of the event loop has looked at through a weak reference is held until its end.
    await new Promise((resolve) => setImmediate(resolve));
    gc();
  }
  const held = left.filter((each) => each.deref() !== undefined).length;
  second.abort("why");
  return { told, timeOut: await timeOut, held };
}

Deno.test("who listens to a signal of several is told, whatever was collected; who has left doesn't hold it", async () => {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--v8-flags=--expose-gc", fileURLToPath(import.meta.url)],
  }).output();
  const seen = new TextDecoder().decode(stdout);
  equal(seen.startsWith("{"), true, new TextDecoder().decode(stderr));
  deepEqual(JSON.parse(seen), { told: Array(10).fill("why"), timeOut: "TimeoutError", held: 0 });
});

Deno.test("a signal of one that is aborted is aborted, and whoever comes late isn't held", () => {
  const signal = anySignal([new AbortController().signal, AbortSignal.abort("gone")]);
  equal(signal.reason, "gone");
  signal.addEventListener("abort", () => {});
  equal(signal.aborted, true);
});
