/** @module Limits of DNS in a node: from its settings to the workers, at the start and at a reload. */
import { deepEqual, equal, notDeepEqual } from "node:assert/strict";
import { RateTable } from "../../src/dns/rate_table.ts";
import { RCODE } from "../../src/wire/record_type.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { DnsLimits } from "../../src/node/dns_limits.ts";
import { seededRng } from "../../src/clock.ts";
import { ask, startTestNode, TEST_SETTINGS, until } from "../test_node.ts";

function settingsWith(dns: Partial<Settings["dns"]>): Settings {
  return { ...TEST_SETTINGS, dns: { ...TEST_SETTINGS.dns, domain: ["example.com"], ...dns } };
}

Deno.test("a reload takes over who is allowed, and needs no restart for it", async () => {
  await using node = await startTestNode(settingsWith({ allow: ["127.0.0.0/8"] }));
  const rcode = async () => (await ask(node, "example.com", "SOA")).rcode;
  equal(await rcode(), RCODE.NOERROR);
  deepEqual(await node.node.use(settingsWith({ allow: ["192.0.2.0/24"], amplificationMax: 10 })), []);
  await until(rcode, (now) => now === RCODE.REFUSED);
  deepEqual(await node.node.use(settingsWith({})), []);
  await until(rcode, (now) => now === RCODE.NOERROR);
});

Deno.test("a node draws its secret once, and uses those of its settings in their order", () => {
  const of = (cookies: Settings["dns"]["cookies"]) => settingsWith({ cookies });
  const limits = new DnsLimits(of({ enabled: true, secret: [] }), seededRng(1));
  const own = limits.terms.cookieSecrets;
  equal(own.length, 1);
  notDeepEqual(own, new DnsLimits(of({ enabled: true, secret: [] }), seededRng(1)).terms.cookieSecrets);
  limits.use(of({ enabled: false, secret: [] }));
  deepEqual(limits.terms.cookieSecrets, []);
  limits.use(of({ enabled: true, secret: ["00".repeat(16), "FF".repeat(16)] }));
  deepEqual(limits.terms.cookieSecrets, [new Uint8Array(16), new Uint8Array(16).fill(255)]);
  limits.use(of({ enabled: true, secret: [] }));
  deepEqual(limits.terms.cookieSecrets, own);
});

Deno.test("what is counted outlives a reload", () => {
  const on = settingsWith({ rateLimit: { ...TEST_SETTINGS.dns.rateLimit, enabled: true } });
  const limits = new DnsLimits(on, seededRng(1));
  const { table } = limits.terms.rate!;
  limits.use(settingsWith({}));
  equal(limits.terms.rate, null);
  limits.use(on);
  equal(limits.terms.rate!.table, table);
});

Deno.test("a process that takes over goes on with the secret and with what was counted", () => {
  const on = settingsWith({ rateLimit: { ...TEST_SETTINGS.dns.rateLimit, enabled: true } });
  const before = new DnsLimits(on, seededRng(1));
  new RateTable(before.terms.rate!.table).count(7, new Uint8Array(4), 24, 100);
  const after = new DnsLimits(on, seededRng(2), before.ownSecret.toHex());
  after.countFrom(before.counted!);
  deepEqual(after.terms.cookieSecrets, before.terms.cookieSecrets);
  equal(new RateTable(after.terms.rate!.table).count(7, new Uint8Array(4), 24, 100), 2);
  // Of a version with a table of another size.
  after.countFrom(new Uint8Array(8));
  equal(new RateTable(after.terms.rate!.table).count(7, new Uint8Array(4), 24, 100), 3);
});

Deno.test("workers hear of other terms as long as they are attached", () => {
  const limits = new DnsLimits(settingsWith({}), seededRng(1));
  const heard: (number | null)[] = [];
  const attached = limits.attach({ limit: (terms) => void heard.push(terms.amplificationMax) });
  limits.use(settingsWith({ amplificationMax: 5 }));
  attached[Symbol.dispose]();
  limits.use(settingsWith({ amplificationMax: 6 }));
  deepEqual(heard, [5]);
});
