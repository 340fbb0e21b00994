/** @module Why an answer said what it said. */
import { equal } from "node:assert/strict";
import {
  HEALTH_CHECK_DEFAULTS,
  type Member,
  MEMBER_DEFAULTS,
  type Pool,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import { type Beliefs, reasonFor } from "../../src/demo/reason.ts";
import type { Message } from "../../src/wire/message.ts";
import { RCODE, TYPE } from "../../src/wire/record_type.ts";

const member = (ipAddress: string): Member => ({
  ...MEMBER_DEFAULTS,
  id: ipAddress,
  ipAddress,
  port: 80,
});

const pool = (name: string, fields: Partial<Pool>): Pool => ({
  ...POOL_DEFAULTS,
  id: name,
  name,
  members: [],
  healthCheck: HEALTH_CHECK_DEFAULTS,
  geoRules: [],
  ...fields,
});

const POOLS = [
  pool("web", { members: [member("192.0.2.1"), member("192.0.2.2"), member("2001:db8::2")] }),
  pool("none", { members: [member("192.0.2.2")], onAllDown: "none" }),
  pool("shop", { members: [member("192.0.2.2")], onAllDown: "fallback", fallbackPoolId: "web" }),
  pool("unprobed", { members: [member("192.0.2.2")], healthCheck: null }),
  pool("four", { members: [member("192.0.2.1")] }),
];

/** 192.0.2.2 and 2001:db8::2 are down; every pool has a service of its name. */
const BELIEFS: Beliefs = {
  service: (domain) => {
    const poolId = /^(?:\*\.)?(\w+)\.demo\.test$/.exec(domain)?.[1] ?? "";
    const isThere = POOLS.some(({ id }) => id === poolId) && (!domain.startsWith("*.") || poolId === "four");
    return isThere ? { ...SERVICE_DEFAULTS, id: domain, domain, poolId } : null;
  },
  pool: (id) => POOLS.find((pool) => pool.id === id) ?? null,
  isUp: (key) => key.includes(" 192.0.2.1 "),
};

function message(name: string, type: number, parts: Partial<Message> = {}): Message {
  return {
    id: 0,
    opcode: 0,
    rcode: RCODE.NOERROR,
    flags: { qr: true, aa: true, tc: false, rd: false, ra: false, ad: false, cd: false },
    questions: [{ name, type, class: 1 }],
    answers: [],
    authorities: [],
    additionals: [],
    edns: null,
    ...parts,
  };
}

const record = (name: string, type: number, data: string) => ({
  name,
  type,
  class: 1,
  ttl: 5,
  rdata: new Uint8Array(),
  data,
});

/** Answer → reason. */
const REASONS: readonly (readonly [Message, string])[] = [
  [message("WWW.example.com", TYPE.A, { rcode: RCODE.REFUSED }), "outside every zone"],
  [message("nope.demo.test", TYPE.A, { rcode: RCODE.NXDOMAIN }), "no such name"],
  [message("web.demo.test", TYPE.A, { rcode: RCODE.FORMERR }), "FORMERR"],
  [message("Web.demo.test", TYPE.A), "pool web, 1 of 2 up"],
  [message("web.demo.test", TYPE.AAAA), "pool web, 0 of 1 up, though others are"],
  [message("four.demo.test", TYPE.AAAA), "pool four has no IPv6 member"],
  [message("any.four.demo.test", TYPE.A), "pool four, 1 of 1 up"],
  [message("none.demo.test", TYPE.A), "pool none, 0 of 1 up, so nothing"],
  [message("shop.demo.test", TYPE.A), "pool shop, 0 of 1 up, so pool web, 1 of 2 up"],
  [message("unprobed.demo.test", TYPE.A), "pool unprobed, 1 of 1 up"],
  [message("web.demo.test", TYPE.TXT), "no record of this type"],
  [
    message("demo.test", TYPE.MX, { answers: [record("demo.test", TYPE.MX, "10 mail.demo.test.")] }),
    "static record",
  ],
  [
    message("docs.demo.test", TYPE.A, {
      answers: [
        record("docs.demo.test", TYPE.CNAME, "web.demo.test."),
        record("web.demo.test", TYPE.A, "192.0.2.1"),
      ],
    }),
    "pool web, 1 of 2 up",
  ],
];

for (const [answer, reason] of REASONS) {
  const { name, type } = answer.questions[0]!;
  Deno.test(`the reason for ${name}, type ${type}, is "${reason}"`, () => {
    equal(reasonFor(answer, BELIEFS), reason);
  });
}
