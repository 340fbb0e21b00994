/** @module The settings block `node`. */
import { z } from "zod";
import { checkCoordinates, coordinates, mustBe, regionName, together } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";

const nodeId = mustBe("node.id", "1–63 letters, digits, underscores and hyphens, or empty");
const { latitude, longitude } = coordinates();

const shape = {
  node: section(
    mapping({
      id: z.string({ error: nodeId }).regex(/^[A-Za-z0-9_-]{0,63}$/, { error: nodeId }).default("").meta({
        description: "Name of this node, unique in its cluster; empty = the host name with - for .",
        examples: ["fra1-a"],
      }),
      region: regionName("region").default("").meta({
        description: "Site of this node, as its status shows it; members have regions of their own",
        examples: ["eu-central"],
      }),
      latitude: latitude.meta({ absent: true }),
      longitude: longitude.meta({ absent: true }),
    }).check(together(["latitude", "longitude"], checkCoordinates)),
    "This node",
  ),
};

/** What this node is called, and the site that it stands in. */
export const node = {
  shape,
  settings: ({ node: { id, region } }: FileOf<typeof shape>, { outside }: Loading) => ({
    node: { id: id || idOf(outside.hostname()), region },
  }),
};

function idOf(hostname: string): string {
  const id = hostname.replaceAll(".", "-").replace(/[^A-Za-z0-9_-]/g, "").slice(0, 63);
  return id === "" ? "node" : id;
}
