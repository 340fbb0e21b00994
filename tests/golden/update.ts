/**
 * `deno run -A tests/golden/update.ts`: writes the golden files anew. What it changes is to be read before it is
 * committed.
 *
 * @module
 */
import { exportModel } from "../../src/model/model_export.ts";
import { OfflineModel } from "../../src/change/offline_model.ts";
import { GOLDEN as PLANS, planAsPrinted, planNames } from "../cli/plan_goldens.ts";
import { accountOf, GOLDEN as ACCOUNTS, NIGHT } from "../explain/night.ts";
import { updateCaptures } from "../tui/captures.ts";
import { brokenNames, GOLDEN, reportOn } from "./config_validate.ts";

const names = brokenNames();
for (const { name } of Deno.readDirSync(GOLDEN)) {
  if (!names.includes(name.replace(/\.txt$/, ""))) Deno.removeSync(`${GOLDEN}${name}`);
}
for (const name of names) Deno.writeTextFileSync(`${GOLDEN}${name}.txt`, await reportOn(name));
using example = await OfflineModel.read(new URL("../fixtures/config/model", import.meta.url).pathname);
Deno.writeTextFileSync(new URL("./model_export.yaml", import.meta.url), exportModel(example.model()));
for (const [name, args] of Object.entries(NIGHT)) {
  Deno.writeTextFileSync(`${ACCOUNTS}${name}.txt`, await accountOf(args));
}
for (const name of planNames()) Deno.writeTextFileSync(`${PLANS}${name}.txt`, planAsPrinted(name));
await updateCaptures();
console.log(`${names.length} golden files`);
