/** @module Tests of the classes of clients for which answers are compared. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import { EMPTY_GEO_DATA, type GeoData } from "../../src/geo/geo_data.ts";
import { formatIp } from "../../src/ip.ts";
import { type ClientClass, CLIENTS_MAX, clientsOf, EVERYONE } from "../../src/plan/clients.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { type Declared, desiredOf } from "../dns/world.ts";
import { knowledgeOf } from "../prove/steering/model.ts";
import { geoDataOf } from "../prove/steering/product.ts";

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

/** Half of 64/8 is in DE, a quarter in FR; 65/8 is in Europe, whoever knows where. */
const DATABASE = shared(writeMmdb({
  ipVersion: 6,
  networks: [
    ["64.0.0.0/9", flatRecord({ country: "DE", continent: "EU", asn: 64_500 })],
    ["64.128.0.0/10", flatRecord({ country: "FR", continent: "EU", asn: 64_501 })],
    ["65.0.0.0/8", flatRecord({ continent: "EU" })],
    ["2001:db8::/32", flatRecord({ country: "DE", continent: "EU", asn: 64_500 })],
  ],
}));
const GEO_DATA: GeoData = {
  ...EMPTY_GEO_DATA,
  edition: 1,
  city: [DATABASE],
  extents: [null],
  asn: [DATABASE],
};

type PoolFields = Partial<NonNullable<Declared["pools"]>[number]>;

function classesOf(fields: PoolFields, geoData = GEO_DATA, max = CLIENTS_MAX): readonly ClientClass[] {
  const desired = desiredOf({ pools: [{ name: "web", members: ["192.0.2.1"], ...fields }] });
  return clientsOf([desired], geoData, max);
}

function weightsOf(classes: readonly ClientClass[]): Record<string, number> {
  const weights: Record<string, number> = {};
  for (const { label, weight } of classes) weights[label] = (weights[label] ?? 0) + weight;
  return weights;
}

Deno.test("clients are everyone as long as no pool looks at them", () => {
  equal(classesOf({}), EVERYONE);
  equal(clientsOf([], GEO_DATA), EVERYONE);
});

Deno.test("countries weigh as many addresses as they have; a /32 of IPv6 counts as a /20", () => {
  const { DE, FR, ...rest } = weightsOf(classesOf({ algorithm: "geoip" }));
  deepEqual([DE, FR, rest["continent EU"]], [2 ** 23 + 4_096, 2 ** 22, 2 ** 24]);
  ok(rest["others"]! > 2 ** 31);
});

Deno.test("a rule's prefix has a label and a client of its own, and exactly its weight, without those within", () => {
  const geoRules = [
    { cidr: "64.0.0.0/12", member: 0 },
    { cidr: "64.0.0.0/13", member: 0 },
    { cidr: "203.0.113.0/24", member: 0 },
    { cidr: "2001:db8:1::/48", member: 0 },
  ];
  const classes = classesOf({ geoRules });
  const weights = weightsOf(classes);
  deepEqual(
    [weights["64.0.0.0/12"], weights["64.0.0.0/13"], weights["203.0.113.0/24"], weights["2001:db8:1::/48"]],
    [2 ** 19, 2 ** 19, 256, 1 / 16],
  );
  // Clients in France and elsewhere that are drawn from it don't make it heavier.
  equal(weightsOf(classesOf({ geoRules: [{ cidr: "64.0.0.0/8", member: 0 }] }))["64.0.0.0/8"], 2 ** 24);
  const [wide] = classes.filter(({ label }) => label === "64.0.0.0/12");
  equal(formatIp(wide!.address), "64.15.255.255");
});

Deno.test("a prefix that longer ones fill has no client", () => {
  const geoRules = ["64.0.0.0/12", "64.0.0.0/13", "64.8.0.0/13"].map((cidr) => ({ cidr, member: 0 }));
  const weights = weightsOf(classesOf({ geoRules }));
  ok(!("64.0.0.0/12" in weights) && "64.8.0.0/13" in weights);
});

Deno.test("an autonomous system has a label where a rule names it, and only there", () => {
  const geoRules = [{ asn: 64_501, member: 0 }];
  const weights = weightsOf(classesOf({ geoRules }));
  deepEqual([weights["AS64501"], "FR" in weights, "AS64500" in weights], [2 ** 22, false, false]);
});

Deno.test("lines of the map file are labels where a pool goes by it", () => {
  const map = compileMapFile("64.0.0.0/10 192.0.2.1\n203.0.113.0/24 192.0.2.1\n2001:db8::/32 192.0.2.1\n");
  const geoData = { ...GEO_DATA, map };
  const weights = weightsOf(classesOf({ algorithm: "map-file" }, geoData));
  deepEqual(
    [weights["64.0.0.0/10"], weights["203.0.113.0/24"], weights["2001:db8::/32"], weights["DE"]],
    [2 ** 22, 256, 4_096, undefined],
  );
  ok(!("203.0.113.0/24" in weightsOf(classesOf({ algorithm: "geoip" }, geoData))));
});

Deno.test("where nothing is known of clients, those under hash are others all over the address space", () => {
  const classes = classesOf({ algorithm: "hash" }, EMPTY_GEO_DATA);
  deepEqual(Object.keys(weightsOf(classes)), ["others"]);
  ok(classes.length > 200);
});

Deno.test("there are no more classes than asked for, labels of rules come first, and their weights stay", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const geoData = geoDataOf(knowledgeOf(seed), seed);
    const rules = { algorithm: "map-file", geoRules: [{ cidr: "203.0.113.0/24", member: 0 }] } as const;
    const all = weightsOf(classesOf(rules, geoData, 100_000));
    for (const max of [4, 16, 256]) {
      const classes = classesOf(rules, geoData, max);
      ok(classes.length <= max, `${classes.length} > ${max}`);
      const weights = weightsOf(classes);
      equal(weights["203.0.113.0/24"], 256);
      for (const [label, weight] of Object.entries(weights)) {
        ok(Math.abs(weight / all[label]! - 1) < 1e-9, `${label}: ${weight} instead of ${all[label]}`);
        ok(weight > 0);
      }
    }
  }
});

Deno.test("classes are the same each time", () => {
  const fields = { algorithm: "geoip" } as const;
  deepEqual(classesOf(fields, { ...GEO_DATA, edition: 2 }), classesOf(fields));
});

Deno.test("a database whose tree goes round in a circle has an end", () => {
  const bytes = new Uint8Array(DATABASE.slice(0));
  // Both edges of the root lead back to it.
  bytes.fill(0, 0, 6);
  const geoData = { ...GEO_DATA, edition: 3, city: [shared(bytes)] };
  ok(classesOf({ algorithm: "geoip" }, geoData).length <= CLIENTS_MAX);
});
