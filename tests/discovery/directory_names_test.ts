/**
 * Lists of a directory, as the system and as Deno gives them.
 *
 * @module
 */
import { deepEqual, rejects } from "node:assert/strict";
import { DirectoryNames } from "../../src/discovery/directory_names.ts";

Deno.test("a directory has the names that Deno says, however many, and what can't be listed is refused in the same words", async () => {
  const folder = Deno.makeTempDirSync();
  const directory = `${folder}/zürich`;
  using names = new DirectoryNames(directory);
  await rejects(names.list(), Deno.errors.NotFound);
  Deno.writeTextFileSync(directory, "");
  await rejects(names.list(), /[Nn]ot a directory/);
  Deno.removeSync(directory);
  Deno.mkdirSync(directory);
  deepEqual(await names.list(), []);
  for (let i = 0; i < 1_200; i++) Deno.writeTextFileSync(`${directory}/ä${i}.json`, "");
  Deno.mkdirSync(`${directory}/folder`);
  deepEqual(
    (await names.list()).toSorted(),
    Array.from(Deno.readDirSync(directory), ({ name }) => name).sort(),
  );
  Deno.removeSync(folder, { recursive: true });
});
