/** @module The settings block `distribute`: what its five commands go by. Each of them says which keys it needs. */
import { z } from "zod";
import { canonicalText, choice, integer, list, mustBe, refuse, socketAddress } from "../../input/fields.ts";
import { parseIp } from "../../ip.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, millis, path, secret, text } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { isPemCertificate } from "../pem.ts";
import { BOTH_OR_NONE, servable } from "../tls_files.ts";

const DAY_MS = 86_400_000;

/** A subject of NATS, or its beginning where it ends in a dot. */
function subject(name: string, byDefault: string, { isPrefix = false } = {}) {
  const error = mustBe(name, isPrefix ? "a subject that ends in a dot" : "a subject such as zone.add");
  const pattern = isPrefix ? /^(?:[A-Za-z0-9_-]+\.)+$/ : /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?:\.\*)?$/;
  return z.string({ error }).max(200, { error }).regex(pattern, { error }).default(byDefault);
}

/** The name of a machine as it has it itself, in the same case: ids are made from it. */
function exactHost(name: string) {
  const error = mustBe(name, "the name of a host as `hostname` prints it there");
  return z.string({ error }).regex(/^[^\s\p{Cc}]{1,255}$/u, { error });
}

/** An address of a server without user, path or query. */
function url(name: string, schemes: readonly string[]) {
  const error = mustBe(name, `${schemes.map((each) => `${each}//HOST[:PORT]`).join(" or ")}`);
  return z.string({ error }).min(1, { error }).max(2_048, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    const parsed = URL.parse(payload.value);
    const isPlain = parsed !== null && schemes.includes(parsed.protocol) && parsed.hostname !== "" &&
      parsed.username === "" && parsed.password === "" && parsed.search === "" && parsed.hash === "";
    // What stands before an @ may be a password, which never stands in a message.
    if (!isPlain) {
      refuse(
        payload,
        payload.value.includes("@")
          ? `${name} must have no user and no password`
          : error({ input: payload.value }),
      );
    }
  }).nullable().default(null);
}

const shape = {
  distribute: section(
    mapping({
      service: section(
        mapping({
          url: url("url", ["https:", "http:"]).meta({
            description: "Where the API proxy is reached; always over TLS, port 30000 unless it says another",
            examples: ["https://ns1.example.net:30000"],
          }),
          host: exactHost("host").nullable().default(null).meta({
            description:
              "Name of this host, from which the id of a secondary is made; by default the system's",
            examples: ["ns2.example.net"],
          }),
          listenAddr: canonicalText("listenAddr", {
            rule: "an IPv4 or IPv6 address such as 0.0.0.0 or ::",
            lengthMax: 45,
            canonical: (text) => parseIp(text) === null ? null : text,
          }).default("::").meta({
            description: "Address that the API proxy listens on",
            examples: ["192.0.2.1"],
          }),
          cert: path("cert").meta({
            description: "Certificate of the API proxy, PEM, absolute; it is made where there is none",
            examples: ["/etc/pleiades/cert.pem"],
          }),
          key: path("key").meta({
            description: "The key that belongs to it, PEM, absolute",
            examples: ["/etc/pleiades/key.pem"],
          }),
          certLifetime: millis("certLifetime", {
            minMs: 3_000,
            maxMs: 3_650 * DAY_MS,
            byDefault: 90 * DAY_MS,
          })
            .meta({
              description:
                "How long a certificate is good for that is made here; at two thirds of it, it is renewed",
              example: "90d",
            }),
          tags: list("tags", z.string().min(1).max(200)).default([]).meta({
            description: "Words by which registers tell services apart",
            examples: [["dns"]],
          }),
        }),
        "This service",
      ),
      prometheus: section(
        mapping({
          address: socketAddress("address").nullable().default(null).meta({
            description: "Where /metrics is served; by default nowhere",
            examples: ["127.0.0.1:9502"],
          }),
        }),
        "Metrics of this service",
      ),
      messageBroker: section(
        mapping({
          url: url("url", ["nats:", "tls:"]).meta({
            description: "NATS server; beyond this machine it must be tls://",
            examples: ["tls://nats.example.net:4222"],
          }),
          username: text("username").meta({ description: "User name", examples: ["ns2"] }),
          password: secret("distribute.messageBroker.password").meta({
            description: "Its password",
            examples: ["${NATS_PASSWORD}"],
          }),
          jetStream: choice("jetStream", ["auto", "off"]).default("auto").meta({
            description: "Whether checkers settle by a lease in JetStream which of them checks",
            examples: ["off"],
          }),
          keepEvents: millis("keepEvents", { minMs: 0, maxMs: 30 * DAY_MS, byDefault: 0 }).meta({
            description:
              "How long JetStream keeps events, for what a secondary missed that serials don't show; 0ms = it doesn't",
            example: "1d",
          }),
          tls: section(
            mapping({
              caFile: path("caFile").meta({
                description: "Certificates of the authorities that count beside the system's, PEM",
                examples: ["nats-ca.pem"],
              }),
              certFile: path("certFile").meta({
                description: "Client certificate (X.509 v3), PEM; with it the TLS handshake comes first",
                examples: ["ns2.pem"],
              }),
              keyFile: path("keyFile").meta({ description: "Its private key, PEM", examples: ["ns2.key"] }),
            }).check(BOTH_OR_NONE),
            "TLS towards NATS",
          ),
        }),
        "NATS, over which services tell each other of zones",
      ),
      powerDNS: section(
        mapping({
          url: url("url", ["http:", "https:"]).default("http://127.0.0.1:8081").meta({
            description: "API of PowerDNS",
            examples: ["https://pdns.example.net:8443"],
          }),
          apiToken: secret("distribute.powerDNS.apiToken").meta({
            description: "Key of that API",
            examples: ["${PDNS_API_KEY}"],
          }),
          serverID: z.string().regex(/^[A-Za-z0-9_-]{1,63}$/, {
            error: mustBe("serverID", "1–63 letters, digits, underscores and hyphens"),
          }).default("localhost").meta({ description: "Server in that API", examples: ["main"] }),
          writesAtOnce: integer("writesAtOnce", 1, 256).default(1).meta({
            description: "Changes that the API proxy hands on at the same time; SQLite takes one",
            examples: [8],
          }),
          dnsAddress: socketAddress("dnsAddress", 53).default("127.0.0.1:53").meta({
            description: "DNS side of PowerDNS, over TCP and UDP: zones are read from it, and looked at",
            examples: ["127.0.0.1:5300"],
          }),
          axfrAddress: socketAddress("axfrAddress", 53).nullable().default(null).meta({
            description: "The same under the name that a zone provider knows it by",
            examples: ["127.0.0.1:53"],
          }),
          axfrTimeout: millis("axfrTimeout", { minMs: 100, maxMs: 600_000, byDefault: 2_000 }).meta({
            description: "Longest wait for each message of a transfer",
            example: "2s",
          }),
          eventDelay: millis("eventDelay", { minMs: 0, maxMs: 600_000, byDefault: 0 }).meta({
            description: "How long a secondary waits before it transfers a zone",
            example: "0ms",
          }),
          apiWorker: integer("apiWorker", 1, 64).default(4).meta({
            description: "Zones that a secondary works on at the same time",
            examples: [8],
          }),
        }),
        "PowerDNS on this machine",
      ),
      secondaries: section(
        mapping({
          hosts: list("hosts", exactHost("host")).default([]).meta({
            description: "Host names of the secondaries, exactly as their machines have them",
            examples: [["ns2.example.net", "ns3.example.net"]],
          }),
          source: choice("source", ["static", "nats", "consul"]).default("static").meta({
            description:
              "Whether secondaries are those of the list, all that say over NATS that they are there, or those in Consul",
            examples: ["nats"],
          }),
        }),
        "The secondaries",
      ),
      consul: section(
        mapping({
          url: url("url", ["http:", "https:"]).meta({
            description:
              "Consul's agent on this machine: each service is registered there; by default nowhere",
            examples: ["http://127.0.0.1:8500"],
          }),
          token: secret("distribute.consul.token").meta({
            description: "ACL token: service write for pdns-*, service and node read for checkers",
            examples: ["${CONSUL_TOKEN}"],
          }),
          caFile: path("caFile").meta({
            description: "Certificates of the authorities that count beside the system's, PEM",
            examples: ["consul-ca.pem"],
          }),
        }),
        "Consul as the register of services",
      ),
      zoneEventTopics: section(
        mapping({
          add: subject("add", "zone.add").meta({
            description: "Subject of added zones",
            examples: ["dns.zone.add"],
          }),
          mod: subject("mod", "zone.modified").meta({
            description: "Subject of changed zones",
            examples: ["dns.zone.modified"],
          }),
          del: subject("del", "zone.delete").meta({
            description: "Subject of deleted zones",
            examples: ["dns.zone.delete"],
          }),
        }),
        "Subjects of events",
      ),
      zoneStateTopics: section(
        mapping({
          prefix: subject("prefix", "zonestate.", { isPrefix: true }).meta({
            description: "Where secondaries are asked what they hold; an id follows",
            examples: ["dns.state."],
          }),
        }),
        "Subjects of the state of zones",
      ),
      zoneDataTopics: section(
        mapping({
          prefix: subject("prefix", "zonedata.", { isPrefix: true }).meta({
            description: "Where providers are asked for zones; an id follows",
            examples: ["dns.data."],
          }),
          wildcard: subject("wildcard", "zonedata.*").meta({
            description: "What providers subscribe to",
            examples: ["dns.data.*"],
          }),
        }),
        "Subjects of the data of zones",
      ),
      healthChecks: section(
        mapping({
          eventCheckWaitTime: millis("eventCheckWaitTime", { minMs: 10, maxMs: DAY_MS, byDefault: 20_000 })
            .meta({
              description: "Time from an event to the check whether secondaries have followed it",
              example: "20s",
            }),
          activeZoneSecondaryRefreshInterval: millis("activeZoneSecondaryRefreshInterval", {
            minMs: 10,
            maxMs: DAY_MS,
            byDefault: 300_000,
          }).meta({ description: "Time between two lists of the primary's zones", example: "5m" }),
          periodicalCheckInterval: millis("periodicalCheckInterval", {
            minMs: 10,
            maxMs: 7 * DAY_MS,
            byDefault: 900_000,
          }).meta({ description: "Time between two checks of all zones", example: "15m" }),
          nsec3CheckInterval: millis("nsec3CheckInterval", {
            minMs: 10,
            maxMs: 7 * DAY_MS,
            byDefault: 900_000,
          })
            .meta({ description: "Time between two looks at NSEC3 parameters", example: "15m" }),
          signatureCheckInterval: millis("signatureCheckInterval", {
            minMs: 10,
            maxMs: 7 * DAY_MS,
            byDefault: DAY_MS / 2,
          }).meta({ description: "Time between two checks of signatures, keys and content", example: "12h" }),
          signatureRemaining: millis("signatureRemaining", {
            minMs: 1_000,
            maxMs: 30 * DAY_MS,
            byDefault: 3 * DAY_MS,
          }).meta({
            description: "A signature that ends sooner is fetched again",
            example: "3d",
          }),
        }),
        "Checks of the secondaries",
      ),
      axfrPrimary: section(
        mapping({
          address: socketAddress("address").default("127.0.0.1:20102").meta({
            description: "Where the PowerDNS of a secondary transfers zones from",
            examples: ["127.0.0.1:20103"],
          }),
        }),
        "The listener beside a secondary",
      ),
    }),
    "Settings of pleiades distribute",
  ),
};

/** Settings of `pleiades distribute`. */
export const distribute = {
  shape,
  settings: ({ distribute }: FileOf<typeof shape>, loading: Loading) => {
    const { messageBroker } = distribute;
    const at = ["distribute", "messageBroker"];
    const { tls: { caFile, ...pair }, username, password } = messageBroker;
    const ca = caFile === null ? null : loading.readText([...at, "tls", "caFile"], caFile);
    if (ca !== null && !isPemCertificate(ca)) {
      loading.problem([...at, "tls", "caFile"], `${caFile} is no PEM certificate`);
    }
    const { consul } = distribute;
    const consulCa = consul.caFile === null
      ? null
      : loading.readText(["distribute", "consul", "caFile"], consul.caFile);
    if (consulCa !== null && !isPemCertificate(consulCa)) {
      loading.problem(["distribute", "consul", "caFile"], `${consul.caFile} is no PEM certificate`);
    }
    if ((username === null) !== (password === null)) {
      const [given, missing] = username === null ? ["password", "username"] : ["username", "password"];
      loading.problem(
        [...at, given!],
        `${given} needs a ${missing} (set distribute.messageBroker.${missing})`,
      );
    }
    const { files, texts } = servable(pair, [...at, "tls"], loading);
    const tls = {
      caFile: caFile === null ? null : loading.resolve([...at, "tls", "caFile"], caFile),
      ...{ ...files, ca, client: texts },
    };
    const hosts = distribute.secondaries.hosts;
    for (const [i, host] of hosts.entries()) {
      if (hosts.indexOf(host) === i) continue;
      loading.problem(
        ["distribute", "secondaries", "hosts", i],
        `${host} stands in the list twice; remove one`,
      );
    }
    return {
      distribute: {
        ...distribute,
        consul: { ...consul, ca: consulCa },
        messageBroker: { ...messageBroker, tls },
      },
    };
  },
};
