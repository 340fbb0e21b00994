/**
 * Who hears of an event, and what becomes of a listener that throws.
 *
 * @module
 */
import { deepEqual, throws } from "node:assert/strict";
import { Listeners } from "../src/listeners.ts";

Deno.test("every listener hears of an event in the order in which they came, until it is disposed of", () => {
  const heard: string[] = [];
  const listeners = new Listeners<string>();
  const first = listeners.add((event) => heard.push(`first ${event}`));
  using _second = listeners.add((event) => heard.push(`second ${event}`));
  listeners.tell("a");
  first[Symbol.dispose]();
  listeners.tell("b");
  deepEqual(heard, ["first a", "second a", "second b"]);
});

Deno.test("one function that listens twice hears twice, and once when one of the two has gone", () => {
  let count = 0;
  const hear = () => void count++;
  const listeners = new Listeners();
  const first = listeners.add(hear);
  listeners.add(hear);
  listeners.tell();
  first[Symbol.dispose]();
  listeners.tell();
  deepEqual(count, 3);
});

Deno.test("a listener that throws hides nothing from the others, and whoever tells hears of it", () => {
  const heard: number[] = [];
  const listeners = new Listeners<number>();
  const fail = (message: string) => () => {
    throw new Error(message);
  };
  listeners.add(fail("one"));
  listeners.add((event) => heard.push(event));
  throws(() => listeners.tell(1), /^Error: one$/);
  listeners.add(fail("two"));
  throws(() => listeners.tell(2), AggregateError);
  deepEqual(heard, [1, 2]);
});
