/**
 * A signal that is aborted with the first of several, and can be relied on.
 *
 * Deno collects what `AbortSignal.any` gives while something listens to it, unless the program holds it for itself; then
 * the listener is never told. The DOM standard (section 3.2, "garbage collection") forbids that: a dependent signal that something
 * listens to must live for as long as one of its sources can be aborted.
 *
 * @module
 */

/** Dependent signals that something listens to, with their listeners. */
const listened = new Map<AbortSignal, Set<unknown>>();

/** A signal that is aborted, with the same reason, as soon as one of the signals is. */
export function anySignal(signals: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([...signals]);
  if (signal.aborted) return signal;
  const { addEventListener, removeEventListener } = signal;
  const release = () => void listened.delete(signal);
  signal.addEventListener = (type: string, listener: unknown, ...rest: unknown[]) => {
    if (type === "abort" && !signal.aborted) {
      const listeners = listened.get(signal);
      if (listeners) listeners.add(listener);
      else {
        listened.set(signal, new Set([listener]));
        addEventListener.call(signal, "abort", release);
      }
    }
    Reflect.apply(addEventListener, signal, [type, listener, ...rest]);
  };
  signal.removeEventListener = (type: string, listener: unknown, ...rest: unknown[]) => {
    Reflect.apply(removeEventListener, signal, [type, listener, ...rest]);
    if (type !== "abort") return;
    const listeners = listened.get(signal);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    removeEventListener.call(signal, "abort", release);
    release();
  };
  return signal;
}
