/**
 * What is left behind by work that is done again and again, until the whole heap is collected: `left_behind.ts answers | lists`,
 * with `--v8-flags=--expose-gc`. Says how many bytes.
 *
 * @module
 */
import { Catalog, type Instance } from "../../src/discovery/catalog.ts";
import { DirectoryNames } from "../../src/discovery/directory_names.ts";
import { DnsAnswers } from "../../src/discovery/dns_answers.ts";
import { encodeQuery } from "../../src/wire/message.ts";
import { TYPE } from "../../src/wire/record_type.ts";

const { gc } = globalThis as { gc?: (options?: { type: "minor" }) => void };
if (!gc) throw new Error("Run with --v8-flags=--expose-gc");

const ROUNDS = 50;

/** Whatever lives from one round to the next is old then. */
const KINDS: Readonly<Record<string, () => () => Promise<void>>> = { answers, lists };

/** Each address changes once in a round, and is asked for. */
function answers(): () => Promise<void> {
  const catalog = new Catalog();
  const addresses = Array.from({ length: 50 }, (_, i) => ({
    ...{ service: "http", job: `job${i}`, env: "prod", product: "shop", zone: "gg" },
  }));
  const put = (job: number, i: number, port: number) => {
    const instance: Instance = {
      ...{ id: `${job}-${i}`, provider: "p", address: { ...addresses[job]! }, node: `h${i}` },
      ...{ ips: [`192.0.2.${i}`], port, priority: 0, weight: 0 },
    };
    catalog.apply({ kind: "put", zone: "gg", instances: [instance] });
  };
  for (const job of addresses.keys()) for (let i = 0; i < 20; i++) put(job, i, 1);
  catalog.apply({ kind: "standing", zone: "gg", standing: "fresh" });
  const all = new DnsAnswers(catalog, { dnsZones: ["example.org"], maxAnswers: 43, unixMs: () => 0 });
  const out = new Uint8Array(1232);
  let port = 1;
  return () => {
    port++;
    for (const job of addresses.keys()) {
      put(job, port % 20, port);
      const name = `http.job${job}.prod.shop.gg.example.org`;
      const query = encodeQuery({ id: 1, name, type: TYPE.SRV, edns: { udpSize: 1232 } });
      all.answer(query, query.length, out, { stream: false, everything: true });
    }
    return Promise.resolve();
  };
}

function lists(): () => Promise<void> {
  const directory = Deno.makeTempDirSync();
  globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
  for (let i = 0; i < 100; i++) Deno.writeTextFileSync(`${directory}/${i}.json`, "");
  const names = new DirectoryNames(directory);
  return async () => {
    for (let i = 0; i < 10; i++) if ((await names.list()).length !== 100) throw new Error("It has 100 names");
  };
}

const round = KINDS[Deno.args[0]!]!();
const taken = () => Deno.memoryUsage().heapUsed + Deno.memoryUsage().external;
for (let i = 0; i < ROUNDS; i++) {
  // Code is compiled, and rooms have their size.
  if (i === ROUNDS / 2) gc();
  await round();
  gc({ type: "minor" });
  gc({ type: "minor" });
}
const before = taken();
gc();
console.log((before - taken()) / (ROUNDS / 2));
