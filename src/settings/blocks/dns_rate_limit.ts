/** @module The settings section `dns.rateLimit`. */
import type { z } from "zod";
import { cidr, flag, integer, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

/** How many answers a client may get. */
export const rateLimit: z.ZodType = section(
  mapping({
    enabled: flag("enabled").default(false).meta({
      description: "Limit answers per client prefix",
      examples: [true],
    }),
    responsesPerSecond: integer("responsesPerSecond", 1, 1_000_000).default(20).meta({
      description: "Equal answers a second for one prefix",
      examples: [20],
    }),
    slip: integer("slip", 0, 10).default(2).meta({
      description: "Every n-th dropped answer is sent truncated; 0 = none",
      examples: [2],
    }),
    ipv4PrefixLength: integer("ipv4PrefixLength", 8, 32).default(24).meta({
      description: "Clients of such a prefix count as one",
      examples: [24],
    }),
    ipv6PrefixLength: integer("ipv6PrefixLength", 16, 128).default(56).meta({
      description: "Clients of such a prefix count as one",
      examples: [56],
    }),
    exempt: oneOrMore("exempt", cidr("exempt")).prefault(["127.0.0.0/8", "::1/128"]).meta({
      description: "Prefixes without limit",
      example: ["127.0.0.0/8", "::1/128"],
    }),
  }),
  "Response rate limiting",
).meta({ absent: true });
