/**
 * Another program that wants all of a processor: works until its input ends.
 *
 * @module
 */
const SLICE_MS = 20;

let isOver = false;
console.log("ready");
(async () => {
  for await (const _ of Deno.stdin.readable);
  isOver = true;
})();
while (!isOver) {
  for (const endMs = performance.now() + SLICE_MS; performance.now() < endMs;);
  await new Promise((resolve) => setTimeout(resolve, 0));
}
