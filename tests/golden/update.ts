/**
 * `deno run -A tests/golden/update.ts`: writes the golden files anew. What it changes is to be read before it is
 * committed.
 *
 * @module
 */
import { brokenNames, GOLDEN, reportOn } from "./config_validate.ts";

const names = brokenNames();
for (const { name } of Deno.readDirSync(GOLDEN)) {
  if (!names.includes(name.replace(/\.txt$/, ""))) Deno.removeSync(`${GOLDEN}${name}`);
}
for (const name of names) Deno.writeTextFileSync(`${GOLDEN}${name}.txt`, await reportOn(name));
console.log(`${names.length} golden files`);
