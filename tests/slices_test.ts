/** @module Long work in slices. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import type { Clock } from "../src/clock.ts";
import { atPace, betweenSlices, inSlices, pacer, toEnd } from "../src/slices.ts";
import { ManualClock, settle } from "./clock.ts";

/** Time passes by work alone. */
function bed() {
  const manual = new ManualClock();
  let spentMs = 0;
  const clock: Clock = {
    monotonicMs: () => manual.monotonicMs() + spentMs,
    unixMs: () => manual.unixMs(),
    sleep: (ms, signal) => manual.sleep(ms, signal),
  };
  const steps: string[] = [];
  const spend = (name: string) => {
    spentMs += 0.25;
    steps.push(name);
  };
  function* work(name: string, count: number): Generator<void, string> {
    for (let step = 0; step < count; step++) {
      spend(name);
      yield;
    }
    return name;
  }
  /** What is done in the next turn of the event loop, how often. */
  const turn = async () => {
    const from = steps.length;
    await manual.advance(0);
    return Object.fromEntries(
      Map.groupBy(steps.slice(from), (name) => name).entries().map((
        [name, those],
      ) => [name, those.length]),
    );
  };
  return { clock, steps, spend, work, turn };
}

Deno.test("work is done 4 ms at a time, which all that is done at once shares", async () => {
  const { clock, steps, work, turn } = bed();
  const { signal } = new AbortController();
  const alone = inSlices(work("a", 40), { clock, signal });
  equal(steps.length, 16);
  const beside = inSlices(work("b", 20), { clock, signal });
  equal(steps.length, 16 + 8);
  deepEqual(await turn(), { a: 24, b: 12 }, "each turn of a manual clock is all of them");
  deepEqual(await Promise.all([alone, beside]), ["a", "b"]);
  const again = inSlices(work("c", 20), { clock, signal });
  equal(steps.length, 60 + 16, "what has ended takes no share");
  await turn();
  equal(await again, "c");
});

Deno.test("what answers wait for has a slice of its own, beside which the others share theirs", async () => {
  const { clock, steps, work, turn } = bed();
  const { signal } = new AbortController();
  const others = ["a", "b"].map((name) => inSlices(work(name, 40), { clock, signal }));
  const urgent = inSlices(work("u", 60), { clock, signal, isUrgent: true });
  deepEqual(
    Object.entries(Object.groupBy(steps, (name) => name)).map(([name, those]) => [name, those!.length]),
    [
      ["a", 16],
      ["b", 8],
      ["u", 24],
    ],
  );
  await turn();
  deepEqual(await Promise.all([...others, urgent]), ["a", "b", "u"]);
  const again = inSlices(work("c", 20), { clock, signal });
  equal(steps.length, 140 + 16, "it has taken no share");
  await turn();
  await again;
});

Deno.test("where turns are long, what answers wait for takes a quarter of them, up to a bound", async () => {
  const { clock, steps, spend, work, turn } = bed();
  const { signal } = new AbortController();
  using _ = betweenSlices(() => steps.push("|"));
  const slices: number[][] = [];
  for (const othersMs of [8, 40, 400]) {
    steps.splice(0);
    const urgent = inSlices(work("u", 100), { clock, signal, isUrgent: true });
    for (let ms = 0; ms < othersMs; ms += 0.25) spend("other");
    await turn();
    equal(await urgent, "u");
    const done = steps.filter((name) => name !== "other").join("");
    slices.push(done.split("|").map(({ length }) => length));
  }
  deepEqual(slices, [[24, 24, 24, 24, 4], [24, 40, 24, 12], [24, 48, 24, 4]]);
});

Deno.test("what is due by the clock is called behind each slice, until it ends", async () => {
  const { clock, steps, spend, work, turn } = bed();
  const { signal } = new AbortController();
  {
    using _ = betweenSlices(() => steps.push("due"));
    const done = inSlices(work("a", 20), { clock, signal });
    deepEqual(steps.slice(-2), ["a", "due"]);
    await turn();
    await done;
    const next = pacer({ clock, signal });
    for (let step = 0; step < 16; step++) spend("b");
    const paced = next();
    equal(steps.at(-1), "due");
    await turn();
    await paced;
    equal(steps.filter((name) => name === "due").length, 2, "work that is done ends no slice");
  }
  const again = inSlices(work("c", 20), { clock, signal });
  equal(steps.at(-1), "c");
  await turn();
  await again;
});

Deno.test("a slice has a millisecond, however many there are", async () => {
  const { clock, steps, work, turn } = bed();
  const { signal } = new AbortController();
  const all = Array.from({ length: 20 }, (_, i) => inSlices(work(`${i}`, 100), { clock, signal }));
  // 4, 2, 1.3 ms, and from then on one.
  equal(steps.length, 16 + 8 + 6 + 17 * 4);
  await turn();
  await Promise.all(all);
});

/** As {@link bed}, but a turn of the event loop at a time. */
function turnByTurn() {
  const { clock, ...others } = bed();
  const asleep = new Set<() => void>();
  const sleep: Clock["sleep"] = (_, signal) =>
    new Promise((resolve) => {
      const wake = () => {
        asleep.delete(wake);
        resolve();
      };
      asleep.add(wake);
      signal.addEventListener("abort", wake);
    });
  /** What is done in the next turn, as runs of steps: `a4` are four of a. */
  const turn = async () => {
    const { steps } = others;
    const from = steps.length;
    for (const wake of [...asleep]) wake();
    await settle();
    const done = steps.slice(from).join("");
    return Array.from(done.matchAll(/(.)\1*/g), ([run, name]) => `${name}${run.length}`).join(" ");
  };
  return { ...others, clock: { ...clock, sleep }, turn, asleep };
}

Deno.test("a turn has 4 ms however many works there are, and begins with those that had none of the last", async () => {
  const { clock, work, turn, asleep } = turnByTurn();
  const { signal } = new AbortController();
  const slow = Array.from("abcdef", (name) => inSlices(work(name, 28), { clock, signal }));
  const urgent = Array.from("uv", (name) => inSlices(work(name, 60), { clock, signal, isUrgent: true }));
  equal(await turn(), "u12 v12 a4 b4 c4 d4");
  equal(await turn(), "u12 v12 e4 f4 a4 b4");
  equal(await turn(), "u12 v12 c4 d4 e4 f4");
  equal(await turn(), "v12 a4 b4 c4 d4", "what has ended leaves its place to the others");
  for (let left = 8; left > 0 && asleep.size > 0; left--) await turn();
  deepEqual(await Promise.all([...slow, ...urgent]), [..."abcdef", ..."uv"]);
});

Deno.test("what isn't wanted any more takes no slice, and where nothing else is left no turn either", async () => {
  const { clock, work, turn, asleep } = turnByTurn();
  const [ending, wanted] = [new AbortController(), new AbortController()];
  const over = inSlices(work("a", 100), { clock, signal: ending.signal });
  const other = inSlices(work("b", 100), { clock, signal: wanted.signal });
  equal(await turn(), "a8 b8");
  ending.abort(new Error("over"));
  await rejects(over, /over/);
  equal(await turn(), "b16");
  equal(asleep.size, 1);
  wanted.abort(new Error("over, too"));
  equal(asleep.size, 0);
  await rejects(other, /over, too/);
  equal(await turn(), "");
  const own = new AbortController();
  const giving = (function* () {
    yield* work("c", 20);
    own.abort(new Error("over by itself"));
    yield* work("d", 100);
  })();
  const given = rejects(inSlices(giving, { clock, signal: own.signal }), /over by itself/);
  equal(await turn(), "c4 d1");
  await given;
  equal(asleep.size, 0);
});

Deno.test("work that waits for others goes on as long as its slice lasts", async () => {
  const { clock, steps, spend, turn } = bed();
  const { signal } = new AbortController();
  const next = pacer({ clock, signal });
  const working = (async () => {
    for (let step = 0; step < 40; step++) {
      await next();
      spend("a");
    }
  })();
  for (let hop = 0; hop < 200; hop++) await null;
  equal(steps.length, 16);
  await turn();
  await working;
});

Deno.test("work ends when it isn't wanted any more, or fails, and lets go of what it holds", async () => {
  const { clock, steps } = bed();
  const ending = new AbortController();
  let held = 0;
  function* holding(fails: boolean): Generator<void> {
    held++;
    try {
      for (let step = 0; step < 100; step++) {
        if (fails && step === 3) throw new Error("on purpose");
        yield;
      }
    } finally {
      held--;
    }
  }
  await rejects(inSlices(holding(true), { clock, signal: ending.signal }), /on purpose/);
  ending.abort(new Error("over"));
  await rejects(inSlices(holding(false), { clock, signal: ending.signal }), /over/);
  deepEqual([held, steps.length], [0, 0]);
  toEnd(holding(false));
  equal(held, 0);
});

Deno.test("work at the pace of what it is a part of has what is left of that one's slice", async () => {
  const { clock, steps, work, turn } = bed();
  const { signal } = new AbortController();
  const pace = pacer({ clock, signal });
  const done = (async () => [await atPace(work("a", 10), pace), await atPace(work("b", 10), pace)])();
  const isLetGo = Promise.withResolvers<void>();
  await settle();
  equal(steps.length, 16, "4 ms of both");
  deepEqual(await turn(), { b: 4 });
  deepEqual(await done, ["a", "b"]);
  const over = new AbortController();
  const endless = (function* () {
    try {
      for (;;) yield* work("c", 1);
    } finally {
      isLetGo.resolve();
    }
  })();
  const ended = rejects(atPace(endless, pacer({ clock, signal: over.signal })), /over/);
  over.abort(new Error("over"));
  await ended;
  await isLetGo.promise;
});
