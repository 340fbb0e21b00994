/**
 * Health checks that gslbd has and this program hasn't, with what does the same here.
 *
 * @module
 */

/** Values of `type`. */
export const CHECK_TYPES_ELSEWHERE: ReadonlyMap<unknown, string> = new Map([
  ["icmp", "use tcp with a port that the service listens on"],
  ["script", "serve the script's result over HTTP on the backend, and use http with its port and path"],
  ["webhook", "use http or https with the port and path that the webhook has"],
]);

/** Keys of a check. */
export const CHECK_KEYS_ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["scoreWindow", "use rise and fall"],
  ["icmpCount", "use type tcp, and fall for how many may fail"],
  ["scriptPath", "serve the script's result over HTTP on the backend, and use type http"],
  ["scriptContent", "serve the script's result over HTTP on the backend, and use type http"],
  ["webhookURL", "use type http or https with its port and path"],
]);
