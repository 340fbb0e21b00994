/** @module What a policy makes of what nodes find. */
import { deepEqual, equal } from "node:assert/strict";
import {
  type Evidence,
  type HealthPolicy,
  type PolicyTerms,
  rule,
  type Ruling,
  rulingWords,
} from "../../src/health/policy.ts";

const NOTHING: Evidence = {
  own: null,
  kept: "unknown",
  healthy: 0,
  unhealthy: 0,
  silent: 0,
  isOwnDue: true,
  isBlind: false,
};

function ruled(
  policy: HealthPolicy,
  evidence: Partial<Evidence>,
  quorumMinPercent = 51,
): readonly [Ruling["state"], Ruling["by"]] {
  const { state, by } = rule({ policy, quorumMinPercent }, { ...NOTHING, ...evidence });
  return [state, by];
}

const POLICIES: readonly HealthPolicy[] = [
  "prefer-local",
  "local-only",
  "global-any-healthy",
  "global-quorum",
];

Deno.test("a node without peers goes by what it finds, whatever the policy", () => {
  for (const policy of POLICIES) {
    deepEqual(ruled(policy, { own: "healthy" }), ["healthy", "own"], policy);
    deepEqual(ruled(policy, { own: "unhealthy" }), ["unhealthy", "own"], policy);
    deepEqual(ruled(policy, {}), ["unknown", "kept"], policy);
    deepEqual(ruled(policy, { kept: "unhealthy" }), ["unhealthy", "kept"], policy);
    deepEqual(ruled(policy, { own: "unhealthy", isBlind: true }), ["unhealthy", "own"], policy);
  }
});

Deno.test("local-only never looks at others", () => {
  deepEqual(ruled("local-only", { own: "unhealthy", healthy: 4 }), ["unhealthy", "own"]);
  deepEqual(ruled("local-only", { own: "unhealthy", healthy: 4, isBlind: true }), ["unhealthy", "own"]);
  deepEqual(ruled("local-only", { unhealthy: 4 }), ["unknown", "kept"]);
});

Deno.test("prefer-local looks at others while it has found nothing itself, before it goes by the last run", () => {
  deepEqual(ruled("prefer-local", { own: "unhealthy", healthy: 4 }), ["unhealthy", "own"]);
  deepEqual(ruled("prefer-local", { own: "healthy", unhealthy: 4 }), ["healthy", "own"]);
  deepEqual(ruled("prefer-local", { unhealthy: 1, kept: "healthy" }), ["unhealthy", "peers"]);
  deepEqual(ruled("prefer-local", { healthy: 1, unhealthy: 2, kept: "unhealthy" }), ["healthy", "peers"]);
  deepEqual(ruled("prefer-local", { silent: 2, kept: "unhealthy" }), ["unhealthy", "kept"]);
});

Deno.test("global-any-healthy takes one node's word", () => {
  deepEqual(ruled("global-any-healthy", { own: "unhealthy", healthy: 1, unhealthy: 3 }), [
    "healthy",
    "peers",
  ]);
  deepEqual(ruled("global-any-healthy", { own: "healthy", unhealthy: 4 }), ["healthy", "own"]);
  deepEqual(ruled("global-any-healthy", { own: "unhealthy", unhealthy: 4 }), ["unhealthy", "own"]);
  deepEqual(ruled("global-any-healthy", { unhealthy: 1, silent: 3 }), ["unhealthy", "peers"]);
});

Deno.test("global-quorum asks for a share of all active nodes", () => {
  const cases: readonly (readonly [number, Partial<Evidence>, Ruling["state"]])[] = [
    [67, { own: "healthy", healthy: 1, unhealthy: 1 }, "unhealthy"],
    [67, { own: "healthy", healthy: 1, silent: 1 }, "unhealthy"],
    [67, { own: "healthy", healthy: 2 }, "healthy"],
    [66, { own: "healthy", healthy: 1, unhealthy: 1 }, "healthy"],
    [50, { own: "unhealthy", healthy: 1 }, "healthy"],
    [51, { own: "unhealthy", healthy: 1 }, "unhealthy"],
    [51, { own: "unhealthy", healthy: 2 }, "healthy"],
    [100, { own: "healthy", healthy: 4 }, "healthy"],
    [100, { own: "healthy", healthy: 3, silent: 1 }, "unhealthy"],
    [1, { own: "unhealthy", unhealthy: 3 }, "unhealthy"],
    // This one has had time and found nothing: it is active, and doesn't find it healthy.
    [51, { healthy: 1 }, "unhealthy"],
    [51, { healthy: 1, isOwnDue: false }, "healthy"],
    // The word of the blind counts neither way.
    [67, { own: "unhealthy", healthy: 2, isBlind: true }, "healthy"],
  ];
  for (const [quorum, evidence, state] of cases) {
    deepEqual(
      ruled("global-quorum", evidence, quorum),
      [state, "quorum"],
      JSON.stringify([quorum, evidence]),
    );
  }
});

Deno.test("a node that counts as blind goes by its peers where they have a say", () => {
  for (const policy of POLICIES.filter((policy) => policy !== "local-only")) {
    equal(ruled(policy, { own: "unhealthy", healthy: 2, isBlind: true })[0], "healthy", policy);
    equal(ruled(policy, { own: "healthy", unhealthy: 2, isBlind: true })[0], "unhealthy", policy);
  }
});

Deno.test("rulingWords() says who decided", () => {
  const words = (policy: HealthPolicy, evidence: Partial<Evidence>, finders: string[]) => {
    const terms: PolicyTerms = { policy, quorumMinPercent: 67 };
    const all = { ...NOTHING, ...evidence };
    return rulingWords(terms, all, { ruling: rule(terms, all), finders });
  };
  equal(words("prefer-local", { own: "unhealthy" }, []), null);
  equal(words("global-any-healthy", { healthy: 1 }, ["b"]), "b finds it healthy (global-any-healthy)");
  equal(words("prefer-local", { unhealthy: 2 }, ["b", "c"]), "b, c find it unhealthy (prefer-local)");
  equal(
    words("prefer-local", { healthy: 7 }, ["b", "c", "d", "e", "f", "g", "h"]),
    "b, c, d, e, f and 2 more find it healthy (prefer-local)",
  );
  equal(
    words("global-quorum", { own: "healthy", silent: 2 }, []),
    "1 of 3 nodes finds it healthy, 67 % needed (global-quorum)",
  );
  equal(
    words("prefer-local", { kept: "unhealthy" }, []),
    "unhealthy in the last run; no node has probed it since",
  );
});

Deno.test("docs/health.md says of each event what each node answers", () => {
  const page = Deno.readTextFileSync(new URL("../../docs/health.md", import.meta.url));
  const table = page.slice(page.indexOf("| event "), page.indexOf("- **Which reports"));
  const [head, , ...rows] = table.trimEnd().split("\n").map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
  const policies = head!.slice(1).map((cell) => cell.replaceAll("`", "") as HealthPolicy);
  deepEqual(rows.map(([event]) => event), Object.keys(EVENTS));
  for (const [event, ...cells] of rows) {
    for (const [i, policy] of policies.entries()) {
      equal(cells[i], answersBy(policy, EVENTS[event!]!), `${event} under ${policy}`);
    }
  }
});

/** What the nodes find, and which of them are heard of by which; `null` = nothing, absent = gone. */
interface Happening {
  readonly finds: Readonly<Partial<Record<"a" | "b" | "c", Evidence["own"]>>>;
  readonly cutOff?: "a";
}

const EVENTS: Readonly<Record<string, Happening>> = {
  "all find it healthy": { finds: { a: "healthy", b: "healthy", c: "healthy" } },
  "only a finds it unhealthy": { finds: { a: "unhealthy", b: "healthy", c: "healthy" } },
  "only a finds it healthy": { finds: { a: "healthy", b: "unhealthy", c: "unhealthy" } },
  "all find it unhealthy": { finds: { a: "unhealthy", b: "unhealthy", c: "unhealthy" } },
  "a starts, b and c find it unhealthy": { finds: { a: null, b: "unhealthy", c: "unhealthy" } },
  "a is gone for good, b and c find it healthy": { finds: { b: "healthy", c: "healthy" } },
  "only a finds it healthy, and a is cut off": {
    ...{ finds: { a: "healthy", b: "unhealthy", c: "unhealthy" }, cutOff: "a" },
  },
};

function answersBy(policy: HealthPolicy, { finds, cutOff }: Happening): string {
  const nodes = Object.entries(finds);
  return nodes.map(([node, own]) => {
    const others = nodes.filter(([other]) => other !== node && cutOff !== node && cutOff !== other).map((
      [, found],
    ) => found);
    const count = (state: string) => others.filter((found) => found === state).length;
    const evidence = {
      own,
      healthy: count("healthy"),
      unhealthy: count("unhealthy"),
      isOwnDue: own !== null,
    };
    const [state] = ruled(policy, evidence, 67);
    return `${node} ${state === "unhealthy" ? "no" : "yes"}`;
  }).join(", ");
}
