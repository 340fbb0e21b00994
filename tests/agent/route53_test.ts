/** @module Records in Route 53, and instances of EC2, against a server that computes each signature again. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { Ec2Instances } from "../../src/agent/aws/ec2.ts";
import { AwsSession, type AwsSessionOptions } from "../../src/agent/aws/session.ts";
import { NO_RECORDS } from "../../src/agent/records.ts";
import { Route53Records } from "../../src/agent/records/route53.ts";
import { CheckLoop } from "../../src/agent/loop.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { AwsServer, KEYS, refusal } from "./aws_server.ts";
import { draws } from "./world.ts";

const FQDN = "www.example.org";
const NAME = `${FQDN}.`;
const signal = new AbortController().signal;
const terms = { ttl: 5, wait: false };
const ENVIRONMENT: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: "AKIDBASE",
  AWS_SECRET_ACCESS_KEY: KEYS["AKIDBASE"]!,
};

function sessionAt(server: AwsServer, options: Partial<AwsSessionOptions> = {}): AwsSession {
  return new AwsSession({
    profile: null,
    roleArn: null,
    endpoint: server.url,
    env: (name) => ENVIRONMENT[name],
    readFile: () => {
      throw new Deno.errors.NotFound();
    },
    clock: systemClock,
    ...options,
  });
}

function recordsAt(
  server: AwsServer,
  { clock = systemClock, lines = [], hostedZoneId = "Z1", ...options }:
    & Partial<AwsSessionOptions>
    & { readonly clock?: Clock; readonly lines?: string[]; readonly hostedZoneId?: string } = {},
): Route53Records {
  const log = createLogger({ level: "info", format: "json", clock, write: (line) => void lines.push(line) });
  return new Route53Records({ hostedZoneId, session: sessionAt(server, { clock, ...options }), clock, log });
}

Deno.test("records in Route 53 are written, read in their order, and deleted", async () => {
  await using server = new AwsServer();
  const records = recordsAt(server, { hostedZoneId: "/hostedzone/Z1" });
  deepEqual(await records.read(FQDN, "A", signal), NO_RECORDS);
  const values = ["192.0.2.3", "192.0.2.1"];
  equal(
    await records.write(FQDN, "A", values, { ...terms, ttl: 4.2, expected: NO_RECORDS }, signal),
    "written",
  );
  const set = await records.read(FQDN, "A", signal);
  deepEqual([set.values, set.ttl], [values, 5]);
  equal(await records.write(FQDN, "A", ["192.0.2.9"], { ...terms, expected: set }, signal), "written");
  deepEqual(server.valuesAt(NAME, "A"), ["192.0.2.9"]);
  equal(await records.delete(FQDN, "A", await records.read(FQDN, "A", signal), signal), "written");
  deepEqual(server.sets, []);
  const before = server.requests.length;
  equal(await records.delete(FQDN, "A", NO_RECORDS, signal), "written");
  equal(server.requests.length, before);
  await rejects(records.write(FQDN, "A", [], { ...terms, expected: NO_RECORDS }, signal), RangeError);
  equal(server.requests.length, before);
});

Deno.test("texts have quotes there and none here, and go back as they came", async () => {
  await using server = new AwsServer();
  const records = recordsAt(server);
  const texts = ["OwnerId=0a1b2c3d", 'Note=a "b" \\ <c> & d'];
  const name = `_blocked.${FQDN}`;
  equal(await records.write(name, "TXT", texts, { ...terms, expected: NO_RECORDS }, signal), "written");
  deepEqual(server.valuesAt(`${name}.`, "TXT")[0], '"OwnerId=0a1b2c3d"');
  const set = await records.read(name, "TXT", signal);
  deepEqual(set.values, texts);
  server.sets[0] = { ...server.sets[0]!, values: ['"Owner" "Id=0a1b2c3d"'] };
  const split = await records.read(name, "TXT", signal);
  deepEqual(split.values, ["OwnerId=0a1b2c3d"]);
  equal(await records.delete(name, "TXT", split, signal), "written");
});

Deno.test("only records of the very name and type are read; an address comes in its one spelling", async () => {
  await using server = new AwsServer();
  server.sets.push(
    { name: NAME, type: "A", ttl: 9, values: ["192.0.2.1"] },
    { name: NAME, type: "AAAA", ttl: 7, values: ["2001:DB8:0:0::1"] },
    { name: "xyz.example.org.", type: "A", ttl: 9, values: ["192.0.2.8"] },
  );
  const records = recordsAt(server);
  const set = await records.read("WWW.example.org.", "AAAA", signal);
  deepEqual([set.values, set.ttl], [["2001:db8::1"], 7]);
  equal(await records.write(FQDN, "AAAA", ["2001:db8::2"], { ...terms, expected: set }, signal), "written");
  deepEqual(await records.read("aaa.example.org", "A", signal), NO_RECORDS);
});

Deno.test("records don't change when they aren't what was read: values, TTL, or that there are none", async () => {
  await using server = new AwsServer();
  const records = recordsAt(server);
  server.sets.push({ name: NAME, type: "A", ttl: 5, values: ["192.0.2.1"] });
  for (
    const expected of [
      NO_RECORDS,
      { values: ["192.0.2.2"], ttl: 5 },
      { values: ["192.0.2.1"], ttl: 6 },
      { values: ["192.0.2.1", "192.0.2.2"], ttl: 5 },
    ]
  ) {
    equal(await records.write(FQDN, "A", ["192.0.2.9"], { ...terms, expected }, signal), "changed");
  }
  server.faults.push(refusal(400, "PriorRequestNotComplete", "The request was rejected"));
  const set = { values: ["192.0.2.1"], ttl: 5 };
  equal(await records.write(FQDN, "A", ["192.0.2.9"], { ...terms, expected: set }, signal), "changed");
  deepEqual(server.valuesAt(NAME, "A"), ["192.0.2.1"]);
});

Deno.test("a write that waits ends when the change is live, or after two minutes with a warning", async () => {
  await using server = new AwsServer();
  const waits: number[] = [];
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    sleep: (ms) => {
      waits.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const lines: string[] = [];
  const records = recordsAt(server, { clock, lines });
  server.pendingLooks = 3;
  await records.write(FQDN, "A", ["192.0.2.1"], { ttl: 5, wait: true, expected: NO_RECORDS }, signal);
  equal(waits.length, 3);
  server.pendingLooks = Infinity;
  const expected = await records.read(FQDN, "A", signal);
  await records.write(FQDN, "A", ["192.0.2.2"], { ttl: 5, wait: true, expected }, signal);
  equal(waits.reduce((sum, each) => sum + each) - 3 * 2_000, 120_000);
  match(lines.join(), /hasn't the change everywhere/);
});

Deno.test("requests are sent once: an error of the service, a throttled or cut answer fails the call", async () => {
  await using server = new AwsServer();
  server.sets.push({ name: NAME, type: "A", ttl: 5, values: ["192.0.2.1", "192.0.2.2"] });
  const records = recordsAt(server);
  for (
    const [fault, words] of [
      [refusal(500, "InternalFailure", "oops"), /Route 53 answered InternalFailure: oops/],
      [refusal(400, "Throttling", "Rate exceeded"), /Route 53 answered Throttling: Rate exceeded/],
      [new Response("bad gateway", { status: 502 }), /Route 53 answered status 502/],
      [(right: string) => new Response(right.slice(0, right.indexOf("192.0.2.2"))), /isn't a whole List/],
      [new Response(""), /isn't a whole List/],
    ] as const
  ) {
    const before = server.requests.length;
    server.faults.push(fault);
    await rejects(records.read(FQDN, "A", signal), words);
    equal(server.requests.length, before + 1);
  }
});

Deno.test("what is set up wrongly is said in a line that names the key", async () => {
  await using server = new AwsServer();
  const says = (words: RegExp, options: Parameters<typeof recordsAt>[1]) =>
    rejects(recordsAt(server, options).check(FQDN, "A", signal), words);
  await says(/NoSuchHostedZone.*fix agent\.route53HostedZoneId/, { hostedZoneId: "Z2" });
  await says(/SignatureDoesNotMatch.*fix the credentials of AWS/, {
    env: (name) => name === "AWS_SECRET_ACCESS_KEY" ? "wrong" : ENVIRONMENT[name],
  });
  await says(/SignatureDoesNotMatch: Signature expired.*this machine's clock/, {
    clock: { ...systemClock, unixMs: () => systemClock.unixMs() - 600_000 },
  });
  await says(/there is no profile dns with keys.*fix agent\.awsProfile/, { profile: "dns" });
  await says(/the role arn:aws:iam::1:role\/no may not be assumed.*fix agent\.awsAssumeRoleArn/, {
    roleArn: "arn:aws:iam::1:role/no",
  });
  server.faults.push(refusal(403, "AccessDenied", "User is not authorized"));
  await says(/AccessDenied.*permit route53:ListResourceRecordSets/, {});
  server.sets.push({ name: NAME, type: "A", ttl: 0, values: [], extra: "<AliasTarget></AliasTarget>" });
  await says(/is an alias/, {});
  server.sets[0] = {
    name: NAME,
    type: "A",
    ttl: 5,
    values: ["192.0.2.1"],
    extra: "<SetIdentifier>a</SetIdentifier>",
  };
  await says(/has a routing policy/, {});
});

Deno.test("servers that join at once, with two writers at a time, lose no address", async () => {
  await using server = new AwsServer();
  const records = recordsAt(server);
  const addresses = Array.from({ length: 5 }, (_, i) => `192.0.2.${i + 1}`);
  const loops = addresses.map((self, i) =>
    new CheckLoop({
      fqdn: FQDN,
      self,
      intervalMs: 5_000,
      limits: { minimumFailures: 3, maximumFailures: 60 },
      records,
      probe: () => Promise.resolve(null),
      clock: systemClock,
      rng: draws(i + 1),
      log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
    })
  );
  for (let round = 0; round < 3; round++) await Promise.all(loops.map((loop) => loop.round(signal)));
  deepEqual([...server.valuesAt(NAME, "A")].sort(), addresses);
});

Deno.test("instances of EC2 are found by address, remembered, and terminated", async () => {
  await using server = new AwsServer();
  server.instances.push({ id: "i-1", address: "10.0.0.1" }, { id: "i-2", address: "10.0.0.2" });
  const ec2 = new Ec2Instances({ region: null, session: sessionAt(server) });
  const asked = () => server.requests.length;
  deepEqual(await ec2.filter(["10.0.0.1", "10.0.0.9"], signal), ["10.0.0.1"]);
  equal(asked(), 1);
  // "Not here" is remembered too.
  deepEqual(await ec2.filter(["10.0.0.9"], signal), []);
  equal(asked(), 1);
  // An unknown address renews what is known.
  server.instances.push({ id: "i-9", address: "10.0.0.9" });
  deepEqual(await ec2.filter(["10.0.0.2", "10.0.0.9"], signal), ["10.0.0.2", "10.0.0.9"]);
  equal(asked(), 2);
  await ec2.destroy(["10.0.0.2", "10.0.0.77"], signal);
  deepEqual(server.instances.map(({ id }) => id), ["i-1", "i-9"]);
  // Another instance may have its address by now.
  server.instances.push({ id: "i-22", address: "10.0.0.2" });
  await ec2.destroy(["10.0.0.2"], signal);
  deepEqual(server.instances.map(({ id }) => id), ["i-1", "i-9"]);
  const before = asked();
  await ec2.destroy(["10.0.0.78"], signal);
  equal(asked(), before + 1);
  ok(server.requests.every((line) => line.endsWith("AKIDBASE")));
});
