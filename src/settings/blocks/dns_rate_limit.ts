/** @module The settings section `dns.rateLimit`. */
import type { z } from "zod";
import { cidr, flag, integer, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

/** How many equal answers a network may get. */
export interface RateLimitSettings {
  /** Otherwise nothing is counted. */
  enabled: boolean;
  /** 1–1,000,000. */
  responsesPerSecond: number;
  /** 0–10; 0 = none is sent short. */
  slip: number;
  /** 8–32. */
  ipv4PrefixLength: number;
  /** 16–128. */
  ipv6PrefixLength: number;
  /** Prefixes as text. */
  exempt: string[];
}

/** How many answers a client may get. */
export const rateLimit: z.ZodType<RateLimitSettings> = section(
  mapping({
    enabled: flag("enabled").default(false).meta({
      description: "Limit answers over UDP, of each name and for each network of clients",
      examples: [true],
    }),
    responsesPerSecond: integer("responsesPerSecond", 1, 1_000_000).default(20).meta({
      description: "Answers a second of one name, or of what doesn't exist in one zone, for one network",
      examples: [20],
    }),
    slip: integer("slip", 0, 10).default(2).meta({
      description: "Every n-th answer beyond that is sent short, with TC; 0 = none",
      examples: [2],
    }),
    ipv4PrefixLength: integer("ipv4PrefixLength", 8, 32).default(24).meta({
      reload: "restart",
      description: "Clients with so many leading bits in common count as one, those with IPv4",
      examples: [24],
    }),
    ipv6PrefixLength: integer("ipv6PrefixLength", 16, 128).default(56).meta({
      reload: "restart",
      description: "The same for IPv6",
      examples: [56],
    }),
    exempt: oneOrMore("exempt", cidr("exempt")).prefault(["127.0.0.0/8", "::1/128"]).meta({
      description: "Prefixes of clients that aren't limited",
      example: ["127.0.0.0/8", "::1/128"],
    }),
  }),
  "Response rate limiting",
).meta({ reload: "live", rare: true });
