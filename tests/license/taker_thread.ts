/**
 * A thread that asks a gate for as much as it can, by a clock that the test moves.
 *
 * @module
 */
import { Allowance } from "../../src/license/allowance.ts";
import { LicenseGate } from "../../src/license/gate.ts";

/** What it is given. */
export interface TakerOrder {
  readonly allowance: SharedArrayBuffer;
  /** Two words: the second of now, and 1 = stop. */
  readonly clock: SharedArrayBuffer;
  /** A word a second: answers given in its window, by all threads. */
  readonly given: SharedArrayBuffer;
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<TakerOrder>) => void;
  postMessage(packets: number): void;
  close(): void;
};

scope.onmessage = ({ data }) => {
  const clock = new Uint32Array(data.clock);
  const given = new Uint32Array(data.given);
  let second = 0;
  const gate = new LicenseGate(new Allowance(data.allowance), () => (second = Atomics.load(clock, 0)) * 1000);
  let packets = 0;
  scope.postMessage(0);
  while (Atomics.load(clock, 1) === 0) {
    const batch = 1 + packets % 4;
    gate.begin(batch);
    for (let i = 0; i < batch; i++) {
      packets++;
      if (!gate.admits() || i % 7 === 3) continue; // one in seven gets no answer
      gate.spend();
      // The gate reads the clock when it begins, and once more when another thread is ahead: what it took is of that second.
      Atomics.add(given, second, 1);
    }
    gate.end();
  }
  scope.postMessage(packets);
  scope.close();
};
