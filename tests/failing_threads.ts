/**
 * Threads that fail on purpose, in the place of those that would be made.
 *
 * @module
 */

/** How a thread fails. */
export const FAILURES: Readonly<Record<string, string>> = {
  "throws as it starts": `throw new Error("thrown on purpose");`,
  "throws at its first message": `onmessage = () => { throw new Error("thrown on purpose"); };`,
  "rejects something that nothing waits for":
    `onmessage = () => void Promise.reject(new Error("thrown on purpose"));`,
};

/** Every thread made until the disposal runs this instead of its own. */
export function failingThreads(source: string): Disposable {
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(_url: string | URL, options?: WorkerOptions) {
      super(`data:text/javascript,${encodeURIComponent(source)}`, options);
    }
  };
  return { [Symbol.dispose]: () => void (globalThis.Worker = Worker) };
}
