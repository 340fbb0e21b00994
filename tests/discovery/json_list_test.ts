/**
 * Lists in JSON of which what has changed is read: the same comes out as of reading all.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { JsonList, ListRoom } from "../../src/discovery/json_list.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const FILE = (elements: readonly string[], blank = "") =>
  `{"instances":${blank}[${elements.join(`${blank},`)}]}`;

/** What both ways read of a document that follows on a list; `null` = the quick one leaves it. */
function followed(list: JsonList, before: readonly unknown[], text: string): readonly unknown[] | null {
  const difference = list.difference(bytesOf(text));
  if (difference === null) return null;
  const { from, to, elements } = difference;
  list.follow(bytesOf(text), difference);
  return [...before.slice(0, from), ...elements, ...before.slice(to)];
}

Deno.test("only what has changed of a list is taken apart", () => {
  const elements = Array.from(
    { length: 100 },
    (_, i) => JSON.stringify({ id: `i${i}`, tags: ["a,]", '"\\'] }),
  );
  const list = JsonList.of(bytesOf(FILE(elements)))!;
  equal(list.length, 100);
  const changed = elements.with(50, '{"id":"new"}');
  const difference = list.difference(bytesOf(FILE(changed)))!;
  deepEqual([difference.from, difference.to, difference.elements], [50, 51, [{ id: "new" }]]);
  equal(list.difference(bytesOf(FILE(changed)), 5), null, "more than may be taken apart at once");
  list.follow(bytesOf(FILE(changed)), difference);
  deepEqual(list.difference(bytesOf(FILE(changed)))!.elements, []);
  const more = changed.toSpliced(99, 1, ...elements.slice(0, 40));
  const added = list.difference(bytesOf(FILE(more)))!;
  deepEqual([added.from, added.to, added.elements.length], [99, 100, 40]);
  list.follow(bytesOf(FILE(more)), added);
  equal(list.length, 139);
});

Deno.test("what there is no list of is read as a whole", () => {
  for (const text of ["{}", '{"instances": []}', "[ ]"]) equal(JsonList.of(bytesOf(text)), null, text);
  const list = JsonList.of(bytesOf("[1, 2]"))!;
  for (
    const text of ["[]", "[1,]", "[1", "[1, 2", "[1, 2]]", "[1, 2],", "", " [1, 2]", "[1, 2] x", "[1],[2]"]
  ) {
    equal(list.difference(bytesOf(text)), null, text);
  }
});

Deno.test("documents that follow on each other are read as they are when read as a whole", () => {
  const rng = seededRng(7);
  const below = (max: number) => rng() % max;
  const element = () =>
    [
      () => `{"a":[${below(9)},{"b":"]},["}]}`,
      () => `"x\\"${"\\\\".repeat(below(3))},"`,
      () => "[[],{}]",
      () => "7",
    ][below(4)]!();
  let read = 0;
  for (let round = 0; round < 300; round++) {
    const blank = ["", " ", "\n\t"][below(3)]!;
    let elements = Array.from({ length: 1 + below(6) }, element);
    let list = JsonList.of(bytesOf(FILE(elements, blank)))!;
    for (let step = 0; step < 8; step++) {
      const before = JSON.parse(`[${elements}]`);
      elements = elements.toSpliced(
        below(elements.length + 1),
        below(3),
        ...Array.from({ length: below(3) }, element),
      );
      const text = FILE(elements, blank);
      const all = followed(list, before, text);
      if (all === null) {
        const next = JsonList.of(bytesOf(text));
        if (next === null) break;
        list = next;
      } else {
        read++;
        deepEqual(all, JSON.parse(text).instances, text);
        equal(list.length, all.length);
      }
    }
  }
  ok(read > 1_000, `${read}`);
});

Deno.test("whatever bytes are changed to, nothing is read but what reading all reads", () => {
  const rng = seededRng(11);
  const text = '{"instances": [{"id":"a","n":[1,2]}, {"id":"b\\"]"} ,{"id":"c"}, 5, "six"]}';
  const bytes = bytesOf(text);
  const before = JSON.parse(text).instances;
  const palette = bytesOf('"\\[]{},: 1a\u00e9');
  let [same, left] = [0, 0];
  for (let round = 0; round < 20_000; round++) {
    const list = JsonList.of(bytes)!;
    let changed = Array.from(bytes);
    for (let i = 0; i <= rng() % 3; i++) {
      const at = rng() % changed.length;
      const put = Array.from({ length: rng() % 3 }, () => palette[rng() % palette.length]!);
      changed = changed.toSpliced(at, rng() % 3, ...put);
    }
    const difference = list.difference(Uint8Array.from(changed));
    if (difference === null) left++;
    else {
      same++;
      const all = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(changed)));
      const { from, to, elements } = difference;
      deepEqual([...before.slice(0, from), ...elements, ...before.slice(to)], all.instances);
    }
  }
  ok(same > 500 && left > 500, `${same} read, ${left} left`);
});

Deno.test("a list is that which begins as it is said, though others come before it", () => {
  const text = (id: number) => `{"Node":{"a":[1,2],"b":"[\\"L\\":["},"L":[{"id":${id}},{"id":2}]}`;
  const list = JsonList.of(bytesOf(text(1)), '"L":[')!;
  equal(list.length, 2);
  deepEqual(list.difference(bytesOf(text(7)))!.elements, [{ id: 7 }]);
  equal(JsonList.of(bytesOf(text(1)), '"M":['), null);
});

Deno.test("there is room for so many bytes of lists", () => {
  const [one, other] = [1, 2].map((each) => JsonList.of(bytesOf(JSON.stringify([each, "x".repeat(500)])))!);
  const room = new ListRoom(one!.size + 10);
  ok(room.keep(one!));
  ok(room.keep(one!), "it takes its room once");
  ok(!room.keep(other!));
  room.drop(one!);
  ok(room.keep(other!));
});
