/** @module Server cookies: the vectors of RFC 9018, and what is no good cookie. */
import { deepEqual, equal, notEqual } from "node:assert/strict";
import { Cookies, type CookieVerdict } from "../../src/dns/cookies.ts";
import { parseIp } from "../../src/ip.ts";

const SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const OLD = "dd3bdf9344b678b185a6f5cb60fca715";
const NEW = "445536bcd2513298075a5d379663c962";
const CLIENT = "198.51.100.100";
/** Made for it at 1559731985. */
const GOOD = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
const MADE_AT = 1559731985;

function judge(
  cookie: string,
  { secrets = [SECRET], client = CLIENT, now = MADE_AT } = {},
): [verdict: CookieVerdict, issued: string] {
  const cookies = new Cookies(secrets.map((secret) => Uint8Array.fromHex(secret)));
  const packet = Uint8Array.fromHex(`ffff${cookie}ff`);
  const issued = new Uint8Array(16);
  const verdict = cookies.judge(packet, 2, cookie.length / 2, parseIp(client)!, now, issued);
  return [verdict, verdict === "current" ? cookie : cookie.slice(0, 16) + issued.toHex()];
}

Deno.test("RFC 9018 A.1: a client learns a server cookie", () => {
  deepEqual(judge("2464c4abcf10c957"), ["new", GOOD]);
});

Deno.test("RFC 9018 A.2: the same client learns a renewed one", () => {
  deepEqual(judge(GOOD, { now: 1559734385 }), ["valid", "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"]);
});

Deno.test("RFC 9018 A.3: reserved bytes are hashed as they came, and none are issued", () => {
  const client = "203.0.113.203";
  const cookie = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
  deepEqual(judge(cookie, { client, now: 1559727985 }), ["current", cookie]);
  const renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
  deepEqual(judge(cookie, { client, now: 1559734700 }), ["invalid", renewed]); // by then it is two hours old
});

Deno.test("RFC 9018 A.4: an IPv6 client's cookie of the secret before is good, and replaced by one of the new secret", () => {
  const asked = { client: "2001:db8:220:1:59de:d0f4:8769:82b8", now: 1559741961 };
  const old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
  const renewed = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
  deepEqual(judge(old, { ...asked, secrets: [NEW, OLD] }), ["valid", renewed]);
  deepEqual(judge(old, { ...asked, secrets: [NEW] }), ["invalid", renewed]);
  deepEqual(judge(renewed, { ...asked, secrets: [NEW, OLD] }), ["current", renewed]);
});

Deno.test("a cookie is good for an hour, and five minutes before its time; after half an hour it is renewed", () => {
  const at = (age: number) => judge(GOOD, { now: MADE_AT + age });
  deepEqual([-301, -300, 0, 1799, 3600, 3601].map((age) => at(age)[0]), [
    "invalid",
    "current",
    "current",
    "current",
    "valid",
    "invalid",
  ]);
  deepEqual([-300, 1799, 1800, 3600].map((age) => at(age)[1] === GOOD), [true, true, false, false]);
});

Deno.test("time stamps wrap", () => {
  const late = 2 ** 32 - 10;
  const [, cookie] = judge("2464c4abcf10c957", { now: late });
  deepEqual(judge(cookie, { now: late + 20 }), ["current", cookie]);
  equal(judge(cookie, { now: late + 3601 })[0], "invalid");
});

Deno.test("every bit of a cookie counts, and so does the address", () => {
  for (let bit = 0; bit < 24 * 8; bit++) {
    const bytes = Uint8Array.fromHex(GOOD);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    equal(judge(bytes.toHex())[0], "invalid", `bit ${bit}`);
  }
  for (const client of ["198.51.100.101", "198.51.101.100", "::c633:6464", "2001:db8::1"]) {
    equal(judge(GOOD, { client })[0], "invalid", client);
  }
});

Deno.test("another server's cookie isn't ours, whatever its length", () => {
  for (const bytes of [8, 15, 17, 32]) {
    const [verdict, issued] = judge("2464c4abcf10c957" + "01".repeat(bytes));
    deepEqual([verdict, issued], ["invalid", GOOD]);
  }
});

Deno.test("servers that share a secret accept each other's cookies, others don't", () => {
  const [, cookie] = judge("0011223344556677", { secrets: [NEW] });
  equal(judge(cookie, { secrets: [NEW] })[0], "current");
  equal(judge(cookie, { secrets: [OLD] })[0], "invalid");
  notEqual(judge("0011223344556677", { secrets: [OLD] })[1], cookie);
});

Deno.test("what is remembered of a good cookie is good for its address and its time only", () => {
  const cookies = new Cookies([Uint8Array.fromHex(SECRET)]);
  const packet = Uint8Array.fromHex(GOOD);
  const verdictOf = (bytes: Uint8Array, client: string, now: number) =>
    cookies.judge(bytes, 0, bytes.length, parseIp(client)!, now, new Uint8Array(16));
  for (let i = 0; i < 3; i++) equal(verdictOf(packet, CLIENT, MADE_AT), "current");
  equal(verdictOf(packet, CLIENT, MADE_AT + 1800), "valid");
  equal(verdictOf(packet, CLIENT, MADE_AT + 3601), "invalid");
  equal(verdictOf(packet, CLIENT, MADE_AT - 301), "invalid");
  for (let bit = 0; bit < 24 * 8; bit++) {
    const bytes = packet.slice();
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    equal(verdictOf(bytes, CLIENT, MADE_AT), "invalid", `bit ${bit}`);
  }
  for (let bit = 0; bit < 32; bit++) {
    const address = parseIp(CLIENT)!;
    address[bit >> 3]! ^= 1 << (bit & 7);
    equal(
      cookies.judge(packet, 0, 24, address, MADE_AT, new Uint8Array(16)),
      "invalid",
      `bit ${bit} of the address`,
    );
  }
  // An IPv6 address with the words of the IPv4 one, for which it is looked at in the same place.
  const issued = new Uint8Array(16);
  cookies.judge(packet, 0, 8, parseIp("1.1.1.1")!, MADE_AT, issued);
  packet.set(issued, 8);
  equal(verdictOf(packet, "1.1.1.1", MADE_AT), "current");
  equal(verdictOf(packet, "101:101::", MADE_AT), "invalid");
});

Deno.test("more clients than are remembered are all told right", () => {
  const cookies = new Cookies([Uint8Array.fromHex(SECRET)]);
  const issued = new Uint8Array(16);
  const packets = Array.from({ length: 5000 }, (_, i) => {
    const packet = new Uint8Array(24);
    new DataView(packet.buffer).setUint32(4, i);
    cookies.judge(packet, 0, 8, new Uint8Array([10, 0, i >> 8, i]), MADE_AT, issued);
    packet.set(issued, 8);
    return packet;
  });
  for (let round = 0; round < 2; round++) {
    for (const [i, packet] of packets.entries()) {
      const client = new Uint8Array([10, 0, i >> 8, i]);
      equal(cookies.judge(packet, 0, 24, client, MADE_AT, issued), "current");
      equal(cookies.judge(packet, 0, 24, new Uint8Array([10, 1, i >> 8, i]), MADE_AT, issued), "invalid");
    }
  }
});
