/** @module The settings block `log`. */
import { choice } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

/** What is logged, and how. */
export const log = {
  shape: {
    log: section(
      mapping({
        level: choice("level", ["debug", "info", "warn", "error"]).default("info").meta({
          description: "Least severity that is logged",
          examples: ["info"],
        }),
        format: choice("format", ["auto", "text", "json"]).default("auto").meta({
          description: "auto = text on a terminal, else JSON lines",
          examples: ["json"],
        }),
      }),
      "What is logged",
    ),
  },
};
