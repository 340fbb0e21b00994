/**
 * Check of the age of geo databases. Whether they can be read is judged with the settings.
 *
 * @module
 */
import { expectRegular } from "../input/regular_file.ts";
import { buildEpochIn, METADATA_BYTES_MAX } from "../geo/mmdb.ts";
import type { Check } from "./check.ts";
import type { Remark } from "./finding.ts";

const DAY_MS = 86_400_000;
/** Publishers have a new edition every week, or every month; this is one missed. */
const DAYS_MAX = 60;

/** How old the databases are. */
export const geoAge: Check = {
  id: "geo-database",
  looksAt: "geo databases",
  when: "both",
  look: async ({ settings: { geoip }, clock }) => {
    const paths = [...new Set([...geoip.database, ...geoip.asnDatabase])];
    return (await Promise.all(paths.map((path) => lookAt(path, clock.unixMs())))).flat();
  },
};

async function lookAt(path: string, nowMs: number): Promise<Remark[]> {
  const builtMs = buildEpochIn(await tailOf(path)) * 1000;
  const days = Math.floor((nowMs - builtMs) / DAY_MS);
  if (days <= DAYS_MAX) return [];
  return [{
    level: "warning",
    subject: path,
    message: `is ${days} days old (built on ${new Date(builtMs).toISOString().slice(0, 10)})`,
    fix:
      "download the present edition (geoipupdate does it every week); a running node takes it over by itself",
  }];
}

/** The end of the file, which has the metadata. */
async function tailOf(path: string): Promise<Uint8Array> {
  expectRegular(await Deno.stat(path));
  using file = await Deno.open(path);
  const { size } = await file.stat();
  await file.seek(Math.max(0, size - METADATA_BYTES_MAX), Deno.SeekMode.Start);
  const bytes = new Uint8Array(Math.min(size, METADATA_BYTES_MAX));
  let length = 0;
  while (length < bytes.length) {
    const read = await file.read(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return bytes.subarray(0, length);
}
