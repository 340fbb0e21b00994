/**
 * Every way to leave a live name without an address, as a table: what a guard refuses of it, what is possible and why, and what
 * the rules of the model forbid anyway.
 *
 * @module
 */
import { ok } from "node:assert/strict";

/** What each way begins with; `www` is live, and so is what the zone and the fallback answer. */
export const MODEL = `
pools:
  - name: web
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.1, port: 443, region: fra }
  - name: both
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.2, port: 443 }
      - { ipAddress: "2001:db8::2", port: 443 }
  - name: fenced
    geofence: true
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.3, port: 443 }
      - { ipAddress: 192.0.2.4, port: 443 }
    geoRules:
      - { cidr: 198.51.100.0/24, member: 192.0.2.3 }
  - name: pair
    onAllDown: none
    members:
      - { ipAddress: 192.0.2.5, port: 443 }
      - { ipAddress: 192.0.2.6, port: 443 }
  - name: empty
services:
  - { domain: www.example.com, pool: web }
  - { domain: dual.example.com, pool: both }
  - { domain: fence.example.com, pool: fenced }
  - { domain: two.example.com, pool: pair }
zones:
  - domain: example.org
    text: |
      @ 300 SOA ns1 hostmaster 1 7200 900 1209600 300
      @ 300 NS ns1
      ns1 300 A 192.0.2.53
      static 300 A 192.0.2.54
loadbalancer:
  endpoints: [192.0.2.99]
`;

/** A way to leave a live name without an address. */
export interface Way {
  readonly what: string;
  /** The shell's words; how the whole model would have to differ. */
  readonly shell: string;
  readonly model?: (text: string) => string;
  /** The names that the guard gives; `null` = the change is made, for the reason beside. */
  readonly refused: readonly string[] | null;
  readonly because?: string;
  /** What the rules of the model say, which no force passes over; absent = they allow it. */
  readonly impossible?: RegExp;
}

const without = (...parts: readonly string[]) => (text: string) =>
  parts.reduce((rest, part) => {
    ok(rest.includes(part), part);
    return rest.replace(part, "");
  }, text);
const replaced = (from: string, to: string) => (text: string) => {
  ok(text.includes(from), from);
  return text.replace(from, to);
};

/** All that are known. */
export const WAYS: readonly Way[] = [
  {
    what: "delete its pool",
    shell: "pools delete web",
    refused: ["www.example.com"],
  },
  {
    what: "delete the last member",
    shell: "members delete web/192.0.2.1:443",
    model: without("      - { ipAddress: 192.0.2.1, port: 443, region: fra }\n", "    members:\n"),
    refused: ["www.example.com"],
  },
  {
    what: "disable the last member",
    shell: "members update web/192.0.2.1:443 --no-enabled",
    model: replaced("192.0.2.1, port: 443", "192.0.2.1, enabled: false, port: 443"),
    refused: ["www.example.com"],
  },
  {
    what: "force the last member down",
    shell: "down web/192.0.2.1:443 --for 1h --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "drain the last member",
    shell: "drain web/192.0.2.1:443 --for 1h --over 1ms --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "force the pool down",
    shell: "down pool:web --for 1h --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "force its region down",
    shell: "down region:fra --for 1h --reason test",
    refused: ["www.example.com"],
  },
  {
    what: "take its pool away",
    shell: "services update www.example.com --no-pool",
    model: replaced("www.example.com, pool: web", "www.example.com"),
    refused: null,
    because: "without a pool the static fallback answers",
  },
  {
    what: "take its pool and the static fallback away",
    shell: "",
    model: (text) =>
      replaced("www.example.com, pool: web", "www.example.com")(
        without("loadbalancer:\n  endpoints: [192.0.2.99]\n")(text),
      ),
    refused: ["www.example.com"],
  },
  {
    what: "hand over the domain that it is in",
    shell: "",
    model: replaced(
      "zones:\n",
      "zones:\n  - domain: com\n    text: |\n      @ 300 SOA ns1 hostmaster 1 7200 900 1209600 300\n" +
        "      @ 300 NS ns1\n      ns1 300 A 192.0.2.53\n      example 300 NS ns.example.net.\n",
    ),
    refused: null,
    impossible: /www\.example\.com/,
  },
  {
    what: "give it an empty pool",
    shell: "services update www.example.com --pool empty",
    model: replaced("www.example.com, pool: web", "www.example.com, pool: empty"),
    refused: ["www.example.com"],
  },
  {
    what: "ask for more members than there are",
    shell: "pools update web --min-healthy 2",
    model: replaced("name: web", "name: web\n    minHealthy: 2"),
    refused: ["www.example.com"],
  },
  {
    what: "delete the last member of a family",
    shell: "members delete both/[2001:db8::2]:443",
    model: without(`      - { ipAddress: "2001:db8::2", port: 443 }\n`),
    refused: ["dual.example.com"],
  },
  {
    what: "move the last member of a family",
    shell: "members update both/192.0.2.2:443 --ip 2001:db8::3",
    model: replaced("192.0.2.2", `"2001:db8::3"`),
    refused: ["dual.example.com"],
  },
  {
    what: "disable the only member inside a fence",
    shell: "members update fenced/192.0.2.3:443 --no-enabled",
    model: replaced("192.0.2.3, port", "192.0.2.3, enabled: false, port"),
    refused: ["fence.example.com"],
  },
  {
    what: "disable one of two members",
    shell: "members update pair/192.0.2.5:443 --no-enabled",
    model: replaced("192.0.2.5, port", "192.0.2.5, enabled: false, port"),
    refused: null,
    because: "the other one is left",
  },
  {
    what: "delete the service",
    shell: "services delete www.example.com",
    model: without("  - { domain: www.example.com, pool: web }\n"),
    refused: null,
    because: "that is what was asked for",
  },
  {
    what: "rename the service",
    shell: "services update www.example.com --domain web.example.com",
    model: replaced("www.example.com", "web.example.com"),
    refused: null,
    because: "that is what was asked for",
  },
  {
    what: "have it checked where nothing listens",
    shell: "health-checks set web --port 1",
    // Another port, of which nothing is known yet when the first one has been probed.
    model: replaced("name: web", "name: web\n    healthCheck: { type: tcp, port: 2 }"),
    refused: null,
    because: "health is frozen, and a member that isn't probed yet counts as healthy",
  },
  {
    what: "delete a zone with live names",
    shell: "zones delete example.org",
    refused: ["ns1.example.org", "static.example.org"],
  },
  {
    what: "delete the static fallback",
    shell: "fallback delete",
    model: without("loadbalancer:\n  endpoints: [192.0.2.99]\n"),
    refused: ["any-other-name.example.org"],
  },
  {
    what: "delete all of it in one apply",
    shell: "",
    model: () => "pools: [{ name: empty }]\nservices: [{ domain: www.example.com, pool: empty }]\n",
    refused: ["www.example.com"],
  },
];
