/** @module The settings block `geoip`: where clients are. */
import { z } from "zod";
import { decimal, ipAddress, mustBe, oneOrMore } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, requiredPath } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";

const shape = {
  geoip: section(
    mapping({
      database: oneOrMore("geoip.database", requiredPath("geoip.database")).prefault([]).meta({
        reload: "live",
        description:
          "MaxMind DB with countries or cities; a list where one file is for IPv4 and one for IPv6",
        example: ["/var/lib/GeoIP/GeoLite2-City.mmdb"],
      }),
      asnDatabase: oneOrMore("geoip.asnDatabase", requiredPath("geoip.asnDatabase")).prefault([]).meta({
        reload: "live",
        description: "MaxMind DB with autonomous systems; a list where one file is for IPv4 and one for IPv6",
        example: ["/var/lib/GeoIP/GeoLite2-ASN.mmdb"],
      }),
      endpointLocations: z.record(
        ipAddress("address"),
        mapping({
          latitude: decimal("latitude", -90, 90).meta({ description: "Degrees north", examples: [50.1] }),
          longitude: decimal("longitude", -180, 180).meta({ description: "Degrees east", examples: [8.7] }),
        }),
        {
          error: (issue) =>
            (issue.code === "invalid_key" ? issue.issues[0]?.message : undefined) ??
              mustBe("endpointLocations", "a mapping of address to {latitude, longitude}")(issue),
        },
      ).default({}).meta({
        reload: "live",
        description:
          "Where addresses are, by address; for members and endpoints without coordinates of their own",
        examples: [{ "192.0.2.80": { latitude: 50.1, longitude: 8.7 } }],
      }),
    }),
    "Where clients are",
  ),
};

/** Absolute paths of databases, one for both families, or one for each; and where addresses are (degrees). */
export const geoip = {
  shape,
  settings: (
    { geoip: { database, asnDatabase, endpointLocations } }: FileOf<typeof shape>,
    loading: Loading,
  ) => ({
    geoip: {
      database: database.map((path, i) => loading.database(["geoip", "database", i], path, "city")),
      asnDatabase: asnDatabase.map((path, i) => loading.database(["geoip", "asnDatabase", i], path, "asn")),
      endpointLocations,
    },
  }),
};
