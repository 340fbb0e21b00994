/**
 * A short run of `prove differential`, the same zones and questions every time, and its judge by itself.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { differ, presumedBugs } from "../prove/differential.ts";
import { compare } from "../prove/differential/compare.ts";
import type { Reply } from "../prove/differential/servers.ts";
import { randomQuestions, randomWorld, zoneText } from "../prove/differential/zones.ts";
import { testWith } from "../programs.ts";
import { decodeMessage } from "../../src/wire/message.ts";
import { checkZone, parseZoneFile } from "../../src/wire/zone_file.ts";
import { query } from "./packets.ts";
import { World } from "./world.ts";

testWith(
  ["knotd", "nsd"],
  "answers over random zones are those of Knot and NSD, where these agree",
  async () => {
    const lines: string[] = [];
    const report = await differ({
      seed: 5,
      worlds: 2,
      perZone: 60,
      show: "bug",
      onLine: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    equal(presumedBugs(report), 0, lines.join("\n"));
    ok(report.udp > 500 && report.tcp > 100);
  },
);

Deno.test("random zones are the same for the same seed, fit to be served, and ask of every zone", () => {
  const world = randomWorld(seededRng(7));
  deepEqual(randomWorld(seededRng(7)), world);
  for (const zone of world.zones) {
    const { records, problems } = parseZoneFile(zoneText(zone), { origin: `${zone.domain}.`, defaultTtl: 1 });
    deepEqual([...problems, ...checkZone(zone.domain, records).problems], []);
    equal([...randomQuestions(zone, 20, seededRng(1))].length, 20);
  }
});

Deno.test("what two servers agree upon and we don't is a presumed bug, unless it is allowed", () => {
  const text =
    "@ SOA ns.o. h.o. 1 1 1 1 60\n@ NS ns.o.\na A 192.0.2.1\nmx MX 10 a\n*.w A 192.0.2.9\nwmx MX 10 x.w\n" +
    "s NS n.s\nn.s A 192.0.2.3\nn.s AAAA 2001:db8::3\n";
  const { records } = parseZoneFile(text, { origin: "p.test.", defaultTtl: 60 });
  const world = { zones: [{ domain: "p.test", records }] };
  const replyOf = (zone: string, name: string, type: string): Reply => {
    const bytes = new World({ zones: { "p.test": zone } }).ask(query(name, type))!;
    return { size: bytes.length, message: decodeMessage(bytes), fault: null };
  };
  const judge = (name: string, type: string, theirs: string, others = theirs, ours = text) =>
    compare({ name, type, udpSize: null }, {
      pleiades: replyOf(ours, name, type),
      knot: replyOf(theirs, name, type),
      nsd: replyOf(others, name, type),
    }, { world, stream: false, whole: null }).map(({ verdict, field }) => `${verdict} ${field}`);
  deepEqual(judge("a.p.test", "A", text), []);
  // Knot and NSD leave out what doesn't fit, in an order that changes from answer to answer.
  const less = text.replace("n.s AAAA 2001:db8::3\n", "");
  deepEqual(judge("x.s.p.test", "A", less), ["allowed additional"]);
  deepEqual(judge("x.s.p.test", "A", text, text, less), ["bug additional"]);
  deepEqual(judge("wmx.p.test", "MX", `${text}x.w A 192.0.2.9\n`), ["allowed additional"]);
  deepEqual(judge("mx.p.test", "MX", `${text}a A 192.0.2.7\n`), ["bug additional"]);
  deepEqual(judge("a.p.test", "A", text.replace("192.0.2.1", "192.0.2.2")), ["bug answer"]);
  deepEqual(judge("b.p.test", "A", `${text}b A 192.0.2.1\n`), ["bug rcode", "bug answer", "bug authority"]);
  deepEqual(judge("a.p.test", "A", text.replace("192.0.2.1", "192.0.2.2"), text), ["free answer"]);
});
