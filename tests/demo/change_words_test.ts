/** @module Commits in a few words. */
import { equal } from "node:assert/strict";
import { changeWords } from "../../src/demo/change_words.ts";
import type { ObjectChange } from "../../src/store/history.ts";

const pool = (name: string): ObjectChange => ({ kind: "pool", id: name, before: null, after: { name } });

/** Changes → words. */
const WORDS: readonly (readonly [readonly ObjectChange[], string])[] = [
  [[pool("web")], "by api: created pool web"],
  [
    [{ kind: "member", id: "1", before: { ipAddress: "192.0.2.1" }, after: null }],
    "by api: deleted member 192.0.2.1",
  ],
  [[{ kind: "healthCheck", id: "1", before: {}, after: {} }], "by api: changed health check"],
  [["a", "b", "c", "d", "e"].map(pool), "by api: created pool a, created pool b, created pool c, 2 more"],
];

for (const [changes, words] of WORDS) {
  Deno.test(`a commit is told as "${words}"`, () => equal(changeWords({ via: "api" }, changes), words));
}
