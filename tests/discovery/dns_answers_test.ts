/**
 * Answers of addresses with more instances than an answer has room for, over UDP and over TCP, in whichever order they are
 * asked for.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Catalog, type Instance } from "../../src/discovery/catalog.ts";
import { DnsAnswers } from "../../src/discovery/dns_answers.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { leftBehind } from "./left_behind_process.ts";
import { answerMutated } from "./mutations.ts";
import { ZONE } from "./world.ts";

const ADDRESS = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };

function askerOf(count: number, catalog = new Catalog()) {
  const instances = Array.from({ length: count }, (_, i): Instance => ({
    ...{ id: `i${String(i).padStart(5, "0")}`, provider: "p", address: ADDRESS, node: `h${i % 100}` },
    ...{ ips: [`198.51.${i >> 8}.${i & 255}`], port: 1 + i, priority: 0, weight: 0 },
  }));
  catalog.apply({ kind: "put", zone: "gg", instances });
  catalog.apply({ kind: "standing", zone: "gg", standing: "fresh" });
  const answers = new DnsAnswers(catalog, { dnsZones: [ZONE], maxAnswers: 43, unixMs: () => 0 });
  const out = new Uint8Array(65_535);
  return (type: number, { stream }: { readonly stream: boolean }) => {
    const name = `http.web.prod.shop.gg.${ZONE}`;
    const query = encodeQuery({ id: 1, name, type, edns: { udpSize: 1232 } });
    const { size } = answers.answer(query, query.length, out, { stream, everything: true });
    const { flags: { tc }, answers: records } = decodeMessage(out.slice(0, size));
    return { size, tc, records: records.map(({ data }) => data) };
  };
}

Deno.test("ten thousand instances: the first of them, and TC, over UDP as over TCP", () => {
  for (const type of [TYPE.SRV, TYPE.A]) {
    const ask = askerOf(10_000);
    const first = ask(type, { stream: false });
    const stream = ask(type, { stream: true });
    equal(first.records.length, 43);
    ok(first.tc && stream.tc);
    ok(stream.size <= 65_535 && stream.size > 65_400, `${stream.size} bytes`);
    deepEqual(stream.records.slice(0, 43), first.records);
    deepEqual(ask(type, { stream: false }), first);
    deepEqual(askerOf(10_000)(type, { stream: true }), stream);
  }
});

Deno.test("of an address that changes again and again the answers are those of now", () => {
  const catalog = new Catalog();
  const ask = askerOf(40, catalog);
  const [first] = catalog.instancesOf("gg");
  const change = (instance: Partial<Instance>) =>
    catalog.apply({ kind: "put", zone: "gg", instances: [{ ...first!, ...instance }] });
  const types = [TYPE.SRV, TYPE.A, TYPE.AAAA];
  const askAll = () => types.map((type) => ask(type, { stream: false }));
  const before = askAll();
  change({ port: 77, node: "a-longer-name.example.net", ips: ["198.51.0.0", "2001:db8::1"] });
  const [srv, a, aaaa] = askAll();
  deepEqual(srv!.records, ["0 0 77 a-longer-name.example.net.", ...before[0]!.records.slice(1)]);
  deepEqual([a!.records, aaaa!.records], [before[1]!.records, ["2001:db8::1"]]);
  catalog.apply({ kind: "remove", zone: "gg", ids: [first!.id] });
  deepEqual(ask(TYPE.SRV, { stream: false }).records, before[0]!.records.slice(1));
  change({});
  deepEqual(askAll(), before);
});

Deno.test("answers of addresses that change again and again leave little behind", async () => {
  const bytes = await leftBehind("answers");
  ok(bytes < 100_000, `${bytes} bytes of fifty changes, each of an address of twenty`);
});

Deno.test("instances that fit over TCP are all told there, whatever was asked before", () => {
  for (const type of [TYPE.SRV, TYPE.A]) {
    const ask = askerOf(500);
    const first = ask(type, { stream: false });
    ok(first.tc);
    const stream = ask(type, { stream: true });
    equal(stream.tc, false);
    equal(stream.records.length, 500);
  }
});

Deno.test("whatever a byte of a query is changed to, its answer can be read, or there is none", () => {
  answerMutated(20_000, 20);
});
