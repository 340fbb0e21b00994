/** @module The settings block `notify`. */
import { z } from "zod";
import { choice, list, refuse } from "../../input/fields.ts";
import { section } from "../../input/strict_object.ts";
import { mapping, secret } from "../fields.ts";

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
            secret: secret("secret").meta({
              description: "Key of the HMAC-SHA256 that signs each post",
              examples: ["${WEBHOOK_SECRET}"],
            }),
            events: list("events", choice("event", ["health", "override", "change"])).nullable().default(null)
              .meta({
                description: "Which events; by default all",
                examples: [["health"]],
              }),
          }),
        ).default([]).meta({
          description: "Receivers of signed posts on health, override and change events",
          examples: [[{ url: "https://hooks.example.com/dns", secret: "${WEBHOOK_SECRET}" }]],
        }),
      }),
      "Receivers of events",
    ).meta({ absent: true }),
  },
  settings: () => ({}),
};

/** The address of a webhook is all that it takes to post to it, so it is shown as little as a secret. */
function url(name: string): z.ZodString {
  const error = `${name} must be an http or https address of at most 2048 characters`;
  return z.string({ error }).min(1, { error }).max(2048, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    if (!/^https?:$/.test(URL.parse(payload.value)?.protocol ?? "")) refuse(payload, error);
  });
}
