/**
 * Where the API is by default; apart from the client, since the help names it too.
 *
 * @module
 */

/** Where `serve` listens unless told otherwise. */
export const DEFAULT_API_URL = "http://127.0.0.1:8080";
