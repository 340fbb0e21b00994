/**
 * Addresses, providers' files and answers of Consul with bytes changed: each is read, or refused in words. And queries, each of
 * which has an answer that can be read, or none.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { parseAddress } from "../../src/discovery/address.ts";
import { Catalog } from "../../src/discovery/catalog.ts";
import {
  readEntries,
  readFailing,
  readJobs,
  readNode,
  readNodes,
  readServers,
  readServiceOf,
} from "../../src/discovery/consul_entries.ts";
import { DnsAnswers } from "../../src/discovery/dns_answers.ts";
import { readProvider } from "../../src/discovery/provider_file.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { typeNumber } from "../../src/wire/record_type.ts";

const TAGS = ["glimpse:env=prod", "glimpse:job=web", "glimpse:service=http"];
const ENTRY = {
  Node: { Node: "web1", Address: "192.0.2.7" },
  Service: {
    ID: "a",
    Service: "shop",
    Address: "2001:db8::1",
    Port: 80,
    Tags: TAGS,
    Weights: { Passing: 5 },
  },
  Checks: [{ Status: "passing" }],
};
const SEEDS: readonly string[] = [
  JSON.stringify([ENTRY, ENTRY]),
  JSON.stringify({ shop: TAGS, consul: [] }),
  JSON.stringify({ Node: ENTRY.Node, Services: [ENTRY.Service, ENTRY.Service] }),
  JSON.stringify([{ Node: "web1", ServiceID: "a", Status: "critical" }]),
  JSON.stringify([{ Name: "s1.gg", Addr: "192.0.2.1", Status: 1 }]),
  JSON.stringify({
    instances: [{ id: "a", address: "http.web.prod.shop.gg", port: 80, ipAddress: "192.0.2.1" }],
  }),
  JSON.stringify({ services: [{ id: "a", name: "shop", port: 80, tags: TAGS }] }),
  "http.web.prod.shop.gg",
];
const BYTES = new TextEncoder().encode('{}[]":,\\.-_/ 0159eE+truefalsn\x00\x1f\x7f\xc3\xff\ufeff');
const TERMS = { provider: "p", zone: "gg", node: "n", ips: [], ignoreScripts: false };

/** Reads so many of them. @throws {AssertionError} with the text that is neither read nor refused in words */
export function readMutated(rounds: number, seed: number): void {
  const random = seededRng(seed);
  const seeds = SEEDS.map((text) => new TextEncoder().encode(text));
  for (let i = 0; i < rounds; i++) {
    const bytes = seeds[i % seeds.length]!.slice();
    for (let n = 1 + random() % 4; n > 0; n--) {
      bytes[random() % bytes.length] = BYTES[random() % BYTES.length]!;
    }
    const text = new TextDecoder().decode(bytes);
    const { problems, instances } = readProvider("f", bytes, TERMS);
    ok(
      problems.every(({ message }) => message !== "") && (problems.length === 0 || instances.length === 0),
      text,
    );
    refusesInWords(() => parseAddress(text), text);
    const readServices = (each: unknown) => {
      const { node, services } = readNode(each);
      return services.map((service) => readServiceOf(node, service, "gg"));
    };
    const readOfConsul = [(each: unknown) => readEntries(each, "gg"), readJobs, readServers, readServices];
    for (const read of [...readOfConsul, readNodes, readFailing]) {
      refusesInWords(() => read(JSON.parse(text)), text);
    }
  }
}

function refusesInWords(read: () => unknown, text: string): void {
  try {
    read();
  } catch (error) {
    ok(error instanceof SyntaxError && error.message !== "", `${error} of ${text}`);
  }
}

const ZONE = "srv.example.org";
const NAMES = ["http.web.prod.shop.gg", "http.web.prod.shop.fr", "ns0.gg", "gg", "x"];

/** Answers so many queries with bytes changed. @throws {AssertionError} with the one whose answer is none */
export function answerMutated(rounds: number, seed: number): void {
  const random = seededRng(seed);
  const catalog = new Catalog();
  const { instances } = readProvider("f", new TextEncoder().encode(SEEDS[3]), TERMS);
  catalog.apply({ kind: "put", zone: "gg", instances });
  catalog.apply({ kind: "servers", zone: "gg", servers: [{ host: "a", ips: ["192.0.2.1"] }] });
  catalog.apply({ kind: "standing", zone: "gg", standing: "fresh" });
  catalog.apply({ kind: "servers", zone: "fr", servers: [{ host: "b", ips: ["2001:db8::1"] }] });
  catalog.apply({ kind: "standing", zone: "fr", standing: "foreign" });
  const answers = new DnsAnswers(catalog, { dnsZones: [ZONE], maxAnswers: 43, unixMs: () => 0 });
  const seeds = NAMES.flatMap((name) =>
    ["SRV", "A", "NS", "TXT"].map((type) =>
      encodeQuery({ id: 1, name: `${name}.${ZONE}`, type: typeNumber(type)!, edns: { udpSize: 1232 } })
    )
  );
  const out = new Uint8Array(65_535);
  for (let i = 0; i < rounds; i++) {
    const packet = seeds[i % seeds.length]!.slice();
    for (let n = 1 + random() % 4; n > 0; n--) packet[random() % packet.length] = random() & 255;
    const length = random() % 8 === 0 ? random() % packet.length : packet.length;
    const stream = random() % 2 === 0;
    const { size } = answers.answer(packet, length, out, { stream, everything: true });
    ok(size <= (stream ? 65_535 : 1232), packet.toString());
    if (size === 0) continue;
    const answer = out.slice(0, size);
    answersTo(answer, packet);
    try {
      decodeMessage(answer);
    } catch (error) {
      throw new Error(`${error} of the answer to ${packet}`);
    }
  }
}

/** An answer says which query it is of. */
function answersTo(answer: Uint8Array, query: Uint8Array): void {
  equal(answer[0]! << 8 | answer[1]!, query[0]! << 8 | query[1]!);
  ok((answer[2]! & 0x80) !== 0);
}
