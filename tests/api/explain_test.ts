/**
 * What may be asked of `/explain` and `/budget`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { nightWorld } from "../explain/night.ts";
import { apiWorld } from "./api_world.ts";

const WRONG: readonly (readonly [query: string, detail: RegExp])[] = [
  ["name=www.example.com&type=AAA", /type "AAA" can't be asked for \(did you mean AAAA\?\)/],
  ["name=www.example.com&type=AXFR", /type "AXFR" can't be asked for/],
  ["name=www.example.com&client=192.0.2.256", /client "192.0.2.256" is no address/],
  ["name=www.example.com&ecs=192.0.2.1/24", /ecs: .*bits are set behind \/24; did you mean 192.0.2.0\/24\?/],
  ["name=www.example.com&ecs=192.0.2.0/33", /ecs: .*33/],
  ["name=www..example.com", /name "www..example.com" is no domain name/],
  ["name=", /name "" is no domain name/],
  ["type=A", /name/],
  ["name=www.example.com&typ=A", /Unknown parameter "typ" \(did you mean "type"\?\)/],
];

for (const [query, detail] of WRONG) {
  Deno.test(`GET /explain?${query} is refused, and says why`, async () => {
    using world = apiWorld({ explainer: nightWorld().explainer });
    const response = await world.send(`GET /api/v1/explain?${query}`);
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    assert.match((await response.json()).detail, detail);
  });
}

Deno.test("an IPv4 address in IPv6 form is the IPv6 subnet that it is on the wire, and POST asks the same", async () => {
  using world = apiWorld({ explainer: nightWorld().explainer });
  for (
    const [ecs, told] of [["::ffff:192.0.2.1/128", "::ffff:c000:201/128"], [
      "::ffff:c000:201",
      "::ffff:c000:201/128",
    ]] as const
  ) {
    const got = await world.send(`GET /api/v1/explain?name=www.example.com&ecs=${ecs}`);
    assert.equal(got.status, 200);
    const body = { name: "www.example.com", ecs };
    const posted = await world.send("POST /api/v1/explain", { body });
    assert.equal(posted.status, 200);
    const explained = await got.json();
    assert.equal(explained.question.ecs, told);
    assert.deepEqual(await posted.json(), explained);
  }
  const bits = await world.send("GET /api/v1/explain?name=www.example.com&ecs=::ffff:192.0.2.1/120");
  assert.match((await bits.json()).detail, /bits are set behind \/120; did you mean ::ffff:c000:200\/120\?/);
});

Deno.test("a name that isn't ours is explained, too: it is REFUSED", async () => {
  using world = apiWorld({ explainer: nightWorld().explainer });
  const response = await world.send("GET /api/v1/explain?name=www.example.org");
  assert.equal(response.status, 200);
  const { answer, steps } = await response.json();
  assert.equal(answer.rcode, "REFUSED");
  assert.match(steps[0].text, /isn't answered here; these are: example.com/);
});

Deno.test("a name that no service answers has no budget", async () => {
  using world = apiWorld({ explainer: nightWorld().explainer });
  const response = await world.send("GET /api/v1/budget?name=nowhere.example.com");
  assert.equal(response.status, 404);
  assert.match((await response.json()).detail, /No service answers nowhere.example.com/);
});

Deno.test("a budget has every pool of the chain, in order", async () => {
  using world = apiWorld({ explainer: nightWorld().explainer });
  const { pools, ttl } = await (await world.send("GET /api/v1/budget?name=tiers.example.com")).json();
  assert.equal(ttl, 30);
  assert.deepEqual(pools.map(({ pool }: { pool: string }) => pool), ["tiers", "spare"]);
  assert.equal(pools[0].hanging.detection.worstMs, 6_500);
  assert.equal(pools[1].check, null);
});
