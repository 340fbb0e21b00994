/** @module The settings block `dns`: what is served, where, and how. */
import { z } from "zod";
import {
  choice,
  cidr,
  domain,
  flag,
  integer,
  ipAddress,
  list,
  mustBe,
  oneOrMore,
} from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { readZoneText } from "../../model/zone_text.ts";
import { mapping, millis, path, port, requiredPath } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { socketFlag } from "../socket_flag.ts";
import { checkCookieSecrets, cookies } from "./dns_cookies.ts";
import { rateLimit } from "./dns_rate_limit.ts";
import { encryption, https, tls } from "./dns_tls.ts";

const shape = {
  dns: section(
    mapping({
      listenAddr: oneOrMore("listenAddr", ipAddress("listenAddr")).prefault(["0.0.0.0", "::"]).meta({
        description: "Addresses to listen on, UDP and TCP",
        example: ["192.0.2.53", "2001:db8::53"],
      }),
      port: port("port").default(5353).meta({
        description: "Port of those addresses; below 1024 needs CAP_NET_BIND_SERVICE",
        examples: [53],
      }),
      domain: oneOrMore("domain", domain("domain", { wildcard: false })).prefault([]).meta({
        reload: "live",
        description: "Zones this node is authoritative for, without a zone file: SOA and NS are synthesized",
        example: ["gslb.example.com"],
      }),
      nameservers: oneOrMore("nameservers", domain("nameserver", { wildcard: false })).prefault([]).meta({
        reload: "live",
        description: "Names of the name servers, for NS and SOA of those zones",
        example: ["ns1.example.com", "ns2.example.com"],
      }),
      ttl: integer("ttl", 0, 86_400, "seconds").default(30).meta({
        reload: "live",
        description: "TTL in seconds of records and of a static fallback that don't set one",
        examples: [30],
      }),
      zones: list(
        "zones",
        mapping({
          domain: domain("domain", { wildcard: false }).meta({
            description: "Apex of the zone",
            examples: ["example.com"],
          }),
          file: requiredPath("file").meta({
            description: "Zone file (RFC 1035), relative to this file",
            examples: ["example.com.zone"],
          }),
        }),
      ).default([]).meta({
        reload: "live",
        description: "Static records from zone files",
        examples: [[{ domain: "example.com", file: "example.com.zone" }]],
      }),
      ecs: section(
        mapping({
          enabled: flag("enabled").default(true).meta({
            description: "Use the client subnet that resolvers send",
            examples: [true],
          }),
          trustedResolvers: oneOrMore("trustedResolvers", cidr("trustedResolvers")).prefault([]).meta({
            description: "Prefixes of the resolvers that it is accepted from; empty = all",
            example: ["192.0.2.0/24"],
          }),
        }),
        "EDNS Client Subnet (RFC 7871)",
      ),
      rotate: flag("rotate").default(true).meta({
        rare: true,
        description: "Begin an answer of several static records with another of them each time (RFC 1794)",
        examples: [true],
      }),
      transport: choice("transport", ["auto", "linux", "portable"]).default("auto").meta({
        rare: true,
        description: "linux = batched system calls, portable = Deno's sockets, auto = the fastest that works",
        examples: ["portable"],
      }),
      tcp: section(
        mapping({
          maxConnections: integer("maxConnections", 1, 65_535).default(1024).meta({
            description:
              "Open TCP connections at most; when all are taken, an idle one is closed for a new one, of the clients with more than their share first",
            examples: [1024],
          }),
          maxConnectionsPerClient: integer("maxConnectionsPerClient", 1, 65_535).default(128).meta({
            description: "Open TCP connections of one client at most: of an IPv4 address, or of an IPv6 /64",
            examples: [128],
          }),
          idleTimeout: millis("idleTimeout", { minMs: 100, maxMs: 600_000, byDefault: 10_000 }).meta({
            description: "A connection without a query for this long is closed",
            example: "10s",
          }),
          queryTimeout: millis("queryTimeout", { minMs: 100, maxMs: 600_000, byDefault: 5_000 }).meta({
            description: "A first byte, a TLS handshake or the rest of a query must come within this time",
            example: "5s",
          }),
        }),
        "Limits of DNS over TCP, and the same again of each other stream",
      ).meta({ rare: true }),
      tls,
      https,
      nsid: z.string({ error: mustBe("nsid", "a text") }).max(128, {
        error: mustBe("nsid", "a text of at most 128 characters"),
      })
        .default("").meta({
          rare: true,
          description: "Name server identifier (RFC 5001); empty = not answered",
          examples: ["fra1-a"],
        }),
      chaos: section(
        mapping({
          version: chaosText("version").meta({
            description: "What version.bind CH TXT says; empty = refused",
            examples: ["Pleiades"],
          }),
          id: chaosText("id").meta({
            description: "What id.server CH TXT says; empty = refused",
            examples: ["fra1-a"],
          }),
        }),
        "Names of class CHAOS",
      ).meta({ rare: true }),
      allow: oneOrMore("allow", cidr("allow")).prefault([]).meta({
        reload: "live",
        rare: true,
        description: "Prefixes of clients that are answered, others are refused; empty = all",
        example: ["192.0.2.0/24", "2001:db8::/32"],
      }),
      deny: oneOrMore("deny", cidr("deny")).prefault([]).meta({
        reload: "live",
        rare: true,
        description: "Prefixes of clients that get no answer at all, whatever `allow` says",
        example: ["198.51.100.0/24"],
      }),
      cookies,
      rateLimit,
      amplificationMax: integer("amplificationMax", 2, 1000).nullable().default(null).meta({
        reload: "live",
        rare: true,
        description:
          "Bytes of a UDP answer for each byte of its query, at most, without a valid cookie; empty = no limit",
        examples: [10],
      }),
      backendSocket: path("backendSocket").meta({
        rare: true,
        description:
          "Unix socket on which a balancer in front hands over queries (docs/balancer.md); Linux only",
        examples: ["/run/pleiades/5301"],
      }),
    }),
    "How DNS is served",
  ),
};

/** How DNS is served; of the zones the text is read, and `--dns` is in `listen`. */
export const dns = {
  shape,
  settings: ({ dns }: FileOf<typeof shape>, loading: Loading) => {
    checkCookieSecrets(dns.cookies.secret, loading);
    return {
      dns: {
        ...dns,
        backendSocket: backendSocket(dns, loading),
        /** From `--dns`; when not empty it stands in for `listenAddr` and `port`. */
        listen: (loading.flags.dns ?? []).flatMap((text) =>
          socketFlag(text, { flag: "--dns", port: dns.port, loading }) ?? []
        ),
        tls: encryption(dns, loading),
        domain: [...new Set(dns.domain)],
        zones: readZones(dns, loading),
      },
    };
  },
};

/** Where the balancer finds this server; `null` = nowhere. */
function backendSocket(
  { backendSocket: path, cookies }: {
    readonly backendSocket: string | null;
    readonly cookies: { readonly enabled: boolean; readonly secret: readonly string[] };
  },
  loading: Loading,
): string | null {
  const at = ["dns", "backendSocket"];
  if (path === null) return null;
  const resolved = loading.resolve(at, path);
  if (new TextEncoder().encode(resolved).length > BACKEND_PATH_MAX) {
    loading.problem(at, `backendSocket must be a path of at most ${BACKEND_PATH_MAX} bytes, is ${resolved}`);
  } else if (/(^|\/)\.[^/]*$/.test(resolved)) {
    loading.problem(at, "backendSocket must not begin with a dot: balancers pass over such names");
  } else if (cookies.enabled && cookies.secret.length === 0) {
    loading.note(
      at,
      "servers behind one balancer need one dns.cookies.secret, or a client's cookie is bad at its backup",
    );
  }
  return resolved;
}

/** Most bytes of it: what `sun_path` holds (unix(7)), less what stands beside the name until it listens. */
const BACKEND_PATH_MAX = 97;

/** Zone files, read: text and the path it came from. */
function readZones(
  { zones, ttl }: {
    readonly zones: readonly { readonly domain: string; readonly file: string }[];
    readonly ttl: number;
  },
  loading: Loading,
) {
  const seen = new Set<string>();
  return zones.flatMap(({ domain, file }, i) => {
    if (seen.has(domain)) {
      loading.problem(["dns", "zones", i, "domain"], `zone "${domain}" is given twice; keep one`);
    }
    seen.add(domain);
    const at = ["dns", "zones", i, "file"];
    const text = loading.readText(at, file);
    if (text === null) return [];
    // A large zone takes a while to judge, and what is answered has been judged.
    const isInEffect = loading.zonesInEffect.some((zone) =>
      zone.domain === domain && zone.defaultTtl === ttl && zone.text === text
    );
    if (!isInEffect) {
      const { problems } = readZoneText(text, { domain, defaultTtl: ttl });
      loading.report(problems.map((problem) => ({ file: loading.shown(file), ...problem })));
    }
    return [{ domain, file: loading.resolve(at, file), text }];
  });
}

function chaosText(name: string) {
  const error = mustBe(name, "a text of at most 255 bytes");
  return z.string({ error }).max(255, { error }).default("");
}
