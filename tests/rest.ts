/**
 * The REST API as a script calls it: whatever isn't a success is an error with the status and what was said.
 *
 * @module
 */

/** One request. */
export interface RestCall {
  readonly method: string;
  /** Below the base, such as `/pools`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as a zone file. */
  readonly zone?: string;
}

/**
 * Calls, and gives what was answered: `undefined` where the answer has no body.
 *
 * @param api base of the API, such as `http://127.0.0.1:8080/api/v1`
 * @throws {Error} when it was refused
 */
export async function call<Answer>(api: string, { method, path, json, zone }: RestCall): Promise<Answer> {
  const type = zone === undefined ? "application/json" : "text/dns";
  const body = zone ?? (json === undefined ? null : JSON.stringify(json));
  const headers = body === null ? {} : { "content-type": type };
  const response = await fetch(`${api}${path}`, { method, body, headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as Answer;
}
