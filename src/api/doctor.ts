/**
 * What is wrong with the set-up of this node and its machine.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { DOCTOR } from "../doctor/doctor.ts";
import { LEVELS } from "../doctor/finding.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, json, problems, type Routes } from "./route.ts";

const ExaminationSchema = z.object({
  checkedAt: z.iso.datetime().meta({ description: "When" }),
  checks: z.array(z.string()).meta({ description: "The checks that looked, by name" }),
  findings: z.array(z.object({
    check: z.string().meta({ description: "The check that found it", examples: ["disk"] }),
    level: z.enum(LEVELS).meta({ description: "problem: something fails because of it, or will" }),
    subject: z.string().meta({ description: "A file, a socket, a setting" }),
    message: z.string().meta({ description: "What is wrong with it" }),
    fix: z.string().meta({ description: "What to do about it" }),
  })).meta({ description: "The worst first; none on a healthy node" }),
}).openapi("Examination");

const routes = {
  get: {
    operationId: "getDoctor",
    method: "get",
    path: `${BASE}/doctor`,
    scope: "read",
    summary: "What is wrong with the set-up of this node",
    description:
      "Looks when it is asked, at the node's process and its machine, and takes two seconds at most. " +
      "`pleiades doctor` shows the same, and what stands in the way of a start.",
    responses: { 200: { description: "What was found", content: json(ExaminationSchema) }, ...problems(503) },
  },
} satisfies Routes;

/** The examination of a node, as the API serves it. */
export const doctor: Resource = {
  tag: "Doctor",
  description: "What is wrong with the set-up of this node and its machine, and what to do about it.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { ports }: ResourceParts): void {
  app.openapi(routes.get, async (c) => {
    const found = ports.find(DOCTOR);
    if (found === null) throw new ApiProblem(503, "The node is starting or stopping");
    const { atMs, checks, findings } = await found.examine();
    return c.json({
      checkedAt: rfc3339(atMs),
      checks: [...checks],
      findings: findings.map((finding) => ({ ...finding })),
    }, 200);
  });
}
