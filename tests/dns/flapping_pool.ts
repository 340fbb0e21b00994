/**
 * Run by `flapping_test.ts` with little memory: a pool of as many members as may be, one of which goes up or down before each
 * query, so that no state of health comes twice; then all of them have another weight before each; and in the end each comes after another measurement. Prints how many queries were
 * answered.
 *
 * @module
 */
import { GEO_RULES_MAX, MEMBERS_MAX } from "../../src/model/model_schema.ts";
import { query } from "./packets.ts";
import { type Declared, World } from "./world.ts";

const [states = 0, changes = 0, measurements = 0] = Deno.args.map(Number);
const addressOf = (i: number) => `10.0.${i >> 8}.${i & 255}`;
const poolWith = (weight: number, algorithm: "hash" | "latency" = "hash"): Declared => ({
  pools: [{
    name: "web",
    algorithm,
    geoRules: Array.from({ length: GEO_RULES_MAX }, (_, i) => ({
      cidr: `${1 + i % 220}.${i * 7 % 256}.${i * 13 % 256}.${i % 256}/32`,
      member: i % MEMBERS_MAX,
    })),
    members: Array.from({ length: MEMBERS_MAX }, (_, i) => ({ ipAddress: addressOf(i), weight })),
  }],
  services: { "www.example": "web" },
});
const world = new World(poolWith(1));
const out = new Uint8Array(4096);
const client = { stream: false, address: () => new Uint8Array([192, 0, 2, 53]) };
const isUp = new Array<boolean>(MEMBERS_MAX).fill(true);
let answered = 0;

function ask(i: number): void {
  const bytes = query("www.example", "A", { ecs: `198.51.${i & 255}.0/24` });
  const size = world.engine.answer(bytes, bytes.length, client, out, out.length);
  if (size > 0 && (out[3]! & 15) === 0 && out[7]! === 1) answered++;
}

for (let i = 1; i <= states; i++) {
  // As a Gray code counts.
  const member = 31 - Math.clz32(i & -i);
  isUp[member] = !isUp[member];
  world.health({ [addressOf(member)]: isUp[member]! });
  ask(i);
}
for (let i = 1; i <= changes; i++) {
  world.declare(poolWith(1 + i));
  ask(i);
}
world.declare(poolWith(1, "latency"));
for (let i = 1; i <= measurements; i++) {
  world.roundTrips({ [addressOf(i % MEMBERS_MAX)]: 1 + i });
  ask(i);
}
console.log(answered);
