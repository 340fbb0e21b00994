/**
 * Addresses, providers' files and answers of Consul with bytes changed: each is read, or refused in words.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { parseAddress } from "../../src/discovery/address.ts";
import { readEntries, readJobs, readServers } from "../../src/discovery/consul_entries.ts";
import { readProvider } from "../../src/discovery/provider_file.ts";

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
    for (const read of [(each: unknown) => readEntries(each, "gg"), readJobs, readServers]) {
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
