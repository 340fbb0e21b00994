/**
 * Random catalogs beside a plain reading of the rules: what is answered over DNS and in look-ups must be what the rules say of a
 * flat list of instances, in whichever order these came, moved and went.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { type Address, formatAddress } from "../../src/discovery/address.ts";
import type { Instance, Standing } from "../../src/discovery/catalog.ts";
import { Discovery } from "../../src/discovery/discovery.ts";
import { DnsAnswers } from "../../src/discovery/dns_answers.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { rcodeName, typeNumber } from "../../src/wire/record_type.ts";
import { ManualClock } from "../clock.ts";
import { TERMS, ZONE } from "./world.ts";

const ZONES = ["gg", "fr", "de"] as const;
const STANDINGS: readonly Standing[] = ["fresh", "fresh", "fresh", "stale", "lost", "foreign"];
const TYPES = ["SRV", "A", "AAAA", "TXT"] as const;
const IPS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];

/** Makes and asks so many catalogs. @throws {AssertionError} where an answer is another one */
export function agreeWithOracle(rounds: number, seed: number): void {
  const draw = seededRng(seed);
  const one = <Item>(items: readonly Item[]): Item => items[draw() % items.length]!;
  const clock = new ManualClock();
  const log = createLogger({ level: "error", format: "json", clock, write: () => {} });
  const none = () => {
    throw new Error("nothing is started");
  };
  const out = new Uint8Array(65_535);
  const place = (zones: readonly string[]): Address => ({
    ...{ service: one(["http", "smtp"]), job: one(["web", "api"]), env: one(["prod", "test"]) },
    ...{ product: one(["shop", "none"]), zone: one(zones) },
  });
  for (let round = 0; round < rounds; round++) {
    const discovery = new Discovery({
      terms: { ...TERMS, dnsAddr: null, servers: [] },
      ...{ clock, log, registry: new Registry({}), answer: none, read: none, keptFile: null },
      ...{ shared: null, sampling: null, sampled: none },
    });
    const all = new Map<string, Instance>();
    const standings = new Map<string, Standing>([["gg", "fresh"]]);
    for (let steps = draw() % 40; steps > 0; steps--) {
      const address = place(ZONES);
      const { zone } = address;
      const id = `i${draw() % 12}`;
      // What was asked for before it changed is put in order again by what has changed.
      if (draw() % 2 === 0) discovery.lookUp(address);
      if (!standings.has(zone)) standings.set(zone, "lost");
      if (draw() % 4 === 0) {
        discovery.write([{ kind: "remove", zone, ids: [id] }]);
        all.delete(`${zone} ${id}`);
        continue;
      }
      const instance: Instance = {
        ...{ id, provider: "p", address, node: `n${draw() % 3}`, port: 1 + draw() % 9 },
        ...{ priority: draw() % 2, weight: draw() % 2, ips: IPS.filter(() => draw() % 3 === 0) },
      };
      discovery.write([{ kind: "put", zone, instances: [instance] }]);
      all.set(`${zone} ${id}`, instance);
    }
    for (const zone of standings.keys()) {
      standings.set(zone, one(STANDINGS));
      discovery.write([{ kind: "standing", zone, standing: standings.get(zone)! }]);
    }
    const areZonesKnown = draw() % 4 > 0;
    discovery.write([{ kind: "zones", areKnown: areZonesKnown }]);
    const answers = new DnsAnswers(discovery.catalog, { dnsZones: [ZONE], maxAnswers: 43, unixMs: () => 0 });
    for (let questions = 0; questions < 6; questions++) {
      const address = place([...ZONES, "zz"]);
      const type = one(TYPES);
      const state = { all: [...all.values()], standing: standings.get(address.zone) ?? null, areZonesKnown };
      const name = `${formatAddress(address)}.${ZONE}`;
      const query = encodeQuery({ id: 1, name, type: typeNumber(type)! });
      const { size } = answers.answer(query, query.length, out, { stream: true, everything: true });
      const message = decodeMessage(out.slice(0, size));
      const got = [rcodeName(message.rcode), ...message.answers.map(({ data }) => data)];
      if (message.authorities.length > 0 || !message.flags.aa) got[0] = "elsewhere";
      const wanted = oracle(state, address, type);
      const about = `${name} ${type} round ${round} of ${seed}`;
      equal(got.join("|"), wanted.join("|"), about);
      if (type !== "SRV") continue;
      const { rcode, instances } = discovery.lookUp(address);
      const told = instances.map(({ priority, weight, port, node }) =>
        `${priority} ${weight} ${port} ${node}.`
      );
      equal([rcode, ...told].join("|"), wanted.join("|"), about);
    }
  }
}

/** What the rules say. */
function oracle(
  { all, standing, areZonesKnown }: {
    readonly all: readonly Instance[];
    readonly standing: Standing | null;
    readonly areZonesKnown: boolean;
  },
  asked: Address,
  type: (typeof TYPES)[number],
): string[] {
  if (standing === "foreign") return ["elsewhere"];
  if (type === "TXT") return ["NOERROR"];
  if (standing === "lost" || (standing === null && !areZonesKnown)) return ["SERVFAIL"];
  if (standing === null) return ["NXDOMAIN"];
  const ofJob = all.filter(({ address: { zone, product, job } }) =>
    zone === asked.zone && product === asked.product && job === asked.job
  );
  if (ofJob.length === 0) return ["NXDOMAIN"];
  const there = ofJob.filter(({ address: { env, service } }) =>
    env === asked.env && service === asked.service
  )
    .sort((a, b) => a.id < b.id ? -1 : 1);
  if (type === "SRV") {
    return [
      "NOERROR",
      ...there.map(({ priority, weight, port, node }) => `${priority} ${weight} ${port} ${node}.`),
    ];
  }
  const ips = there.flatMap((instance) => instance.ips);
  if (there.length > 0 && ips.length === 0) return ["SERVFAIL"];
  return ["NOERROR", ...new Set(ips.filter((ip) => ip.includes(":") === (type === "AAAA")))];
}
