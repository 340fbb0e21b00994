/** @module The settings block `queries`. */
import { flag, integer } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

/** Whether queries are counted by name and network for what-if, and how much of that is kept. */
export const queries = {
  shape: {
    queries: section(
      mapping({
        sketch: flag("sketch").default(false).meta({
          reload: "live",
          description: "Count queries by name, client network (/24, /48) and hour; no address is kept",
          examples: [true],
        }),
        maxBytes: integer("maxBytes", 1024 * 1024, 2 ** 40, "bytes").default(64 * 1024 * 1024).meta({
          reload: "live",
          description: "Bytes of counts that are kept; the oldest hours go first, and a day always fits",
          examples: [16777216],
        }),
      }),
      "What is kept of the queries, to try changes on",
    ).meta({ rare: true }),
  },
};
