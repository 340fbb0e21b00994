/**
 * What isn't answered: whatever comes in whatever order, the table is that of a model which keeps a list.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { Outstanding } from "../../src/front/outstanding.ts";

const LAP_BYTES = 4_000;

Deno.test("answers, laps and what is forgotten are those of a model, over random runs", () => {
  for (const seed of [1, 2, 3]) {
    const rng = seededRng(seed);
    const outstanding = new Outstanding(seed);
    let model: {
      readonly key: string;
      readonly at: number;
      readonly lap: number;
      readonly again: boolean;
    }[] = [];
    let forgotten = 0;
    let at = 0;
    let lap = 0;
    const forget = (isGone: (each: typeof model[number]) => boolean) => {
      forgotten += model.filter(isGone).length;
      model = model.filter((each) => !isGone(each));
    };
    for (let step = 0; step < 4_000; step++) {
      const client = rng() % 5;
      const address = client === 4
        ? Uint8Array.fromHex("20010db8000000000000000000000001")
        : Uint8Array.of(192, 0, 2, client);
      const [port, id] = [1_000 + rng() % 2, rng() % 16];
      const key = `${client} ${port} ${id}`;
      if (rng() % 3 > 0) {
        const size = 40 + rng() % 60;
        outstanding.claim(at + size);
        forget((each) => each.lap < lap && each.at < at + size);
        outstanding.add(address, port, id, at, step, step % 7 === 0);
        model.push({ key, at, lap, again: step % 7 === 0 });
        at += size;
        if (at > LAP_BYTES) {
          at = 0;
          outstanding.beginLap();
          forget((each) => each.lap < lap);
          lap++;
        }
      } else {
        const youngest = model.findLastIndex((each) => each.key === key);
        equal(outstanding.answer(address, port, id), youngest >= 0);
        if (youngest >= 0) model.splice(youngest, 1);
      }
      equal(outstanding.count, model.length);
      equal(outstanding.forgotten, forgotten);
    }
    ok(forgotten > 100 && lap > 10);
    const left: [number, boolean][] = [];
    outstanding.each((at, _sentMs, isAgain) => left.push([at, isAgain]));
    deepEqual(left, model.map(({ at, again }) => [at, again]));
  }
});

Deno.test("of more than there is room for the oldest are forgotten", () => {
  const outstanding = new Outstanding(1);
  const address = Uint8Array.of(192, 0, 2, 1);
  for (let i = 0; i < 5_000; i++) outstanding.add(address, 53, i, i, 0, false);
  equal(outstanding.count, 2_048);
  equal(outstanding.forgotten, 5_000 - 2_048);
  equal(outstanding.answer(address, 53, 5_000 - 2_049), false);
  equal(outstanding.answer(address, 53, 5_000 - 2_048), true);
});
