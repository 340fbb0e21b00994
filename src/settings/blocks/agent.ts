/** @module The settings block `agent`: a server that keeps its own address in the record of its name. */
import { z } from "zod";
import {
  canonicalText,
  choice,
  cidr,
  domain,
  flag,
  httpExpectedStatus,
  httpHost,
  httpPath,
  integer,
  ipAddress,
  list,
  mustBe,
  oneOrMore,
  regionName,
  socketAddress,
} from "../../input/fields.ts";
import { formatDuration } from "../../input/duration.ts";
import { section } from "../../input/strict_object.ts";
import { isUnicast, parseIp } from "../../ip.ts";
import { TSIG_ALGORITHMS } from "../../wire/tsig.ts";
import { mapping, millis, port, secret, text } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";

/** Milliseconds; a shorter interval counts as this one. */
const INTERVAL_MIN_MS = 5_000;

/** Status codes that are right unless others are named. */
const ANY_SUCCESS = "200-399";

/** Failures in a row where 0 is written, as the system that this continues has it. */
const FAILURES = { minimum: 3, maximum: 60 } as const;

const shape = {
  agent: section(
    mapping({
      fqdn: domain("agent.fqdn", { wildcard: false }).nullable().default(null).meta({
        description: "Name in whose record this server keeps its address",
        examples: ["www.example.org"],
      }),
      tcpPort: port("agent.tcpPort").nullable().default(null).meta({
        description: "Port at which servers are probed",
        examples: [443],
      }),
      doTls: flag("agent.doTls").default(false).meta({
        description: "Whether a TLS handshake belongs to a probe; any certificate is taken",
        examples: [true],
      }),
      http: section(
        mapping({
          path: httpPath("agent.http.path").nullable().default(null).meta({
            description: "Path that is asked for; none = nothing is asked over HTTP",
            examples: ["/healthz"],
          }),
          host: httpHost("agent.http.host").nullable().default(null).meta({
            description: "Host that is asked for; none = the server's address",
            examples: ["www.example.org"],
          }),
          expectedStatus: httpExpectedStatus("agent.http.expectedStatus").default(ANY_SUCCESS).meta({
            description: "Status codes that are right",
            examples: ["200"],
          }),
        }),
        "What a server must answer over HTTP",
      ),
      checkInterval: millis("agent.checkInterval", { minMs: 1, maxMs: 3_600_000, byDefault: 60_000 }).meta({
        description: "Time between rounds and TTL of the record; less than 5s counts as 5s",
        example: "5s",
      }),
      minimumFailures: integer("agent.minimumFailures", 0, 1_000_000).default(FAILURES.minimum).meta({
        description: "Failures in a row after which a server of this region is removed",
        examples: [3],
      }),
      maximumFailures: integer("agent.maximumFailures", 0, 1_000_000).default(FAILURES.maximum).meta({
        description: "Failures in a row behind which any server is removed; not above the minimum = never",
        examples: [60],
      }),
      addresses: oneOrMore("agent.addresses", ipAddress("address")).prefault([]).meta({
        description:
          "This server's own addresses, one of each family at most; none = that from which the provider is reached",
        example: "192.0.2.10",
      }),
      region: regionName("agent.region").default("").meta({
        description: "Which of the regions this server is in; empty = node.region",
        examples: ["fra"],
      }),
      regions: z.record(
        z.string().regex(/^[A-Za-z0-9_-]{1,63}$/, {
          error: "agent.regions: a name has 1–63 letters, digits, hyphens and underscores",
        }),
        list("agent.regions", cidr("CIDR")),
        { error: mustBe("agent.regions", "a mapping of regions to lists of CIDRs") },
      ).default({}).meta({
        description:
          "Networks of each region: servers of other regions are removed only after maximumFailures",
        examples: [{ fra: ["10.1.0.0/16"], nyc: ["10.2.0.0/16"] }],
      }),
      allRegions: flag("agent.allRegions").default(false).meta({
        description: "Treat servers of all regions alike; needs preserve",
        examples: [true],
      }),
      preserve: flag("agent.preserve").default(false).meta({
        description: "Only remove servers from DNS, never destroy them",
        examples: [true],
      }),
      destroy: section(
        mapping({
          command: list("agent.destroy.command", z.string({ error: mustBe("command", "a list of words") }))
            .default([]).meta({
              description: "Program and its arguments; the addresses of what is to be destroyed follow",
              examples: [["/etc/pleiades/destroy", "--now"]],
            }),
          webhook: section(
            mapping({
              url: httpUrl("agent.destroy.webhook.url").nullable().default(null).meta({
                description: "Address to which the addresses are posted",
                examples: ["https://fleet.example.org/destroy"],
              }),
              secret: secret("agent.destroy.webhook.secret").meta({
                description: "Key of the HMAC-SHA256 that signs the post",
                examples: ["${DESTROY_SECRET}"],
              }),
            }),
            "Machines are ended by a service",
          ),
          timeout: millis("agent.destroy.timeout", { minMs: 100, maxMs: 3_600_000, byDefault: 60_000 }).meta({
            description: "Longest time that it may take",
            example: "60s",
          }),
        }),
        "How machines are ended whose servers are removed; nothing = they aren't",
      ),
      rfc2136: section(
        mapping({
          server: socketAddress("agent.rfc2136.server", 53).nullable().default(null).meta({
            description: "Primary that takes dynamic updates",
            examples: ["192.0.2.53:53"],
          }),
          zone: domain("agent.rfc2136.zone", { wildcard: false }).nullable().default(null).meta({
            description: "Zone that the name is in",
            examples: ["example.org"],
          }),
          keyName: domain("agent.rfc2136.keyName", { wildcard: false }).nullable().default(null).meta({
            description: "Name of the TSIG key",
            examples: ["agents"],
          }),
          algorithm: choice("agent.rfc2136.algorithm", TSIG_ALGORITHMS).default("hmac-sha256").meta({
            description: "HMAC of the key",
            examples: ["hmac-sha512"],
          }),
          secret: secret("agent.rfc2136.secret").meta({
            description: "Secret of the key, in base64",
            examples: ["${TSIG_SECRET}"],
          }),
          secondaries: oneOrMore("agent.rfc2136.secondaries", socketAddress("secondary", 53)).prefault([])
            .meta({
              description: "Other servers of the zone, which a rolling replacement waits for",
              example: ["192.0.2.54:53"],
            }),
        }),
        "The record is at an authoritative server and changed by dynamic update",
      ),
      pleiades: section(
        mapping({
          api: httpUrl("agent.pleiades.api").nullable().default(null).meta({
            description: "API of a node, one of whose pools is the record",
            examples: ["https://gslb.example.org:8080"],
          }),
          token: secret("agent.pleiades.token").meta({
            description: "Bearer token of scope write",
            examples: ["${PLEIADES_API_TOKEN}"],
          }),
          pool: text("agent.pleiades.pool").meta({
            description: "Name of the pool",
            examples: ["web"],
          }),
        }),
        "The record is a pool of a Pleiades node",
      ),
      route53HostedZoneId: text("agent.route53HostedZoneId").meta({
        description: "The record is in this hosted zone of Route 53",
        examples: ["Z0123456789ABCDEFGHIJ"],
      }),
      awsProfile: text("agent.awsProfile").meta({
        description:
          "Profile of ~/.aws with the keys; none = those that AWS's own programs find: environment, default profile, container, machine",
        examples: ["dns"],
      }),
      awsAssumeRoleArn: text("agent.awsAssumeRoleArn").meta({
        description: "Role that is assumed with these keys, to change the zone",
        examples: ["arn:aws:iam::123456789012:role/dns"],
      }),
      awsEndpoint: httpUrl("agent.awsEndpoint").nullable().default(null).meta({
        rare: true,
        description: "Where all services of AWS are asked; none = at their own addresses",
        examples: ["https://aws.internal.example.org"],
      }),
      ec2: section(
        mapping({
          enabled: flag("agent.ec2.enabled").default(false).meta({
            description:
              "Servers are instances of EC2: those of the region may be removed, and are terminated",
            examples: [true],
          }),
          region: text("agent.ec2.region").meta({
            description: "Region of the instances; none = that of this machine",
            examples: ["eu-central-1"],
          }),
        }),
        "Servers that are instances of EC2",
      ),
    }),
    "A server that keeps its own address in the record of its name (pleiades agent)",
  ),
};

/** A server that keeps its own address. */
export const agent = {
  shape,
  settings: ({ agent: file }: FileOf<typeof shape>, loading: Loading) => ({ agent: judged(file, loading) }),
};

/** What is written, with what it means where that isn't the same. */
function judged(file: FileOf<typeof shape>["agent"], loading: Loading) {
  const problem: Problem = (key, message) => loading.problem(["agent", ...key.split(".")], message);
  refuseAddresses(file.addresses, problem);
  // A file without a name is a node's, and may hold any part of what an agent needs.
  if (file.fqdn !== null) {
    judgeTogether(file, problem);
    noteIneffective(file, loading);
  }
  if (file.checkInterval < INTERVAL_MIN_MS) {
    loading.note(
      ["agent", "checkInterval"],
      `agent.checkInterval ${formatDuration(file.checkInterval)} counts as ${
        formatDuration(INTERVAL_MIN_MS)
      }, the least`,
    );
  }
  return {
    ...file,
    writtenInterval: file.checkInterval,
    checkInterval: Math.max(file.checkInterval, INTERVAL_MIN_MS),
    minimumFailures: file.minimumFailures || FAILURES.minimum,
    maximumFailures: file.maximumFailures || FAILURES.maximum,
  };
}

type Problem = (key: string, message: string) => void;

/** How keys go together. */
function judgeTogether(
  { allRegions, preserve, destroy: { webhook }, rfc2136, pleiades }: FileOf<typeof shape>["agent"],
  problem: Problem,
): void {
  if (allRegions && !preserve) {
    problem(
      "allRegions",
      "agent.allRegions needs agent.preserve: true (servers of other regions can't be destroyed)",
    );
  }
  if (webhook.url !== null && webhook.secret === null) {
    problem("destroy.webhook", "agent.destroy.webhook.secret is required (it signs what is posted)");
  }
  if (pleiades.api !== null && pleiades.pool === null) {
    problem("pleiades", "agent.pleiades.pool is required with agent.pleiades.api");
  }
  if (rfc2136.server === null) return;
  for (const key of ["zone", "keyName", "secret"] as const) {
    if (rfc2136[key] === null) {
      problem("rfc2136", `agent.rfc2136.${key} is required with agent.rfc2136.server`);
    }
  }
  if (rfc2136.secret !== null && !isBase64(rfc2136.secret)) {
    problem("rfc2136.secret", "agent.rfc2136.secret must be base64, as tsig-keygen and keymgr write it");
  }
}

/** What is set, and means nothing beside something else. */
function noteIneffective(
  { http, preserve, destroy, region, regions, ec2 }: FileOf<typeof shape>["agent"],
  loading: Loading,
): void {
  const note = (key: string, why: string) =>
    loading.note(["agent", key], `agent.${key} has no effect ${why}`);
  if (http.path === null && (http.host !== null || http.expectedStatus !== ANY_SUCCESS)) {
    note("http", "without agent.http.path");
  }
  if (preserve && (destroy.command.length > 0 || destroy.webhook.url !== null)) {
    note("destroy", "with agent.preserve: true");
  }
  if (ec2.enabled && (region !== "" || Object.keys(regions).length > 0)) {
    note(
      region === "" ? "regions" : "region",
      "with agent.ec2.enabled (agent.ec2.region names a region of AWS)",
    );
  }
}

function isBase64(text: string): boolean {
  try {
    return Uint8Array.fromBase64(text).length > 0;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

function refuseAddresses(addresses: readonly string[], problem: Problem): void {
  for (const isV6 of [false, true]) {
    if (addresses.filter((address) => address.includes(":") === isV6).length > 1) {
      problem(
        "addresses",
        `agent.addresses has more than one IPv${isV6 ? 6 : 4} address; keep this server's own`,
      );
    }
  }
  for (const [i, address] of addresses.entries()) {
    if (isUnicast(parseIp(address)!)) continue;
    problem(`addresses.${i}`, `agent.addresses: ${address} is no address that clients elsewhere can reach`);
  }
}

/** An address of a service. */
function httpUrl(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "an http or https address",
    lengthMax: 2048,
    canonical: (text) => /^https?:$/.test(URL.parse(text)?.protocol ?? "") ? text : null,
  });
}
