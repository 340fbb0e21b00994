/** @module The settings block `license`. */
import { choice } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, secret } from "../fields.ts";

/** Licensing. */
export const license = {
  shape: {
    license: section(
      mapping({
        secret: secret("license.secret").meta({
          variableAlias: "GSLB_LICENSE_SECRET",
          description: "Shared secret of tokens; none = licensing is off",
          examples: ["${PLEIADES_LICENSE_SECRET}"],
        }),
        key: secret("license.key").meta({
          variableAlias: "GSLB_LICENSE_KEY",
          description: "The token",
          examples: ["file:/etc/pleiades/license"],
        }),
        scope: choice("license.scope", ["node", "cluster"]).default("node").meta({
          description: "Whether the rate holds for each node or is split by the cluster's",
          examples: ["cluster"],
        }),
      }, { aliases: ["licenseKey"] }),
      "Licensing",
    ).meta({ absent: true }),
  },
  settings: () => ({}),
};
