/** @module The settings section `dns.cookies`. */
import type { z } from "zod";
import { flag } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, secret } from "../fields.ts";

/** DNS cookies (RFC 7873). */
export const cookies: z.ZodType = section(
  mapping({
    enabled: flag("enabled").default(false).meta({
      description: "Answer DNS cookies (RFC 7873, RFC 9018)",
      examples: [true],
    }),
    secret: secret("dns.cookies.secret").meta({
      description: "32 hex digits shared by sites behind one address; by default each start draws its own",
      examples: ["${DNS_COOKIE_SECRET}"],
    }),
  }),
  "DNS cookies",
).meta({ absent: true });
