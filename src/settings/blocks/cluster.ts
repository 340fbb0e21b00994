/** @module The settings block `cluster`. */
import { z } from "zod";
import { mustBe } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";

const clusterId = mustBe("cluster.id", "1–63 letters, digits, underscores and hyphens");

/** Which cluster the node belongs to. */
export const cluster = {
  shape: {
    cluster: section(
      mapping({
        id: z.string({ error: clusterId }).regex(/^[A-Za-z0-9_-]{1,63}$/, { error: clusterId })
          .default("default").meta({
            description: "Name of the cluster; a label of every metric",
            examples: ["production"],
          }),
      }),
      "The cluster this node belongs to",
    ),
  },
};
