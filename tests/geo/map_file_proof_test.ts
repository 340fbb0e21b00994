/**
 * The proof of large map files, with small ones.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { measure, type Mix } from "../prove/map.ts";

for (const mix of ["IPv4", "IPv6", "IPv6, no two lines alike"] satisfies Mix[]) {
  Deno.test(`5,000 prefixes are small, and say what the oracle says (${mix})`, async () => {
    const report = await measure({ mix, prefixes: 5_000, addresses: 5_000, seed: 1 });
    deepEqual(report.wrong, []);
    ok(report.bytesPerPrefix < 100, `${report.bytesPerPrefix} bytes a prefix`);
  });
}
