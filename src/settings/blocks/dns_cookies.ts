/** @module The settings section `dns.cookies`. */
import type { z } from "zod";
import { flag, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, requiredSecret } from "../fields.ts";
import type { Loading } from "../loading.ts";

/** Secrets at a time; two are needed to replace one by another. */
const SECRETS_MAX = 4;

/** Whether cookies are answered, and the secrets that they are made with. */
export interface CookieSettings {
  /** Otherwise the option is ignored. */
  enabled: boolean;
  /** 32 hex digits each, the newest first; none = the node draws one. */
  secret: string[];
}

/** DNS cookies (RFC 7873). */
export const cookies: z.ZodType<CookieSettings> = section(
  mapping({
    enabled: flag("enabled").default(true).meta({
      description: "Answer DNS cookies (RFC 7873, RFC 9018)",
      examples: [true],
    }),
    secret: oneOrMore("secret", requiredSecret("dns.cookies.secret")).prefault([]).meta({
      secret: true,
      description:
        "32 hex digits shared by nodes behind one address, or a list, the newest first; by default each start draws its own",
      example: ["${DNS_COOKIE_SECRET}"],
    }),
  }),
  "DNS cookies",
).meta({ reload: "live", rare: true });

/** Says which secrets are none, without showing them. */
export function checkCookieSecrets(secrets: readonly string[], loading: Loading): void {
  const at = ["dns", "cookies", "secret"];
  if (secrets.length > SECRETS_MAX) {
    loading.problem(at, `dns.cookies.secret may hold ${SECRETS_MAX} secrets at most, has ${secrets.length}`);
  }
  for (const [i, secret] of secrets.entries()) {
    if (!/^[0-9a-fA-F]{32}$/.test(secret)) {
      loading.problem(secrets.length === 1 ? at : [...at, i], "dns.cookies.secret must be 32 hex digits");
    }
  }
}
