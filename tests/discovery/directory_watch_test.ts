/**
 * What the system tells of a directory.
 *
 * @module
 */
import { equal, notEqual } from "node:assert/strict";
import { DirectoryWatch } from "../../src/discovery/directory_watch.ts";
import { settle } from "../clock.ts";

/** What foreign functions are called for. */
const LINUX = { ignore: Deno.build.os !== "linux" };

Deno.test(
  "whatever comes, goes or is renamed in a directory is told, and what is in another place isn't",
  LINUX,
  async () => {
    const folder = Deno.makeTempDirSync();
    const directory = `${folder}/zürich`;
    Deno.mkdirSync(directory);
    await using watch = new DirectoryWatch(directory);
    const told = (change: () => void) => {
      const news = watch.next();
      notEqual(news, null);
      change();
      return news;
    };
    Deno.writeTextFileSync(`${folder}/new`, "");
    await told(() => Deno.renameSync(`${folder}/new`, `${directory}/a.json`));
    await quiet(watch);
    await told(() => Deno.renameSync(`${directory}/a.json`, `${directory}/b.json`));
    await quiet(watch);
    await told(() => Deno.removeSync(`${directory}/b.json`));
    await quiet(watch);
    await told(() => Deno.writeTextFileSync(`${directory}/c.json`, ""));
    await quiet(watch);
    let isTold = false;
    watch.next()!.then(() => isTold = true);
    Deno.writeTextFileSync(`${folder}/new`, "");
    await settle();
    equal(isTold, false);
    Deno.renameSync(directory, `${folder}/other`);
    Deno.mkdirSync(directory);
    await told(() => {});
    await quiet(watch);
    await told(() => Deno.mkdirSync(`${directory}/d`));
    Deno.removeSync(folder, { recursive: true });
  },
);

/** News that have been told are told once more at most: the system says that it won't tell any others. */
async function quiet(watch: DirectoryWatch): Promise<void> {
  const news = watch.next();
  await Promise.race([news, settle()]);
}

Deno.test(
  "of a directory that isn't there, or that others may write to, the system tells nothing",
  LINUX,
  async () => {
    const folder = Deno.makeTempDirSync();
    await using missing = new DirectoryWatch(`${folder}/missing`);
    equal(missing.next(), null);
    // Its files come and go, and nobody is told.
    await using foreign = new DirectoryWatch("/proc");
    equal(foreign.next(), null);
    Deno.writeTextFileSync(`${folder}/missing`, "");
    equal(missing.next(), null);
    Deno.removeSync(`${folder}/missing`);
    Deno.mkdirSync(`${folder}/missing`);
    notEqual(missing.next(), null);
    Deno.removeSync(folder, { recursive: true });
  },
);

Deno.test("who waits for news is told when the watch ends", LINUX, async () => {
  const folder = Deno.makeTempDirSync();
  const watch = new DirectoryWatch(folder);
  const news = watch.next();
  notEqual(news, null);
  await watch[Symbol.asyncDispose]();
  await news;
  Deno.removeSync(folder);
});
