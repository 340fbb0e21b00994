/**
 * Times and rules as accounts write them.
 *
 * @module
 */
import type { ClientRule } from "../balance/rule_table.ts";
import { familyOf, formatPrefix } from "../ip.ts";

/** Unix milliseconds as RFC 3339, to the second. */
export function time(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d{3}Z$/, "Z");
}

/** What a geo rule looks at: `cidr 192.0.2.0/24`, `AS 64500`, `country DE`, `continent EU`. */
export function formatRule({ match }: ClientRule): string {
  switch (match.kind) {
    case "cidr": {
      const bytes = Uint8Array.from(match.prefix);
      return `cidr ${formatPrefix({ family: familyOf(bytes), bytes, length: match.bits })}`;
    }
    case "asn":
      return `AS ${match.number}`;
    default:
      return `${match.kind} ${String.fromCharCode(match.code >> 8, match.code & 0xff)}`;
  }
}
