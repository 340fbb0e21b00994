/** @module The settings block `state`: what nodes tell each other. */
import { z } from "zod";
import { formatDuration } from "../../input/duration.ts";
import { choice, integer, mustBe, oneOrMore, refuse, together } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, millis, path, secret, text } from "../fields.ts";

/** What nodes tell each other. */
export const state = {
  shape: {
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
        nats: section(
          mapping({
            servers: oneOrMore(
              "servers",
              z.string({ error: mustBe("server", "an address such as nats://192.0.2.4:4222") }).min(1),
            )
              .prefault([]).meta({
                description: "NATS servers; none = no cluster",
                example: ["nats://192.0.2.4:4222"],
              }),
            tls: section(
              mapping({
                caFile: path("caFile").meta({
                  description: "Certificates of authorities, PEM",
                  examples: ["ca.pem"],
                }),
                certFile: path("certFile").meta({
                  description: "Client certificate, PEM",
                  examples: ["node.pem"],
                }),
                keyFile: path("keyFile").meta({
                  description: "Its private key, PEM",
                  examples: ["node.key"],
                }),
              }),
              "TLS towards NATS",
            ),
            auth: section(
              mapping({
                credsFile: path("credsFile").meta({
                  description: "Credentials file (JWT and seed)",
                  examples: ["node.creds"],
                }),
                user: text("user").meta({ description: "User name", examples: ["pleiades"] }),
                password: secret("state.nats.auth.password").meta({
                  description: "Its password",
                  examples: ["${NATS_PASSWORD}"],
                }),
                nkeySeed: secret("state.nats.auth.nkeySeed").meta({
                  description: "Seed of an nkey",
                  examples: ["file:/etc/pleiades/nkey"],
                }),
              }),
              "Credentials for NATS; one kind at most",
            ),
            jetStream: section(
              mapping({
                domain: text("domain").meta({ description: "JetStream domain", examples: ["hub"] }),
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
    ).meta({ absent: true }),
  },
  settings: () => ({}),
};
