/** @module The settings block `history`. */
import { integer } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

/** How much of the history is kept: generations, and bytes of objects before and after. */
export const history = {
  shape: {
    history: section(
      mapping({
        keep: integer("keep", 1, 1_000_000_000).default(10_000).meta({
          reload: "live",
          description: "Generations that are kept; later changes delete older ones",
          examples: [1000],
        }),
        maxBytes: integer("maxBytes", 1024 * 1024, 2 ** 40, "bytes").default(256 * 1024 * 1024).meta({
          reload: "live",
          description:
            "Bytes of objects before and after that are kept; the last generation is kept whatever its size",
          examples: [67108864],
        }),
      }),
      "How much of the history of changes is kept",
    ).meta({ rare: true }),
  },
};
