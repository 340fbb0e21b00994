/** @module The settings block `discovery`: services that announce themselves. */
import type { z } from "zod";
import {
  canonicalText,
  choice,
  domain,
  flag,
  hostName,
  integer,
  ipAddress,
  list,
  oneOrMore,
  socketAddress,
} from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { PEM_BYTES_MAX } from "../../input/regular_file.ts";
import { parseSocketAddress, type SocketAddress } from "../../ip.ts";
import { mapping, millis, path, secret } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { state } from "./state.ts";

/** A zone: a datacenter, in Consul. */
function zoneName(name: string): z.ZodString {
  return canonicalText(name, {
    rule: "two letters or digits such as gg",
    lengthMax: 2,
    canonical: (text) => /^[0-9A-Za-z]{2}$/.test(text) ? text.toLowerCase() : null,
  });
}

const shape = {
  discovery: section(
    mapping({
      enabled: flag("discovery.enabled").default(false).meta({
        description:
          "Whether services may announce themselves here, and are found by SRV, A, AAAA, NS and HTTP",
        examples: [true],
      }),
      dnsAddr: socketAddress("discovery.dnsAddr", 5959).nullable().default("0.0.0.0:5959").meta({
        description: "Where resolvers ask for what is in the dns zones, UDP and TCP; null = nowhere",
        examples: ["127.0.0.1:5959"],
      }),
      dnsZone: oneOrMore("discovery.dnsZone", domain("discovery.dnsZone", { wildcard: false }))
        .prefault(["srv.glimpse.io"]).meta({
          description: "Domains below which addresses of services are found",
          example: ["srv.example.org"],
        }),
      maxAnswers: integer("discovery.maxAnswers", 1, 1_000).default(43).meta({
        description: "Most records of an answer over UDP; the rest is told over TCP",
        examples: [43],
      }),
      zone: zoneName("discovery.zone").default("gg").meta({
        description: "Zone of what is registered here: the last part of its address",
        examples: ["fr"],
      }),
      directory: path("discovery.directory").meta({
        description: "Directory in which each provider keeps a file with all that it registers",
        examples: ["/var/lib/pleiades/providers"],
      }),
      socket: path("discovery.socket").meta({
        description:
          "Unix socket at which providers of this machine register as well, and ask for no token; only the user of the " +
          "process and root may connect",
        examples: ["/var/lib/pleiades/providers.sock"],
      }),
      node: hostName("discovery.node").nullable().default(null).meta({
        description: "Name of this machine in SRV answers; by default its host name",
        examples: ["web1.example.org"],
      }),
      ipAddress: oneOrMore("discovery.ipAddress", ipAddress("discovery.ipAddress")).prefault([]).meta({
        description: "Addresses of this machine, for registrations that don't say their own",
        example: ["192.0.2.7", "2001:db8::7"],
      }),
      ignoreScripts: flag("discovery.ignoreScripts").default(false).meta({
        description: "Take registrations in Consul's format although nothing runs their checks",
        examples: [true],
      }),
      addressMetrics: flag("discovery.addressMetrics").default(false).meta({
        description:
          "Whether metrics say how many instances are at each address, for 1,000 addresses at most",
        examples: [true],
      }),
      servers: list(
        "discovery.servers",
        mapping({
          zone: zoneName("zone").meta({ description: "Zone that it answers for" }),
          host: hostName("host").meta({ description: "Its name, by which servers are put in order" }),
          ipAddress: oneOrMore("ipAddress", ipAddress("ipAddress")).meta({ description: "Its addresses" }),
          port: integer("port", 1, 65_535).default(53).meta({
            description: "Where it is asked, if questions are handed on; a referral can't say it",
          }),
        }),
      ).default([]).meta({
        description:
          "Name servers of zones: what is asked about another zone than this one is referred to its own",
        examples: [[{ zone: "gg", host: "web1.example.org", ipAddress: ["192.0.2.7"] }]],
      }),
      otherZones: choice("discovery.otherZones", ["refer", "forward"]).default("refer").meta({
        description:
          "Whether what is asked about another zone is referred to its name servers, or answered here: from what " +
          "Consul or nodes there say of it, and without them by asking those servers",
        examples: ["forward"],
      }),
      consul: section(
        mapping({
          enabled: flag("discovery.consul.enabled").default(false).meta({
            description:
              "Whether what is registered in Consul is found, in place of the files of a directory",
            examples: [true],
          }),
          address: oneOrMore("discovery.consul.address", socketAddress("discovery.consul.address", 8500))
            .prefault(["127.0.0.1:8500"]).meta({
              description: "Consul agents or servers, of which one is asked at a time",
              example: ["127.0.0.1:8500"],
            }),
          token: secret("discovery.consul.token").meta({
            description: "ACL token, with node:read, service:read and agent:read",
            examples: ["file:/etc/pleiades/consul.token"],
          }),
          tls: section(
            mapping({
              enabled: flag("discovery.consul.tls.enabled").default(false).meta({
                description: "Ask by HTTPS",
                examples: [true],
              }),
              caFile: path("discovery.consul.tls.caFile").meta({
                description: "Certificates of the authorities that count beside the system's, PEM",
                examples: ["consul-ca.pem"],
              }),
              serverName: hostName("discovery.consul.tls.serverName").nullable().default(null).meta({
                description: "Name that its certificate must have; by default the address",
                examples: ["server.gg.consul"],
              }),
            }),
            "TLS towards Consul",
          ),
        }),
        "Consul as the registry: datacenters are zones",
      ),
      nats: section(
        mapping({
          enabled: flag("discovery.nats.enabled").default(false).meta({
            description:
              "Whether what is registered with each node of the cluster (state.nats) is found at all of them",
            examples: [true],
          }),
          ttl: millis("discovery.nats.ttl", { minMs: 1_000, maxMs: 86_400_000, byDefault: 30_000 }).meta({
            description: "For how long registrations of a node count that isn't heard of any more",
            example: "30s",
          }),
        }),
        "NATS in place of Consul",
      ),
      staleFor: millis("discovery.staleFor", { minMs: 0, maxMs: 14 * 86_400_000, byDefault: 86_400_000 })
        .meta({
          description: "How long what was read last is answered while it can't be read; 0s = not at all",
          example: "24h",
        }),
    }),
    "Services that announce themselves",
  ).meta({ rare: true }),
};

/** Services that announce themselves. Milliseconds. */
export const discovery = {
  shape,
  settings: ({ discovery: file }: FileOf<typeof shape>, loading: Loading) => {
    const { dnsAddr, directory, socket, node, servers, consul, ...rest } = file;
    if (file.enabled && consul.enabled && directory !== null) {
      loading.problem(
        ["discovery", "directory"],
        "discovery.directory can't be given with discovery.consul.enabled: it is Consul that reads registrations " +
          "(pleiades discovery register --directory writes them)",
      );
    }
    if (file.enabled && file.nats.enabled && consul.enabled) {
      loading.problem(
        ["discovery", "nats", "enabled"],
        "discovery.nats.enabled can't be given with discovery.consul.enabled: one of them carries registrations",
      );
    }
    if (file.enabled && file.nats.enabled && loading.of(state).state.nats.servers.length === 0) {
      loading.problem(
        ["discovery", "nats", "enabled"],
        "discovery.nats.enabled has no effect without state.nats.servers (set them, or remove it)",
      );
    }
    const hasOthers = servers.some(({ zone }) => zone !== file.zone);
    if (
      file.enabled && file.otherZones === "forward" && !consul.enabled && !file.nats.enabled && !hasOthers
    ) {
      loading.problem(
        ["discovery", "otherZones"],
        "discovery.otherZones can be forward only with discovery.consul.enabled or discovery.nats.enabled, or with " +
          "servers of another zone (discovery.servers): there is nothing that could be asked",
      );
    }
    return {
      discovery: {
        ...rest,
        dnsAddr: dnsAddr === null ? null : parseSocketAddress(dnsAddr, 5959),
        directory: directory && loading.resolve(["discovery", "directory"], directory),
        socket: socketOf(socket, loading),
        node: node ?? nodeOf(loading.outside.hostname()),
        consul: consulOf(consul, loading, file.enabled && consul.enabled),
        servers: servers.map(({ zone, host, ipAddress: ips, port }) => ({ zone, host, ips, port })),
      },
    };
  },
};

/** Longest path of a unix socket, bytes: what `sun_path` holds (unix(7)), less what stands behind it until it listens. */
const SOCKET_PATH_MAX = 100;

function socketOf(path: string | null, loading: Loading): string | null {
  const at = ["discovery", "socket"];
  const resolved = path && loading.resolve(at, path);
  if (resolved !== null && new TextEncoder().encode(resolved).length > SOCKET_PATH_MAX) {
    const rule = `a path of at most ${SOCKET_PATH_MAX} bytes`;
    loading.problem(at, `discovery.socket must be ${rule}, is ${resolved}`);
  }
  return resolved;
}

function consulOf(
  { enabled, address, token, tls }: FileOf<typeof shape>["discovery"]["consul"],
  loading: Loading,
  isAsked: boolean,
): {
  readonly enabled: boolean;
  readonly address: readonly SocketAddress[];
  readonly token: string | null;
  readonly tls: {
    readonly enabled: boolean;
    readonly caFile: string | null;
    readonly serverName: string | null;
    /** What `caFile` has; empty where it isn't needed. */
    readonly caCerts: readonly string[];
  };
} {
  const at = ["discovery", "consul", "tls", "caFile"];
  const authorities = isAsked && tls.enabled && tls.caFile !== null
    ? loading.readText(at, tls.caFile, PEM_BYTES_MAX)
    : null;
  return {
    ...{ enabled, token },
    address: address.map((each) => parseSocketAddress(each, 8500)),
    tls: { ...tls, caCerts: authorities === null ? [] : [authorities] },
  };
}

function nodeOf(hostname: string): string {
  const name = hostname.toLowerCase().replace(/[^0-9a-z.-]/g, "").replace(/^[.-]+|[.-]+$/g, "");
  return name === "" ? "localhost" : name;
}
