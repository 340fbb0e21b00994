/**
 * Single keys from the terminal, without Enter; the terminal is as before when they are disposed of.
 *
 * @module
 */

/**
 * Calls `onKey` for each key, a character each. Ctrl-C stays the signal that it is, except on Windows, which hands it
 * over as a character (U+0003).
 *
 * @returns `null` when stdin is no terminal
 */
export function listenForKeys(onKey: (key: string) => void): Disposable | null {
  if (!Deno.stdin.isTerminal()) return null;
  const raw = (on: boolean) =>
    Deno.stdin.setRaw(on, Deno.build.os === "windows" ? undefined : { cbreak: true });
  raw(true);
  let isOver = false;
  void read(onKey, () => isOver);
  return {
    [Symbol.dispose]: () => {
      isOver = true;
      raw(false);
    },
  };
}

/** Ends with the process at the latest: a read from a terminal can't be called off. */
async function read(onKey: (key: string) => void, isOver: () => boolean): Promise<void> {
  const buffer = new Uint8Array(64);
  const decoder = new TextDecoder();
  for (;;) {
    const size = await Deno.stdin.read(buffer);
    if (size === null || isOver()) return;
    for (const key of decoder.decode(buffer.subarray(0, size), { stream: true })) onKey(key);
  }
}
