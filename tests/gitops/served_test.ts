/**
 * The small variant of `deno task prove gitops`: a real node, a thread of its own, real keys.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { follow, killed } from "../prove/gitops.ts";
import { testWith } from "../programs.ts";

testWith(
  ["git", "gpg", "ssh-keygen"],
  "every commit of a repository gets its verdict, and no answer is missing",
  async () => {
    const { rows, lost } = await follow({
      services: 100,
      applies: 2,
      goneMs: 0,
      ways: ["file"],
      probed: 1,
      onStep: () => {},
    });
    deepEqual(
      rows.map(({ step, seen }) => `${step}: ${seen}`),
      rows.map(({ step, expected }) => `${step}: ${expected}`),
    );
    equal(lost, 0);
  },
);

testWith(
  ["git"],
  "a node that is killed while it applies commits has each as a whole or not at all, and says which",
  async () => {
    deepEqual(await killed({ kills: 2, services: 1_000, withinMs: 1_600 }), []);
  },
);
