/**
 * The resource of the toy: `GET /motd`, and 404 while it is switched off.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { ApiProblem } from "../../src/api/problem.ts";
import type { Resource, ResourceParts } from "../../src/api/resource.ts";
import { BASE, json, problems, type Routes } from "../../src/api/route.ts";
import { MOTD } from "./part.ts";

const MotdSchema = z.object({ text: z.string(), author: z.string() }).openapi("Motd");

const routes = {
  get: {
    operationId: "getMotd",
    method: "get",
    path: `${BASE}/motd`,
    scope: "read",
    summary: "The message of the day",
    responses: { 200: { description: "The message", content: json(MotdSchema) }, ...problems(404) },
  },
} satisfies Routes;

/** The message of the day, as the API serves it. */
export const motd: Resource = {
  tag: "Message of the day",
  description: "What is to be known today.",
  routes: Object.values(routes),
  serve: (app: OpenAPIHono, { ports }: ResourceParts) => {
    app.openapi(routes.get, (c) => {
      const message = ports.find(MOTD);
      if (!message) throw new ApiProblem(404, "There is no message of the day (see motd.author)");
      return c.json(message.read(), 200);
    });
  },
};
