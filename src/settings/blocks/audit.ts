/** @module The settings block `audit`. */
import { integer } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, millis } from "../fields.ts";

const DAY_MS = 24 * 3_600_000;

/** How much of the audit is kept: changes and as many refused attempts, and how long. */
export const audit = {
  shape: {
    audit: section(
      mapping({
        keep: integer("keep", 1, 10_000_000).default(10_000).meta({
          reload: "live",
          description: "Changes that are kept, and as many refused attempts; later ones delete older ones",
          examples: [1000],
        }),
        maxAge: millis("maxAge", { minMs: 1000, maxMs: 3_650 * DAY_MS, byDefault: 365 * DAY_MS }).meta({
          reload: "live",
          description: "What is older is deleted",
          example: "90d",
        }),
      }),
      "How much is kept of who changed what, and of what was refused",
    ).meta({ rare: true }),
  },
};
