/**
 * Files that are made while other work goes on.
 *
 * @module
 */
import { equal, rejects } from "node:assert/strict";
import { createFile } from "../../src/discovery/created_file.ts";
import { settle } from "../clock.ts";

/** What foreign functions are called for. */
const LINUX = { ignore: Deno.build.os !== "linux" };

Deno.test("a file is made, or emptied, and what can't be made is refused in Deno's words", async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/zürich`;
  for (const text of ["long", "er"]) {
    using file = await createFile(path, 0o600);
    await file.write(new TextEncoder().encode(text));
    equal(Deno.readTextFileSync(path), text);
  }
  equal(Deno.statSync(path).mode! & 0o777, 0o600);
  await rejects(createFile(`${path}/a`, 0o600), Deno.errors.NotADirectory);
  await rejects(createFile(`${folder}/b/c`, 0o600), Deno.errors.NotFound);
  await rejects(createFile(folder, 0o600), /Is a directory/);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("while the system keeps whoever makes a file waiting, this thread goes on", LINUX, async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/pipe`;
  // Who writes into a pipe waits until somebody reads.
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
  let isMade = false;
  const making = createFile(path, 0o600).then((file) => {
    isMade = true;
    return file;
  });
  await settle();
  equal(isMade, false);
  using _ = Deno.openSync(path, { read: true, write: true });
  using _file = await making;
  Deno.removeSync(folder, { recursive: true });
});
