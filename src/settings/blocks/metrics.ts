/** @module The settings block `metrics`. */
import { flag, ipAddress } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, port } from "../fields.ts";

/** Where `/metrics` is served; without an address on the API's listener. */
export const metrics = {
  shape: {
    metrics: section(
      mapping({
        enablePrometheus: flag("enablePrometheus").default(true).meta({
          description: "Serve /metrics",
          examples: [true],
        }),
        listenAddr: ipAddress("listenAddr").nullable().default(null).meta({
          description: "Address of a listener of its own; none = on the API's listener",
          examples: ["127.0.0.1"],
        }),
        port: port("port").default(9090).meta({ description: "Port of that listener", examples: [9090] }),
      }),
      "Metrics for Prometheus",
    ),
  },
};
