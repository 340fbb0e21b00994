/**
 * An HTTP server that answers each route with what the test says, and keeps what it was asked.
 *
 * @module
 */
import type { Refusal } from "../../src/cli/api_refusal.ts";

/** A request as it came. */
export interface Asked {
  /** `METHOD /path?query`, the path behind `/api/v1`. */
  readonly line: string;
  readonly headers: Headers;
  readonly body: string;
}

/** Answers by `METHOD /path?query`; a function is called for each request. */
export type Script = Readonly<Record<string, unknown>>;

/** The server. */
export interface ScriptedApi extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
}

/** Serves a script on a free loopback port; what isn't in it is answered 404 as a problem. */
export function scriptedApi(script: Script): ScriptedApi {
  const asked: Asked[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const line = `${request.method} ${pathname.replace("/api/v1", "")}${search}`;
    asked.push({ line, headers: request.headers, body: await request.text() });
    const answer = script[line];
    if (answer === undefined) return problem(404, `Nothing at ${line}`);
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A guard's refusal, as the API gives it. */
export function guarded(...guards: readonly Refusal[]): Response {
  const errors = guards.map(({ message }) => ({ pointer: "", message }));
  return new Response(
    JSON.stringify({
      type: "about:blank",
      title: "Conflict",
      status: 409,
      detail: "Refused",
      errors,
      guards,
    }),
    { status: 409, headers: { "content-type": "application/problem+json" } },
  );
}

/** An error document (RFC 9457). */
export function problem(
  status: number,
  detail: string,
  errors?: readonly { readonly pointer: string; readonly message: string }[],
): Response {
  return new Response(JSON.stringify({ type: "about:blank", title: "Wrong", status, detail, errors }), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
}
