/** @module The settings block `notify`. */
import { z } from "zod";
import { KIND_NAMES } from "../../events/event.ts";
import { choice, list, refuse } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, requiredSecret } from "../fields.ts";

/** Each takes a connection and a place among the events. */
const WEBHOOKS_MAX = 100;

/** Who is told of events. */
export const notify = {
  shape: {
    notify: section(
      mapping({
        webhooks: list(
          "webhooks",
          mapping({
            url: url("url").meta({
              description: "Where events are posted",
              examples: ["https://hooks.example.com/dns"],
            }),
            secret: requiredSecret("secret").meta({
              description: "Key of the HMAC-SHA256 that signs each post",
              examples: ["${WEBHOOK_SECRET}"],
            }),
            events: list("events", choice("event", KIND_NAMES)).min(1, {
              error: "events must name a kind (leave it out for all)",
            }).nullable().default(null).meta({
              description: "Kinds of events; by default all",
              examples: [["health"]],
            }),
          }),
        ).max(WEBHOOKS_MAX, { error: `webhooks must have at most ${WEBHOOKS_MAX} receivers` }).default([])
          .meta({
            reload: "live",
            description: "Receivers of signed posts on events",
            examples: [[{ url: "https://hooks.example.com/dns", secret: "${WEBHOOK_SECRET}" }]],
          }),
      }),
      "Receivers of events",
    ),
  },
};

/** The address of a webhook is all that it takes to post to it, so it is shown as little as a secret. */
function url(name: string): z.ZodString {
  const error = `${name} must be an http or https address of at most 2048 characters`;
  return z.string({ error }).min(1, { error }).max(2048, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    const parsed = URL.parse(payload.value);
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) return refuse(payload, error);
    if (parsed.username === "" && parsed.password === "") return;
    refuse(payload, `${name} must have no user name and no password (the signature says who sends)`);
  });
}
