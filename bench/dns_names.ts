/**
 * What the DNS benches ask and answer: 10,000 steered names with two addresses each, in one zone.
 *
 * @module
 */
import { seededRng } from "../src/clock.ts";
import type { Declared } from "../tests/dns/world.ts";

/** Steered names. */
export const NAMES = 10_000;
/** One question in so many is for a name that doesn't exist. */
export const MISSING_SHARE = 10;

const ZONE = "bench.example";

/** Services `n0.bench.example` … with a pool of their own each. */
export function tenThousandNames(): Declared {
  const numbers = Array.from({ length: NAMES }, (_, i) => i);
  return {
    pools: numbers.map((i) => ({
      name: `pool-${i}`,
      members: [1, 2].map((host) => `10.${i >> 8}.${i & 255}.${host}`),
    })),
    services: Object.fromEntries(numbers.map((i) => [nameOf(i), `pool-${i}`])),
    zones: { [ZONE]: null },
    nameservers: [`ns1.${ZONE}`],
  };
}

/** Names to ask for, in random order, the same ones every time. */
export function questions(count: number): string[] {
  const random = seededRng(1);
  return Array.from({ length: count }, () => {
    const number = random() % NAMES;
    return random() % MISSING_SHARE === 0 ? `missing-${number}.${ZONE}` : nameOf(number);
  });
}

function nameOf(number: number): string {
  return `n${number}.${ZONE}`;
}
