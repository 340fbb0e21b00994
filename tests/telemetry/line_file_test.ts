/**
 * A file that lines are appended to: order, rotation, faults, bounds.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { LineFile } from "../../src/telemetry/line_file.ts";

/** A line file in a folder of its own, and what it told. */
async function inFolder(
  work: (bed: {
    readonly file: LineFile;
    readonly path: string;
    readonly told: string[];
    /** Resolves when that was told so many times in all. */
    readonly heard: (what: string, times: number) => Promise<void>;
  }) => Promise<void>,
  name = "queries.log",
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/${name}`;
    const told: string[] = [];
    let waiting: { readonly what: string; readonly times: number; readonly resolve: () => void } | null =
      null;
    const tell = (what: string) => {
      told.push(what);
      if (waiting && told.filter((each) => each === waiting!.what).length >= waiting.times) waiting.resolve();
    };
    const heard = (what: string, times: number) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = { what, times, resolve };
      if (told.filter((each) => each === what).length >= times) resolve();
      return promise;
    };
    const each = (what: string) => (lines: number) => {
      for (let line = 0; line < lines; line++) tell(what);
    };
    await using file = new LineFile({
      path,
      onWritten: each("written"),
      onLost: each("lost"),
      onFault: ({ message }) => tell(`fault: ${message}`),
      onMended: () => tell("mended"),
    });
    await work({ file, path, told, heard });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("lines are appended in their order to what is there, the last ones when it is disposed of", () =>
  inFolder(async ({ file, path, told }) => {
    await Deno.writeTextFile(path, "before\n");
    for (const line of ["one", "two", "three"]) ok(file.append(line));
    await file[Symbol.asyncDispose]();
    equal(await Deno.readTextFile(path), "before\none\ntwo\nthree\n");
    deepEqual(told, ["written", "written", "written"]);
  }));

Deno.test("a file that was moved away is begun anew, as log rotation wants it", () =>
  inFolder(async ({ file, path, heard }) => {
    file.append("one");
    await heard("written", 1);
    await Deno.rename(path, `${path}.1`);
    file.append("two");
    await heard("written", 2);
    equal(await Deno.readTextFile(`${path}.1`), "one\n");
    equal(await Deno.readTextFile(path), "two\n");
  }));

Deno.test("a path that can't be written is told once, lines are counted, and it goes on when it can be", () =>
  inFolder(async ({ file, path, told, heard }) => {
    file.append("one");
    await heard("lost", 1);
    file.append("two");
    await heard("lost", 2);
    equal(told.filter((what) => what.startsWith("fault")).length, 1);
    match(told.find((what) => what.startsWith("fault"))!, /No such file or directory/);
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")));
    file.append("three");
    await heard("mended", 1);
    equal(await Deno.readTextFile(path), "three\n");
  }, "absent/queries.log"));

Deno.test("lines beyond what may wait are refused", () =>
  inFolder(async ({ file }) => {
    const mebibyte = "x".repeat(1 << 20);
    deepEqual(Array.from({ length: 6 }, () => file.append(mebibyte)), [true, true, true, true, false, false]);
    await file[Symbol.asyncDispose]();
  }));
