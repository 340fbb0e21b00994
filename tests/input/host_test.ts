/** @module Tests of what a `Host` header may name. */
import { deepEqual, equal } from "node:assert/strict";
import { parseHost } from "../../src/input/host.ts";

const HOSTS = [
  ["www.example.org", "www.example.org", null],
  ["WWW.Example.org:8443", "WWW.Example.org", 8443],
  ["web_1", "web_1", null],
  ["3com.example", "3com.example", null],
  ["192.0.2.1", "192.0.2.1", null],
  ["192.0.2.1:80", "192.0.2.1", 80],
  ["[2001:db8::1]", "2001:db8::1", null],
  ["[::1]:65535", "::1", 65_535],
  [`${"x".repeat(63)}.example`, `${"x".repeat(63)}.example`, null],
] as const;

for (const [text, name, port] of HOSTS) {
  Deno.test(`parseHost() reads ${text}`, () => deepEqual(parseHost(text), { name, port }));
}

const NO_HOSTS = [
  "",
  ".",
  "a..b",
  ".example.org",
  "www.example.org.",
  "-a.example",
  "a-.example",
  "a b",
  "a/b",
  "bücher.example",
  "192.0.2.256",
  "a.1",
  "::1",
  "[192.0.2.1]",
  "[::1",
  "www.example.org:",
  "www.example.org:0",
  "www.example.org:65536",
  "www.example.org:8443:1",
  `${"x".repeat(64)}.example`,
  `${"x.".repeat(126)}xx`,
];

for (const text of NO_HOSTS) {
  Deno.test(`parseHost() refuses ${JSON.stringify(text)}`, () => equal(parseHost(text), null));
}
