/**
 * The settings blocks `loadbalancer` and `health`: the static fallback, whose endpoints `health` probes, and what the
 * node makes of health at large.
 *
 * @module
 */
import { formatDuration } from "../../input/duration.ts";
import { decimal, integer, oneOrMore, refuse, socketAddress, together } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { parseSocketAddress } from "../../ip.ts";
import {
  checkTimeout,
  fallbackOf,
  HEALTH_ALIASES,
  healthShape,
  loadbalancerSchema,
} from "../../model/fallback_schema.ts";
import type { Fallback } from "../../model/model.ts";
import { CHECK_KEYS_ELSEWHERE } from "../../model/not_here.ts";
import { lackOf } from "../../model/steering.ts";
import { mapping, millis } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { geoip } from "./geoip.ts";
import { mapFile } from "./map_file.ts";

/** Keys of the health block that are about the node and not about the endpoints of the static fallback. */
const healthOfNode = {
  startTimeout: millis("startTimeout", { minMs: 0, maxMs: 60_000, byDefault: 2000 }).meta({
    reload: "restart",
    commentedOut: false,
    description: "Longest wait for a first round of probes before answering",
    example: "2s",
  }),
  flipGuard: section(
    mapping({
      share: decimal("share", 0, 1).default(0.5).meta({
        description:
          "Share of all targets; when more go down within one interval the guard trips; 0 = no guard",
        examples: [0.5],
      }),
      atLeast: integer("atLeast", 1, 1_000_000).default(5).meta({
        description: "At least this many must go down",
        examples: [5],
      }),
      hold: millis("hold", { minMs: 1000, maxMs: 3_600_000, byDefault: 30_000 }).meta({
        description: "How long the last good state is held before it fails over all the same",
        example: "30s",
      }),
    }),
    "Holds the last good state when very many targets go down at once",
  ).meta({ rare: true }),
  canaries: section(
    mapping({
      targets: oneOrMore("targets", socketAddress("target")).prefault([]).meta({
        description:
          "Addresses with ports that accept TCP as long as this node can see at all; none = no canaries",
        example: ["192.0.2.1:443"],
      }),
      interval: millis("interval", { minMs: 250, maxMs: 3_600_000, byDefault: 2000 }).meta({
        description: "Time between two probes of a canary",
        example: "2s",
      }),
      timeout: millis("timeout", { minMs: 10, maxMs: 60_000, byDefault: 1000 }).meta({
        description: "Time such a probe may take; at most the interval",
        example: "1s",
      }),
      hold: millis("hold", { minMs: 1000, maxMs: 86_400_000, byDefault: 300_000 }).meta({
        description: "How long the last good state is held while none of them answers",
        example: "5m",
      }),
    }).check(together(["interval", "timeout"], (payload) => {
      const { interval, timeout } = payload.value;
      if (timeout <= interval) return;
      const message = `timeout must be at most interval (${formatDuration(interval)}), is ${
        formatDuration(timeout)
      }`;
      refuse(payload, message, ["timeout"]);
    })),
    "Reference targets, which tell a blind node from backends that are down",
  ).meta({ rare: true }),
};

const shape = {
  loadbalancer: section(loadbalancerSchema, "The static fallback: answers names that nothing else answers")
    .meta({ reload: "live" }),
  health: section(
    mapping({ ...healthShape, ...healthOfNode }, {
      aliases: HEALTH_ALIASES,
      elsewhere: CHECK_KEYS_ELSEWHERE,
    }).check(together(["checkInterval", "timeout"], checkTimeout)),
    "How the endpoints of loadbalancer are probed; without any of the keys from type to http they aren't",
  ).meta({ reload: "live", commentedOut: true }),
};

/** The static fallback with its checks, `null` without endpoints; and how health starts and is guarded. */
export const loadbalancer = {
  shape,
  settings: (file: FileOf<typeof shape>, loading: Loading) => {
    const { startTimeout, flipGuard, canaries } = file.health;
    const isProbed = Object.keys(loading.written("health")).some((key) => !Object.hasOwn(healthOfNode, key));
    const joined = fallbackOf(file.loadbalancer, isProbed ? file.health : null);
    if ("problem" in joined && !loading.isFaulty("health")) loading.problem(["health"], joined.problem);
    const fallback = "problem" in joined ? null : joined.fallback;
    if (fallback) noteSteering(fallback, loading);
    return {
      fallback,
      health: {
        startTimeout,
        flipGuard,
        canaries: { ...canaries, targets: canaries.targets.map((text) => parseSocketAddress(text)) },
      },
    };
  },
};

function noteSteering(fallback: Fallback, loading: Loading): void {
  const lack = lackOf(fallback, { ...loading.of(geoip), ...loading.of(mapFile) });
  if (lack === null) return;
  loading.note(["loadbalancer", "algorithm"], `endpoints of loadbalancer only rotate: ${lack}`);
}
