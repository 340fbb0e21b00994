/** @module The settings block `guards`. */
import { integer } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

/** What a change may do without being forced. */
export const guards = {
  shape: {
    guards: section(
      mapping({
        movedPercent: integer("movedPercent", 1, 100).default(30).meta({
          reload: "live",
          description:
            "A change that gives clients other answers than now to more of all answers than this is " +
            "refused unless it is forced; 100 = never",
          examples: [20],
        }),
        deletedPercent: integer("deletedPercent", 1, 100).default(30).meta({
          reload: "live",
          description:
            "A change that deletes more of the objects of any kind than this is refused unless it is " +
            "forced; 100 = never",
          examples: [10],
        }),
        minObjects: integer("minObjects", 1, 1_000_000).default(10).meta({
          reload: "live",
          description:
            "With fewer services, or objects of that kind, than this the two percentages don't count: a " +
            "small model changes in large steps",
          examples: [50],
        }),
      }),
      "What a change may do without being forced; a name that would be left without addresses is always refused",
    ).meta({ rare: true }),
  },
};
