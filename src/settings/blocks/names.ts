/** @module The settings block `names`: how members by name are resolved. */
import { formatDuration } from "../../input/duration.ts";
import { oneOrMore, refuse, socketAddress, together } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { parseSocketAddress } from "../../ip.ts";
import { mapping, millis } from "../fields.ts";
import type { FileOf } from "../loading.ts";

const shape = {
  names: section(
    mapping({
      resolvers: oneOrMore("resolvers", socketAddress("resolver", 53)).prefault([]).meta({
        reload: "live",
        description: "Addresses of resolvers, with or without port; none = the system's",
        example: ["192.0.2.53", "[2001:db8::53]:53"],
      }),
      minTtl: millis("minTtl", { minMs: 1000, maxMs: 86_400_000, byDefault: 5000 }).meta({
        reload: "live",
        description: "A name is kept at least this long, whatever its TTL",
        example: "5s",
      }),
      maxTtl: millis("maxTtl", { minMs: 1000, maxMs: 86_400_000, byDefault: 300_000 }).meta({
        reload: "live",
        description: "A name is looked up again at least this often",
        example: "5m",
      }),
      timeout: millis("timeout", { minMs: 100, maxMs: 60_000, byDefault: 2000 }).meta({
        reload: "live",
        description: "Time that a resolver may take",
        example: "2s",
      }),
    }).check(together(["minTtl", "maxTtl"], (payload) => {
      const { minTtl, maxTtl } = payload.value;
      if (minTtl <= maxTtl) return;
      const message = `minTtl must be at most maxTtl (${formatDuration(maxTtl)}), is ${
        formatDuration(minTtl)
      }`;
      refuse(payload, message, ["minTtl"]);
    })),
    "How members by name are resolved",
  ).meta({ rare: true }),
};

/** How members by name are resolved; milliseconds. No resolvers = the system's. */
export const names = {
  shape,
  settings: ({ names }: FileOf<typeof shape>) => ({
    names: { ...names, resolvers: names.resolvers.map((text) => parseSocketAddress(text)) },
  }),
};
