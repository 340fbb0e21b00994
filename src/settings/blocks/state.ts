/** @module The settings block `state`: what nodes tell each other. */
import { z } from "zod";
import { formatDuration } from "../../input/duration.ts";
import { choice, flag, integer, mustBe, oneOrMore, refuse, together } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, millis, path, secret, text } from "../fields.ts";
import type { FileOf, Loading } from "../loading.ts";
import { isPemCertificate } from "../pem.ts";
import { BOTH_OR_NONE, servable } from "../tls_files.ts";

const serverError = mustBe("server", "nats://HOST[:PORT] or tls://HOST[:PORT]");
const domainError = mustBe("domain", "1–63 letters, digits, underscores and hyphens");

const signingKeyError = mustBe("key", "a public key (ed25519:…)");

const shape = {
  state: section(
    mapping({
      healthPolicy: choice("healthPolicy", [
        "prefer-local",
        "local-only",
        "global-any-healthy",
        "global-quorum",
      ])
        .default("prefer-local").meta({ description: "Whose probes count", examples: ["global-quorum"] }),
      quorumMinPercent: integer("quorumMinPercent", 1, 100).default(51).meta({
        description: "Share of active nodes that must report healthy under global-quorum",
        examples: [67],
      }),
      heartbeatInterval: millis("heartbeatInterval", { minMs: 100, maxMs: 3_600_000, byDefault: 10_000 })
        .meta({
          description: "Time between heartbeats",
          example: "10s",
        }),
      heartbeatTTL: millis("heartbeatTTL", { minMs: 100, maxMs: 3_600_000, byDefault: 30_000 }).meta({
        description: "A node without a heartbeat for this long isn't active",
        example: "30s",
      }),
      offlineEdits: choice("offlineEdits", ["allow", "refuse"]).default("allow").meta({
        description:
          "Whether changes other than overrides are taken while the cluster's log can't be reached",
        examples: ["refuse"],
      }),
      nodes: integer("state.nodes", 1, 256).nullable().default(null).meta({
        description:
          "How many nodes the cluster has, by which a node that is cut off takes its part of the license; " +
          "none = as many as it ever saw",
        examples: [3],
      }),
      signing: section(
        mapping({
          key: secret("state.signing.key").meta({
            description: "Key by which this node signs what it publishes (pleiades cluster key new); " +
              "none = it publishes nothing in a cluster that signs",
            examples: ["file:/etc/pleiades/cluster.key"],
          }),
          keys: oneOrMore("state.signing.keys", z.string({ error: signingKeyError })).prefault([]).meta({
            description: "Public keys whose signatures count; with any, nothing counts that isn't signed",
            example: ["ed25519:UO9u3dLzFU7OeyOFNPZ7FhdhWlBn8MwqY8brWAxLQEw"],
          }),
        }),
        "Signatures on the cluster's model",
      ),
      nats: section(
        mapping({
          servers: oneOrMore(
            "servers",
            z.string({ error: serverError }).min(1, { error: serverError }),
          )
            .prefault([]).meta({
              reload: "live",
              description: "NATS servers, of which one is connected to; none = no cluster",
              example: ["nats://192.0.2.4:4222"],
            }),
          tls: section(
            mapping({
              caFile: path("caFile").meta({
                reload: "live",
                description: "Certificates of the authorities that count beside the system's, PEM",
                examples: ["ca.pem"],
              }),
              certFile: path("certFile").meta({
                reload: "live",
                description: "Client certificate (X.509 v3), PEM; with it the TLS handshake comes first",
                examples: ["node.pem"],
              }),
              keyFile: path("keyFile").meta({
                reload: "live",
                description: "Its private key, PEM",
                examples: ["node.key"],
              }),
              handshakeFirst: flag("handshakeFirst").default(false).meta({
                reload: "live",
                description: "Begin with the TLS handshake, as servers with handshake_first want it",
                examples: [true],
              }),
            }).check(BOTH_OR_NONE),
            "TLS towards NATS",
          ),
          auth: section(
            mapping({
              credsFile: path("credsFile").meta({
                reload: "live",
                description: "Credentials file (JWT and seed)",
                examples: ["node.creds"],
              }),
              user: text("user").meta({ reload: "live", description: "User name", examples: ["pleiades"] }),
              password: secret("state.nats.auth.password").meta({
                reload: "live",
                description: "Its password",
                examples: ["${NATS_PASSWORD}"],
              }),
              token: secret("state.nats.auth.token").meta({
                reload: "live",
                description: "Token",
                examples: ["${NATS_TOKEN}"],
              }),
              nkeySeed: secret("state.nats.auth.nkeySeed").meta({
                reload: "live",
                description: "Seed of a user's nkey",
                examples: ["file:/etc/pleiades/nkey"],
              }),
            }),
            "Credentials for NATS; one kind at most",
          ),
          jetStream: section(
            mapping({
              domain: z.string({ error: domainError }).regex(/^[A-Za-z0-9_-]{1,63}$/, { error: domainError })
                .nullable().default(null).meta({ description: "JetStream domain", examples: ["hub"] }),
              replicas: integer("replicas", 1, 5).default(1).meta({
                description: "Servers of a NATS cluster that keep a copy of what nodes make there",
                examples: [3],
              }),
            }),
            "JetStream",
          ),
        }),
        "Connection to NATS",
      ),
    }).check(together(["heartbeatInterval", "heartbeatTTL"], (payload) => {
      const { heartbeatInterval, heartbeatTTL } = payload.value;
      if (heartbeatTTL > heartbeatInterval) return;
      refuse(
        payload,
        `heartbeatTTL must be more than heartbeatInterval (${formatDuration(heartbeatInterval)}), is ${
          formatDuration(heartbeatTTL)
        }`,
        ["heartbeatTTL"],
      );
    })),
    "State that nodes share",
  ),
};

/** What nodes tell each other. */
export const state = {
  shape,
  settings: ({ state }: FileOf<typeof shape>, loading: Loading) => {
    const { nats } = state;
    if (nats.servers.length === 0) noteWithoutEffect(loading);
    nats.servers.forEach((server, i) => {
      const fault = serverFault(server);
      if (fault !== null) loading.problem(["state", "nats", "servers", i], fault);
    });
    expectSigningKeys(state.signing, loading);
    return {
      state: { ...state, nats: { ...nats, tls: tlsOf(nats.tls, loading), auth: authOf(nats.auth, loading) } },
    };
  },
};

/** Keys of the wrong kind would sign nothing, or believe nothing. */
function expectSigningKeys(
  { key, keys }: FileOf<typeof shape>["state"]["signing"],
  loading: Loading,
): void {
  const at = (...path: (string | number)[]) => ["state", "signing", ...path];
  const made = "and 43 letters, digits, - and _ (pleiades cluster key new prints both)";
  if (key !== null && !/^ed25519-private:[A-Za-z0-9_-]{43}$/.test(key)) {
    loading.problem(at("key"), `state.signing.key must be ed25519-private: ${made}`);
  }
  keys.forEach((text, i) => {
    if (/^ed25519-private:/.test(text)) {
      loading.problem(
        at("keys", i),
        "a private key stands among the public ones: replace both, others may have read it",
      );
    } else if (!/^ed25519:[A-Za-z0-9_-]{43}$/.test(text)) {
      loading.problem(at("keys", i), `a public key must be ed25519: ${made}`);
    }
  });
}

type Nats = FileOf<typeof shape>["state"]["nats"];

/** Nothing is shared without servers: whoever sets a policy of the cluster believes otherwise. */
function noteWithoutEffect(loading: Loading): void {
  for (const key of Object.keys(loading.written("state"))) {
    const written = loading.written("state")[key];
    const isDefault = key === "healthPolicy"
      ? written === "prefer-local" || written === "local-only"
      : key !== "nats";
    if (isDefault || isEmpty(written)) continue;
    loading.note(
      ["state", key],
      `state.${key} has no effect without state.nats.servers (set them, or remove it)`,
    );
  }
}

/** Whether nothing is in it but what is empty, or the one replica that a start file has. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === false || value === 1) return true;
  return typeof value === "object" && Object.values(value).every(isEmpty);
}

/** Why an address isn't one of a NATS server, with the fix; `null` = it is. A password in it never stands in the message. */
function serverFault(server: string): string | null {
  // Before it is looked at in any other way: what is in front of an @ may be a password.
  if (server.includes("@")) return "a server is named without user and password (set state.nats.auth)";
  if (!URL.canParse(server)) return serverError({ input: server });
  const { protocol, hostname, port, pathname, search, hash } = new URL(server);
  if (protocol === "ws:" || protocol === "wss:") {
    return `servers are spoken to over TCP, not over WebSocket (${protocol}//…)`;
  }
  const isPlain = (pathname === "" || pathname === "/") && search === "" && hash === "";
  const isKnown = protocol === "nats:" || protocol === "tls:";
  return isKnown && hostname !== "" && port !== "0" && isPlain ? null : serverError({ input: server });
}

/** Files resolved and read; what can't be used of them is reported. */
function tlsOf({ caFile, handshakeFirst, ...pair }: Nats["tls"], loading: Loading) {
  const at = ["state", "nats", "tls", "caFile"];
  const ca = caFile === null ? null : loading.readText(at, caFile);
  if (ca !== null && !isPemCertificate(ca)) {
    loading.problem(at, `${caFile} is no PEM certificate (it begins with -----BEGIN CERTIFICATE-----)`);
  }
  const { files, texts } = servable(pair, ["state", "nats", "tls"], loading);
  return {
    caFile: caFile === null ? null : loading.resolve(at, caFile),
    ...files,
    handshakeFirst,
    ca,
    client: texts,
  };
}

/** The seed of a user's nkey. */
const NKEY_SEED = /^SU[A-Z2-7]{56}$/;

/** One way of saying who the node is, at most. */
function authOf(auth: Nats["auth"], loading: Loading) {
  const { credsFile, user, password, token, nkeySeed } = auth;
  const at = (key: keyof Nats["auth"]) => ["state", "nats", "auth", key];
  const given = (["credsFile", "user", "token", "nkeySeed"] as const).filter((key) => auth[key] !== null);
  if (given.length > 1) {
    loading.problem(at(given[1]!), `${given.join(", ")}: a node has one kind of credentials; keep one`);
  }
  if (user !== null && password === null) {
    loading.problem(at("user"), "user needs a password (set state.nats.auth.password)");
  }
  if (user === null && password !== null) {
    loading.problem(at("password"), "password needs a user (set state.nats.auth.user)");
  }
  if (nkeySeed !== null && !NKEY_SEED.test(nkeySeed)) {
    loading.problem(at("nkeySeed"), "nkeySeed must be the seed of a user: SU and 56 more letters and digits");
  }
  const creds = credsFile === null ? null : loading.secret(at("credsFile"), `file:${credsFile}`);
  if (creds !== null && "reason" in creds) loading.problem(at("credsFile"), creds.reason);
  const text = creds !== null && "value" in creds ? creds.value : null;
  if (text !== null && !/BEGIN NATS USER JWT[^]*BEGIN USER NKEY SEED/.test(text)) {
    loading.problem(
      at("credsFile"),
      `${credsFile} is no credentials file of NATS (nsc generate creds writes one)`,
    );
  }
  return { ...auth, credsFile: credsFile && loading.resolve(at("credsFile"), credsFile), creds: text, token };
}
