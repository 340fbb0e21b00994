/**
 * Single keys from the terminal, without Enter; the terminal is as before when they are disposed of.
 *
 * @module
 */

/**
 * Calls `onKey` for each key, a character each. Ctrl-C stays the signal that it is, except on Windows, which hands it
 * over as a character (U+0003). `onEnd` is called when the terminal goes away.
 *
 * @returns `null` when stdin is no terminal
 */
export function listenForKeys(
  { onKey, onEnd }: { readonly onKey: (key: string) => void; readonly onEnd: () => void },
): Disposable | null {
  if (!Deno.stdin.isTerminal()) return null;
  const mode = Deno.build.os === "windows" ? undefined : { cbreak: true };
  Deno.stdin.setRaw(true, mode);
  let isOver = false;
  read((key) => isOver || onKey(key)).then(onEnd, onEnd);
  return {
    [Symbol.dispose]: () => {
      isOver = true;
      try {
        Deno.stdin.setRaw(false, mode);
      } catch {
        // A terminal that is gone needs no fixing.
      }
    },
  };
}

/** Ends when the terminal does: a read can't be called off. */
async function read(onKey: (key: string) => void): Promise<void> {
  const buffer = new Uint8Array(64);
  const decoder = new TextDecoder();
  for (let size = await Deno.stdin.read(buffer); size !== null; size = await Deno.stdin.read(buffer)) {
    for (const key of decoder.decode(buffer.subarray(0, size), { stream: true })) onKey(key);
  }
}
