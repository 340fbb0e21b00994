/** @module What limits let through, make short, refuse and drop: the engine's answers behind them, and a clock by hand. */
import assert, { deepEqual, equal, match, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER } from "../../src/dns/counters.ts";
import { type Client, UDP_SIZE_MAX } from "../../src/dns/engine.ts";
import { Limits, type LimitTerms, NO_LIMITS, type RateTerms } from "../../src/dns/limits.ts";
import { rangesOf } from "../../src/dns/prefix_ranges.ts";
import { createRateTable } from "../../src/dns/rate_table.ts";
import { parseIp, parsePrefix } from "../../src/ip.ts";
import { query, show } from "./packets.ts";
import { World } from "./world.ts";

const SECRET = Uint8Array.fromHex("e5e973e5a6b2a43f48e7dc849e37bfcf");
const LONG = Array.from({ length: 2 }, (_, i) => `t TXT ${String(i).repeat(200)}`).join("\n");
const ZONE = `@ SOA ns.o. h.o. 1 3600 600 604800 60
@ NS ns.o.
a A 192.0.2.1
b A 192.0.2.2
*.w A 192.0.2.3
sub NS ns.o.
other NS ns.o.
d DNAME e
${LONG}`;
const SOA_SIZE = 43;
const CLIENT_COOKIE = "2464c4abcf10c957";

const of = (...prefixes: string[]) => rangesOf(prefixes.map(parsePrefix));

/** An engine behind limits. */
class Limited {
  nowMs = 1_000_000;
  readonly lane: Uint32Array;
  readonly #world: World;
  readonly #limits: Limits;
  readonly #out = new Uint8Array(65_535);

  constructor(terms: Partial<LimitTerms>, { zone = ZONE, nsid = "" } = {}) {
    this.#world = new World(
      {
        zones: { "p.test": zone },
        pools: [{ name: "web", members: ["192.0.2.9"] }],
        services: { "s.p.test": "web" },
      },
      { nsid },
    );
    const { engine, board } = this.#world;
    this.lane = board.lane(0);
    this.#limits = new Limits({ ...NO_LIMITS, ...terms }, {
      engine,
      lane: this.lane,
      unixMs: () => this.nowMs,
    });
    engine.readCookies(this.#limits.takesCookies);
  }

  /** The answer; `null` = none. */
  send(packet: Uint8Array, { client = "198.51.100.1", stream = false } = {}): Uint8Array | null {
    const address = parseIp(client)!;
    const asking: Client = { stream, address: () => address };
    const { engine } = this.#world;
    this.#limits.tick();
    engine.read(0, packet, packet.length);
    if (!this.#limits.admit(0, packet, asking)) return null;
    const max = stream ? 65_535 : UDP_SIZE_MAX;
    let size = engine.answerRead(0, packet, packet.length, asking, this.#out, max);
    if (size > 0) size = this.#limits.release(packet, packet.length, asking, size);
    if (size > 0) engine.countAnswer(size);
    return size === 0 ? null : this.#out.slice(0, size);
  }

  ask(question: string, asked: Parameters<Limited["send"]>[1] = {}): string {
    const [name, type = "A"] = question.split(" ");
    return show(this.send(query(`${name}.p.test`, type), asked)).split("\n")[0]!;
  }
}

/** The query with an OPT record that has these options. */
function withOptions(packet: Uint8Array, ...options: readonly [code: number, data: string][]): Uint8Array {
  const data = options.map(([code, hex]) =>
    code.toString(16).padStart(4, "0") + (hex.length / 2).toString(16).padStart(4, "0") + hex
  ).join("");
  const opt = `00002904d000000000${(data.length / 2).toString(16).padStart(4, "0")}${data}`;
  const signed = new Uint8Array([...packet, ...Uint8Array.fromHex(opt)]);
  signed[11] = signed[11]! + 1;
  return signed;
}

function withCookie(cookie: string, name = "a.p.test", type = "A"): Uint8Array {
  return withOptions(query(name, type), [10, cookie]);
}

/** The cookie of an answer, in hex. */
function cookieOf(answer: Uint8Array | null): string {
  return / 10:([0-9a-f]+)/.exec(show(answer))?.[1] ?? "none";
}

// Lists

Deno.test("a denied client gets nothing, over UDP and TCP, and is counted", () => {
  const limited = new Limited({ deny: of("198.51.100.0/24", "2001:db8::/32") });
  equal(limited.ask("a"), "nothing");
  equal(limited.ask("a", { stream: true }), "nothing");
  equal(limited.ask("a", { client: "2001:db8::1" }), "nothing");
  equal(limited.ask("a", { client: "198.51.101.1" }), "NOERROR aa");
  equal(limited.lane[COUNTER.denied], 3);
});

Deno.test("a client that isn't allowed is refused, with nothing of what it asked for", () => {
  const limited = new Limited({ allow: of("192.0.2.0/24") });
  equal(show(limited.send(query("a.p.test", "A"))), "REFUSED");
  equal(limited.ask("a", { client: "192.0.2.7" }), "NOERROR aa");
  equal(limited.lane[COUNTER.notAllowed], 1);
  equal(limited.lane[COUNTER.rcode + 5], 1);
});

Deno.test("who is allowed and denied is denied, and a malformed query of others stays malformed", () => {
  const limited = new Limited({ allow: of("192.0.2.0/24"), deny: of("192.0.2.9") });
  equal(limited.ask("a", { client: "192.0.2.9" }), "nothing");
  equal(show(limited.send(query("a.p.test", "A").with(5, 2))), "FORMERR");
  equal(show(limited.send(query("a.p.test", "A").with(2, 0x80))), "nothing");
});

// Cookies

const WITH_COOKIES = { cookieSecrets: [SECRET] };

Deno.test("a cookie is answered with the server's, whatever the answer says", () => {
  const limited = new Limited(WITH_COOKIES);
  const [name, type] = ["a.p.test", "A"];
  const answers = [
    withCookie(CLIENT_COOKIE, name, type),
    withCookie(CLIENT_COOKIE, "none.p.test"),
    withCookie(CLIENT_COOKIE, "elsewhere"),
    withCookie(CLIENT_COOKIE, name, type).with(2, 1 | 0),
  ].map((packet) => cookieOf(limited.send(packet)));
  for (const cookie of answers) match(cookie, new RegExp(`^${CLIENT_COOKIE}01000000.{24}$`));
  equal(cookieOf(limited.send(withCookie(answers[0]!))), answers[0]);
  deepEqual([COUNTER.cookiesNew, COUNTER.cookiesValid].map((at) => limited.lane[at]), [4, 1]);
});

Deno.test("without secrets the option means nothing, however long it is", () => {
  const limited = new Limited({});
  for (const cookie of ["", "00", CLIENT_COOKIE, "00".repeat(41)]) {
    match(show(limited.send(withCookie(cookie))), /^NOERROR aa\nan .*\nar OPT 1232 rcode\+0$/);
  }
});

Deno.test("a cookie of a length that there isn't is FORMERR, without a cookie", () => {
  const limited = new Limited(WITH_COOKIES);
  const lengthsOf = (rcode: string) =>
    Array.from({ length: 50 }, (_, bytes) => bytes).filter((bytes) =>
      show(limited.send(withCookie("11".repeat(bytes)))).startsWith(rcode)
    );
  deepEqual(lengthsOf("NOERROR"), [8, ...Array.from({ length: 25 }, (_, i) => 16 + i)]);
  equal(show(limited.send(withCookie("11".repeat(7)))), "FORMERR\nar OPT 1232 rcode+0");
});

Deno.test("of two cookies the first counts", () => {
  const limited = new Limited(WITH_COOKIES);
  for (const second of ["00".repeat(8), "11", ""]) {
    const answer = limited.send(withOptions(query("a.p.test", "A"), [10, CLIENT_COOKIE], [10, second]));
    equal(show(answer).match(/ 10:/g)!.length, 1);
    ok(cookieOf(answer).startsWith(CLIENT_COOKIE));
  }
});

Deno.test("a query without a question asks for a cookie (RFC 7873 §5.4)", () => {
  const limited = new Limited(WITH_COOKIES);
  const empty = (cookie: string) =>
    withOptions(new Uint8Array([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [10, cookie]);
  const first = limited.send(empty(CLIENT_COOKIE));
  match(show(first), /^NOERROR\nar OPT 1232 rcode\+0 10:/);
  equal(first![5], 0);
  match(show(limited.send(empty(cookieOf(first)))), /^NOERROR\n/);
  match(
    show(limited.send(empty(cookieOf(first).replace(/..$/, "00")))),
    /^YXRRSET\nar OPT 1232 rcode\+1 10:/,
  ); // 23 = 1 · 16 + 7
  equal(show(limited.send(withOptions(new Uint8Array(12)))), "FORMERR\nar OPT 1232 rcode+0");
  equal(show(new Limited({}).send(empty(CLIENT_COOKIE))).split("\n")[0], "FORMERR");
});

// Amplification

Deno.test("an answer beyond the ceiling is short over UDP, and whole over TCP or with a good cookie", () => {
  const limited = new Limited({ ...WITH_COOKIES, amplificationMax: 3 });
  equal(limited.ask("a"), "NOERROR aa");
  equal(limited.ask("t TXT"), "NOERROR tc");
  equal(limited.ask("t TXT", { stream: true }), "NOERROR aa");
  const first = limited.send(withCookie(CLIENT_COOKIE, "t.p.test", "TXT"));
  match(show(first), /^YXRRSET\nar OPT 1232 rcode\+1 10:/);
  match(show(limited.send(withCookie(cookieOf(first), "t.p.test", "TXT"))), /^NOERROR aa\nan /);
  equal(limited.lane[COUNTER.amplificationCut], 2);
  equal(limited.lane[COUNTER.badCookies], 1);
});

Deno.test("an answer of exactly the ceiling goes out whole, and one of a byte more is short", () => {
  // A query has 27 bytes, its answer 13 more and the text.
  const texts = [14, 15].map((size) => `${size} TXT ${"t".repeat(size)}`).join("\n");
  const limited = new Limited({ amplificationMax: 2 }, {
    zone: `@ SOA ns.o. h.o. 1 3600 600 604800 60\n@ NS ns.o.\n${texts}`,
  });
  equal(limited.ask("14 TXT"), "NOERROR aa");
  equal(limited.ask("15 TXT"), "NOERROR tc");
});

Deno.test("no client without a good cookie gets more than the ceiling, per answer and in all", () => {
  const rng = seededRng(3);
  const nsid = "n".repeat(128);
  for (const amplificationMax of [2, 5]) {
    const limited = new Limited({ ...WITH_COOKIES, amplificationMax }, { nsid });
    let [sent, received] = [0, 0];
    for (let i = 0; i < 10_000; i++) {
      const name = ["a", "t", "x.w", "none", "sub", "x.sub", "x.d", "s", ""][rng() % 9]!;
      const type = ["A", "TXT", "NS", "SOA", "ANY", "AXFR", "MX"][rng() % 7]!;
      const whole = name === "" ? "p.test" : `${name}.p.test`;
      let packet = query(rng() % 20 === 0 ? "." : whole, type);
      const options: [number, string][] = [];
      if (rng() % 2 === 0) options.push([3, ""]);
      if (rng() % 3 === 0) options.push([10, "01".repeat([8, 16, 24, 40, 7][rng() % 5]!)]);
      if (rng() % 3 === 0) options.push([8, "00011800c00002"]);
      if (rng() % 2 === 0) packet = withOptions(packet, ...options);
      if (rng() % 10 === 0) packet[rng() % packet.length] = rng();
      const answer = limited.send(packet);
      sent += packet.length;
      received += answer?.length ?? 0;
      const most = amplificationMax * packet.length;
      ok((answer?.length ?? 0) <= most, `${answer?.length} bytes for ${packet.length}: ${packet.toHex()}`);
    }
    ok(received <= amplificationMax * sent);
  }
});

// Rate

function rate(terms: Partial<RateTerms> = {}): { readonly rate: RateTerms } {
  return {
    rate: {
      table: createRateTable(seededRng(1)),
      responsesPerSecond: 5,
      slip: 0,
      ipv4PrefixLength: 24,
      ipv6PrefixLength: 56,
      exempt: of("127.0.0.0/8", "::1"),
      ...terms,
    },
  };
}

/** How many of so many questions were answered, and how many of these with TC. */
function burst(
  count: number,
  ask: (i: number) => string,
): [answered: number, short: number] {
  const answers = Array.from({ length: count }, (_, i) => ask(i)).filter((answer) => answer !== "nothing");
  return [answers.length, answers.filter((answer) => answer.endsWith(" tc")).length];
}

Deno.test("a prefix gets so many answers a second of one name, and others their own", () => {
  const limited = new Limited(rate());
  deepEqual(burst(100, (i) => limited.ask("a", { client: `198.51.100.${i}` })), [5, 0]);
  deepEqual(burst(100, () => limited.ask("b")), [5, 0]);
  deepEqual(burst(100, () => limited.ask("a", { client: "198.51.101.1" })), [5, 0]);
  limited.nowMs += 1000;
  deepEqual(burst(100, () => limited.ask("a")), [5, 0]);
  equal(limited.lane[COUNTER.rateDropped], 95 * 4);
  equal(limited.lane[COUNTER.rcode], 20, "what wasn't sent isn't counted as answered");
});

const COUNTED_AS_ONE: readonly [what: string, question: (i: number) => string][] = [
  ["random names that don't exist", (i) => `x${i}`],
  ["random names below them", (i) => `y${i}.x${i}`],
  ["a wildcard's names", (i) => `x${i}.w`],
  ["names below a delegation", (i) => `x${i}.sub`],
  ["names below a DNAME", (i) => `x${i}.d`],
  ["types of one name", (i) => `a TYPE${i}`.replace("TYPE", "UNKNOWN_")],
];
for (const [what, question] of COUNTED_AS_ONE) {
  Deno.test(`counted as one: ${what}`, () => {
    const limited = new Limited(rate());
    deepEqual(burst(100, (i) => limited.ask(question(i + 1000))), [5, 0]);
  });
}

Deno.test("counted apart: two delegations, a DNAME, a wildcard, what doesn't exist, what isn't ours", () => {
  const limited = new Limited(rate());
  const questions = ["x.sub", "x.other", "x.d", "x.w", "none", "a"];
  deepEqual(burst(600, (i) => limited.ask(questions[i % 6]!)), [30, 0]);
  deepEqual(burst(100, () => show(limited.send(query("elsewhere", "A")))), [5, 0]);
});

Deno.test("counted as one: names outside of every zone, and malformed queries", () => {
  const limited = new Limited(rate());
  const packets = [query("example.net", "A"), query("other.example", "A"), query("a.p.test", "A").with(5, 2)];
  deepEqual(burst(99, (i) => show(limited.send(packets[i % 3]!))), [5, 0]);
  equal(limited.ask("a"), "NOERROR aa");
});

Deno.test("the static fallback's names are counted as one", () => {
  const world = { zones: { "p.test": ZONE }, fallback: { endpoints: ["203.0.113.1"] } };
  const { engine } = new World(world);
  const address = () => parseIp("198.51.100.1")!;
  const out = new Uint8Array(1232);
  const subjects = ["x1", "x2.y", "x3"].map((name) => {
    const packet = query(`${name}.p.test`, "A");
    engine.answer(packet, packet.length, { stream: false, address }, out, 1232);
    return engine.subject;
  });
  deepEqual(new Set(subjects).size, 1);
  assert(subjects[0]! > 0);
});

Deno.test("of the answers beyond the rate every n-th is sent short", () => {
  for (const [slip, short] of [[0, 0], [1, 95], [2, 47], [3, 31], [10, 9]] as const) {
    const limited = new Limited(rate({ slip }));
    deepEqual(burst(100, () => limited.ask("a")), [5 + short, short], `slip ${slip}`);
    deepEqual([COUNTER.rateSlipped, COUNTER.rateDropped].map((at) => limited.lane[at]), [short, 95 - short]);
  }
});

Deno.test("a short answer has the question and the OPT record, and no name that doesn't exist", () => {
  const limited = new Limited(rate({ slip: 1, responsesPerSecond: 1 }), { nsid: "n".repeat(20) });
  limited.ask("none");
  const packet = withOptions(query("none.p.test", "A"), [3, ""]);
  const answer = limited.send(packet)!;
  equal(show(answer), "NOERROR tc\nar OPT 1232 rcode+0");
  ok(answer.length < packet.length + SOA_SIZE);
  limited.send(query("elsewhere", "A"));
  equal(show(limited.send(query("elsewhere", "A"))), "REFUSED");
});

Deno.test("streams, exempt prefixes and good cookies are never limited, and a client can get a cookie", () => {
  const limited = new Limited({ ...WITH_COOKIES, ...rate({ slip: 2 }) });
  deepEqual(burst(100, () => limited.ask("a")), [52, 47]);
  deepEqual(burst(100, () => limited.ask("a", { stream: true })), [100, 0]);
  deepEqual(burst(100, () => limited.ask("a", { client: "127.0.0.9" })), [100, 0]);
  deepEqual(burst(100, () => limited.ask("a", { client: "::1" })), [100, 0]);
  const replies = [1, 2].map(() => limited.send(withCookie(CLIENT_COOKIE)));
  const refused = replies.find((reply) => reply !== null)!;
  match(show(refused), /^YXRRSET\nar OPT 1232 rcode\+1 10:/);
  for (let i = 0; i < 100; i++) match(show(limited.send(withCookie(cookieOf(refused)))), /^NOERROR aa/);
  equal(limited.lane[COUNTER.rcode + 23], 1);
});

Deno.test("two workers keep to one rate together", () => {
  const terms = rate();
  const workers = [new Limited(terms), new Limited(terms)];
  deepEqual(burst(100, (i) => workers[i % 2]!.ask("a")), [5, 0]);
});
