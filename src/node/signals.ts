/**
 * The signals of a program that runs until it is told to stop.
 *
 * @module
 */

/** What ends a program in good order. */
const STOPPING = ["SIGTERM", "SIGINT"] as const;
/** What other programs understand as an order to rotate or dump something; unheard, the kernel ends the process. */
const MEANINGLESS = ["SIGUSR1", "SIGUSR2"] as const;

/**
 * Resolves with the first of these signals; until then they don't end the process, and from then on each of them
 * does, at once and whatever the program is busy with.
 */
export function signalled(
  signals: readonly Deno.Signal[],
): Disposable & { readonly promise: Promise<Deno.Signal> } {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  const listening = new DisposableStack();
  for (const signal of signals) {
    listening.use(onSignal(signal, () => {
      listening.dispose();
      resolve(signal);
    }));
  }
  return { promise, [Symbol.dispose]: () => listening.dispose() };
}

/** The signals of `serve`, heard from the moment it is made; what comes before there is a listener isn't lost. */
export class ServeSignals implements Disposable {
  /** Resolves with the signal that asks for the end. */
  readonly stopped: Promise<Deno.Signal>;
  readonly #listening = new DisposableStack();
  #reload: (() => Promise<void>) | null = null;
  #onMeaningless: (signal: Deno.Signal) => void = () => {};
  #isReloadWanted = false;
  #isReloading = false;

  /** Begins to listen. */
  constructor() {
    const stopped = this.#listening.use(signalled(STOPPING));
    this.stopped = stopped.promise;
    this.#listening.use(onSignal("SIGHUP", () => {
      this.#isReloadWanted = true;
      this.#work();
    }));
    for (const signal of MEANINGLESS) {
      this.#listening.use(onSignal(signal, () => this.#onMeaningless(signal)));
    }
  }

  /** Names who hears of signals that mean nothing here. */
  onMeaningless(listener: (signal: Deno.Signal) => void): void {
    this.#onMeaningless = listener;
  }

  /**
   * Calls `reload` for each SIGHUP, one after the other: those that come during one are folded into one more, since it
   * reads what is there then. A SIGHUP that came before this call counts.
   *
   * @param reload never rejects
   */
  onReload(reload: () => Promise<void>): void {
    this.#reload = reload;
    this.#work();
  }

  /** Begins no reload any more; signals go on being heard until disposal. */
  refuseReloads(): void {
    this.#reload = null;
  }

  /** Leaves the signals to the system. */
  [Symbol.dispose](): void {
    this.refuseReloads();
    this.#listening.dispose();
  }

  #work(): void {
    const reload = this.#reload;
    if (reload === null || !this.#isReloadWanted || this.#isReloading) return;
    this.#isReloadWanted = false;
    this.#isReloading = true;
    reload().finally(() => {
      this.#isReloading = false;
      this.#work();
    });
  }
}

/** Windows knows SIGINT and SIGBREAK only; there the others are simply never sent. */
function onSignal(signal: Deno.Signal, listener: () => void): Disposable {
  if (Deno.build.os === "windows" && signal !== "SIGINT") return { [Symbol.dispose]: () => {} };
  Deno.addSignalListener(signal, listener);
  return { [Symbol.dispose]: () => Deno.removeSignalListener(signal, listener) };
}
