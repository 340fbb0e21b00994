/** @module What is read as a target, and what is wrong with an override. */
import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  formatTarget,
  overrideFaults,
  type OverrideFields,
  parseTarget,
  targetOf,
} from "../../src/model/override.ts";
import { overrideRequestSchema, timesOf } from "../../src/model/override_schema.ts";

const NOW = 1_767_225_600_000;
const ID = "9f86d081884c7d659a2feaa0c55ad015";
const HOUR = 3_600_000;

for (
  const [text, expected] of [
    ["region:fra", { kind: "region", name: "fra" }],
    ["region:us-east_1", { kind: "region", name: "us-east_1" }],
    ["pool:web", { kind: "pool", pool: "web" }],
    [`pool:${ID}`, { kind: "pool", pool: ID }],
    [`member:${ID}`, { kind: "member", id: ID }],
    [ID, { kind: "member", id: ID }],
    ["member:web/192.0.2.1", { kind: "member", pool: "web", host: "192.0.2.1", port: null }],
    ["web/192.0.2.1:443", { kind: "member", pool: "web", host: "192.0.2.1", port: 443 }],
    ["web/2001:DB8::1", { kind: "member", pool: "web", host: "2001:db8::1", port: null }],
    ["member:web/[2001:db8:0::1]:443", { kind: "member", pool: "web", host: "2001:db8::1", port: 443 }],
    ["web/LB.example.net.", { kind: "member", pool: "web", host: "lb.example.net", port: null }],
    ["web/lb.example.net:8443", { kind: "member", pool: "web", host: "lb.example.net", port: 8443 }],
  ] as const
) {
  Deno.test(`the target ${text} is read`, () => deepEqual({ ...parseTarget(text) }, expected));
}

for (
  const text of [
    "",
    "web",
    "region:",
    "region:fra/1",
    "pool:",
    "pool:-web",
    "member:",
    "member:web/",
    "member:/192.0.2.1",
    "web/192.0.2.1:0",
    "web/192.0.2.1:65536",
    "web/[192.0.2.1",
    "web/[lb.example.net]:1",
    "site:fra",
  ]
) {
  Deno.test(`"${text}" is no target, and the forms are named`, () => {
    throws(() => parseTarget(text), { name: "SyntaxError", message: /it must be region:NAME, pool:NAME/ });
  });
}

Deno.test("a stored target has the parts that it was made of", () => {
  for (const text of [`member:${ID}`, `pool:${ID}`, "region:fra"]) {
    equal(formatTarget(targetOf({ target: text })), text);
  }
});

Deno.test("no text makes the reader of targets throw anything but a SyntaxError", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `member:web/${text}`)), (text) => {
    try {
      parseTarget(text);
    } catch (error) {
      equal(error instanceof SyntaxError, true);
    }
  }));
});

const FINE: OverrideFields = {
  target: "region:fra",
  state: "drain",
  reason: "kernel upgrade",
  owner: "alice",
  startsAt: NOW,
  expiresAt: NOW + HOUR,
  drainMs: HOUR,
};

for (
  const [fields, expected] of [
    [{}, []],
    [{ startsAt: NOW - 59_000, drainMs: 0 }, []],
    [{ startsAt: NOW + HOUR, expiresAt: NOW + 2 * HOUR }, []],
    [{ expiresAt: NOW + 720 * HOUR }, []],
    [{ state: "sideways" as "up" }, [
      ["state", 'state must be one of up, down, drain, is "sideways"'],
      ["drainMs", "drain is for the state drain, and state is sideways: leave it out"],
    ]],
    [{ reason: " " }, [["reason", "reason is required: say why, for the next reader of the override"]]],
    [{ owner: "" }, [["owner", "owner is required: say who can be asked about the override"]]],
    [{ expiresAt: NOW, drainMs: 0 }, [
      ["expiresAt", "expiresAt 2026-01-01T00:00:00.000Z has passed: choose a time in the future"],
    ]],
    [{ startsAt: NOW + HOUR, drainMs: 0 }, [[
      "expiresAt",
      "expiresAt 2026-01-01T01:00:00.000Z isn't after startsAt 2026-01-01T01:00:00.000Z: choose a later time",
    ]]],
    [{ expiresAt: NOW + 720 * HOUR + 1 }, [[
      "expiresAt",
      "expiresAt 2026-01-31T00:00:00.001Z is more than 30 days away: choose an earlier time, or change the model",
    ]]],
    [{ startsAt: NOW - 61_000 }, [
      ["startsAt", "startsAt 2025-12-31T23:58:59.000Z has passed: leave it out to begin now"],
    ]],
    [{ drainMs: HOUR + 1 }, [[
      "drainMs",
      "drain 3600001ms is longer than the override lasts (1h): drain faster, or let it last longer",
    ]]],
    [{ state: "down" }, [
      ["drainMs", "drain is for the state drain, and state is down: leave it out"],
    ]],
  ] as const
) {
  Deno.test(`an override with ${JSON.stringify(fields)} has ${expected.length} faults`, () => {
    const faults = overrideFaults({ ...FINE, ...fields }, NOW);
    deepEqual(faults.map(({ field, message }) => [field, message]), expected);
  });
}

const REQUEST = { target: "region:fra", state: "drain", reason: "why", owner: "alice" };

for (
  const [fields, expected] of [
    [{ for: "2h" }, { startsAt: NOW, expiresAt: NOW + 2 * HOUR, drainMs: 300_000 }],
    [{ for: "4m" }, { startsAt: NOW, expiresAt: NOW + 240_000, drainMs: 120_000 }],
    [{ for: "2h", drain: "10m" }, { startsAt: NOW, expiresAt: NOW + 2 * HOUR, drainMs: 600_000 }],
    [{ state: "down", for: "1h" }, { startsAt: NOW, expiresAt: NOW + HOUR, drainMs: 0 }],
    [
      { state: "up", startsAt: "2026-01-01T03:00:00+01:00", for: "1h" },
      { startsAt: NOW + 2 * HOUR, expiresAt: NOW + 3 * HOUR, drainMs: 0 },
    ],
    [
      { state: "up", expiresAt: "2026-01-01T00:30:00Z" },
      { startsAt: NOW, expiresAt: NOW + HOUR / 2, drainMs: 0 },
    ],
  ] as const
) {
  Deno.test(`the times of ${JSON.stringify(fields)}`, () => {
    deepEqual(timesOf(overrideRequestSchema.parse({ ...REQUEST, ...fields }), NOW), expected);
  });
}

for (
  const [fields, path, message] of [
    [{}, "expiresAt", /expiresAt is required .* no override is for ever/],
    [{ for: "1h", expiresAt: "2026-01-01T00:30:00Z" }, "for", /give one of them/],
    [{ for: "forever" }, "for", /for must be a duration up to 30d such as 90s, 30m or 2h, is "forever"/],
    [{ for: "721h" }, "for", /for must be a duration up to 30d/],
    [{ for: "31d" }, "for", /for must be a duration up to 30d/],
    [{ for: "0s" }, "for", /for must be a duration/],
    [
      { expiresAt: "tomorrow" },
      "expiresAt",
      /expiresAt must be a time such as 2026-02-01T03:00:00Z, is "tomorrow"/,
    ],
    [{ expiresAt: "2026-02-31T25:00:00Z" }, "expiresAt", /expiresAt must be a time/],
    [{ expiresAt: "2026-02-01" }, "expiresAt", /expiresAt must be a time/],
    [{ for: "1h", state: "off" }, "state", /state must be one of up, down, drain, is "off"/],
    [{ for: "1h", reason: undefined }, "reason", /reason is required/],
    [{ for: "1h", reason: "x".repeat(1_001) }, "reason", /1–1000 characters/],
    [{ for: "1h", owner: undefined }, "owner", /owner is required/],
    [{ fro: "1h" }, "", /Unknown key "fro" \(did you mean "for"\?\)/],
  ] as const
) {
  Deno.test(`a request with ${JSON.stringify(fields).slice(0, 60)} is refused at "${path}"`, () => {
    const { error } = overrideRequestSchema.safeParse({ ...REQUEST, ...fields });
    const issue = error?.issues.find((each) => each.path.join("/") === path && message.test(each.message));
    equal(issue !== undefined, true, JSON.stringify(error?.issues));
  });
}
