/**
 * Errors of Deno, rustls and node:net in the words of operators.
 *
 * @module
 */
import assert from "node:assert/strict";
import { explainFailure } from "../../src/health/connection.ts";

const EXPLAINED: [message: string, phrase: string][] = [
  ["Connection refused (os error 111)", "connection refused"],
  ["connect ECONNREFUSED 192.0.2.1:443", "connection refused"],
  ["Connection reset by peer (os error 104)", "connection reset"],
  ["Broken pipe (os error 32)", "connection closed"],
  ["No route to host (os error 113)", "no route to host"],
  ["Network is unreachable (os error 101)", "network is unreachable"],
  ["Connection timed out (os error 110)", "connection timed out"],
  ["invalid peer certificate: Revoked", "certificate is invalid: Revoked"],
  ["received fatal alert: HandshakeFailure", "TLS alert: HandshakeFailure"],
  ["something new (os error 99)\nwith a second line", "something new"],
  ["x".repeat(200), `${"x".repeat(119)}…`],
];

Deno.test("explainFailure() is short and says what a person looks for", () => {
  for (const [message, phrase] of EXPLAINED) {
    assert.equal(explainFailure(new Error(message), "www.example.org"), phrase);
  }
});

Deno.test("explainFailure() finds nothing wrong with the peer when the prober is out of something", () => {
  for (
    const message of [
      "Too many open files (os error 24)",
      "connect EMFILE 192.0.2.1:443",
      "Cannot assign requested address (os error 99)",
      "No buffer space available (os error 105)",
      "Cannot allocate memory (os error 12)",
      "Operation not permitted (os error 1)",
      "connect EACCES 192.0.2.1:443",
    ]
  ) assert.equal(explainFailure(new Error(message), "www.example.org"), null, message);
  assert.equal(explainFailure("not an error", "www.example.org"), null);
});
