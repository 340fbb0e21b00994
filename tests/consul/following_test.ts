/** @module Following what Consul says, with a Consul that says what it is told to. */
import { deepEqual, rejects } from "node:assert/strict";
import type { ConsulAnswer } from "../../src/consul/client.ts";
import { follow, type Following } from "../../src/consul/following.ts";
import { ManualClock } from "../clock.ts";

/** Follows what is scripted, and gives the indices that were asked for and what was taken. */
async function followed(
  script: readonly (Partial<ConsulAnswer> | Error)[],
  more: Partial<Following> = {},
): Promise<{ readonly asked: number[]; readonly taken: unknown[]; readonly failed: string[] }> {
  const [asked, taken, failed]: [number[], unknown[], string[]] = [[], [], []];
  const ending = new AbortController();
  await follow({
    question: () => ({ path: "/", query: {}, waitSeconds: 1, answerMs: 1, mayBeFiltered: false }),
    ask: ({ index }) => {
      asked.push(index);
      const next = script[asked.length - 1];
      if (next === undefined) ending.abort();
      if (next === undefined || next instanceof Error) return Promise.reject(next ?? new Error("the end"));
      return Promise.resolve({
        document: null,
        index: 0,
        isLed: true,
        ageMs: 0,
        isFiltered: false,
        ...{ body: new Uint8Array(0), ...next },
      });
    },
    take: ({ document }, { isAwaited }) => taken.push([document, isAwaited]) > 0,
    fail: (cause) => Promise.resolve(void failed.push(String(cause))),
    signal: ending.signal,
    clock: new ManualClock(),
    ...more,
  });
  return { asked, taken, failed };
}

Deno.test("follow() asks for what is beyond the last index, and from 0 after a fault", async () => {
  deepEqual(
    await followed([
      ...[{ document: [1], index: 5 }, { document: [2], index: 6 }, new Error("away"), {
        document: [3],
        index: 2,
      }],
    ]),
    { asked: [0, 5, 6, 0, 2], taken: [[[1], false], [[2], true], [[3], false]], failed: ["Error: away"] },
  );
});

Deno.test("follow() takes no empty answer that it has waited for at its word", async () => {
  deepEqual(
    await followed([{ document: [1], index: 5 }, { document: [], index: 6 }, { document: {}, index: 7 }]),
    { asked: [0, 5, 0, 7], taken: [[[1], false], [{}, true]], failed: [] },
  );
});

Deno.test("follow() pauses where it wouldn't block, goes on after what `take` throws, and ends when it has enough", async () => {
  const pauses: number[] = [];
  const clock = { sleep: (ms: number) => Promise.resolve(void pauses.push(ms)) };
  const found = await followed([{ index: 0 }, { index: 3 }, { index: 4 }], {
    clock,
    take: ({ index }) => {
      if (index === 3) throw new SyntaxError("no list");
      return index !== 4;
    },
  });
  deepEqual(found, { asked: [0, 0, 0], taken: [], failed: ["SyntaxError: no list"] });
  deepEqual(pauses, [250]);
  await rejects(
    followed([new Error("of ours")], { fail: (cause) => Promise.reject(cause) }),
    /of ours/,
  );
});
