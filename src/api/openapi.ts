/**
 * The OpenAPI 3.1 document, generated from the declarations that validate requests. It needs no running node.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { documentationRoutes } from "./documentation.ts";
import { explainRoutes } from "./explain.ts";
import { fallbackRoutes } from "./fallback.ts";
import { geoRuleRoutes } from "./geo_rules.ts";
import { healthCheckRoutes } from "./health_checks.ts";
import { historyRoutes } from "./history.ts";
import { memberRoutes } from "./members.ts";
import { modelComponent, modelRoutes } from "./model.ts";
import { nodeRoutes } from "./node.ts";
import { overrideRoutes } from "./overrides.ts";
import { poolRoutes } from "./pools.ts";
import type { OpenApiDocument } from "./reference.ts";
import type { Route } from "./route.ts";
import { serviceRoutes } from "./services.ts";
import { zoneRoutes } from "./zones.ts";

/** Every declared route. */
export const ROUTES: readonly Route[] = [
  ...poolRoutes,
  ...memberRoutes,
  ...healthCheckRoutes,
  ...geoRuleRoutes,
  ...serviceRoutes,
  ...zoneRoutes,
  ...fallbackRoutes,
  ...overrideRoutes,
  ...modelRoutes,
  ...historyRoutes,
  ...explainRoutes,
  ...nodeRoutes,
  ...documentationRoutes,
];

/**
 * Generates the document.
 *
 * @param secured whether the node asks for a token
 */
export function openApiDocument(
  { version, secured }: { readonly version: string; readonly secured: boolean },
): OpenApiDocument {
  const generator = new OpenAPIHono();
  for (const route of ROUTES) generator.openAPIRegistry.registerPath(route);
  generator.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "A token of `api.tokens` in the settings",
  });
  generator.openAPIRegistry.registerComponent("schemas", modelComponent.name, modelComponent.schema);
  const document = generator.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Pleiades REST API",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: TAGS,
    ...(secured && { security: [{ bearer: [] }] }),
  });
  // The generator leaves undefined members behind, which JSON hasn't.
  return JSON.parse(JSON.stringify(document));
}

const DESCRIPTION = `
Everything Pleiades answers from can be read and changed here. JSON in camelCase, UTF-8.

- A change is in the next DNS answer when the call returns. Should a DNS worker take longer than 5 s, the call returns all the same and says \`Pleiades-Settled: false\`.
- Errors are \`application/problem+json\` (RFC 9457). \`errors\` names every wrong field by its JSON pointer. Whatever was refused has changed nothing.
- \`?dryRun=true\` on a write checks everything, answers as if it were done, and changes nothing. \`?reason=\` is kept in the history.
- \`ETag\` is an object's revision. A write with \`If-Match\` is refused (412) when the object has changed; a read with \`If-None-Match\` saves the body (304).
- Creates accept an \`Idempotency-Key\`: sent again within ten minutes, the same request gets the first answer again.
- Collections are arrays, paged by \`limit\` and \`cursor\`; follow \`Link: <…>; rel="next"\`.
- Where the node has tokens, send \`Authorization: Bearer TOKEN\`.
- \`Host\` and \`Origin\` are checked, and bodies must name their media type, so that no web page elsewhere can drive an API on a loopback address.

A name that is answered takes three calls:

\`\`\`sh
api=http://127.0.0.1:8080/api/v1
pool=$(curl -s --json '{"name": "web"}' $api/pools | jq -r .id)
curl --json '{"ipAddress": "192.0.2.10", "port": 443}' $api/pools/$pool/members
curl --json '{"domain": "www.example.com", "poolId": "'$pool'"}' $api/services
\`\`\`
`.trim();

const TAGS = [
  { name: "Pools", description: "A set of interchangeable members, and how one of them is picked." },
  { name: "Members", description: "One address or host name that can be answered, with its health." },
  { name: "Health checks", description: "How the members of a pool are probed." },
  { name: "Geo rules", description: "Which clients a pool sends to which of its members." },
  { name: "Services", description: "A domain that is answered from a pool." },
  { name: "Zones", description: "Static records, as zone files." },
  {
    name: "Fallback",
    description: "What is answered for names that nothing else answers: the model's, else the settings'.",
  },
  {
    name: "Overrides",
    description: "What is forced up, forced down or drained for a while, by whom and why.",
  },
  { name: "Model", description: "Everything at once: export, and replace in one transaction." },
  { name: "History", description: "What was changed, by whom and why." },
  { name: "Explanations", description: "Why an answer is what it is." },
  { name: "Node", description: "State of this node." },
  { name: "Documentation", description: "This description." },
];
