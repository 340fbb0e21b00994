/** @module The unit files, as systemd itself reads them. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { ROOT, run } from "../scripts/process.ts";
import { program, testWith } from "./programs.ts";

/** What packaging/README.md says; tenths, as systemd prints it. */
const EXPOSURE_MAX = 1.6;

const UNITS = Deno.readDirSync(`${ROOT}/packaging`).map(({ name }) => /^(.*)\.service$/.exec(name)?.[1])
  .filter((unit) => unit !== undefined).toArray();

for (const unit of UNITS) {
  testWith(["systemd-analyze"], `${unit} is sandboxed as far as packaging/README.md says`, async () => {
    const { output } = await run(program("systemd-analyze")!, [
      "security",
      "--offline=true",
      `packaging/${unit}.service`,
    ], {
      quiet: true,
    });
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(output)?.[1]);
    ok(exposure <= EXPOSURE_MAX, `exposure is ${exposure}\n${output}`);
  });

  testWith(["systemd-analyze"], `systemd finds nothing wrong with ${unit}`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      // The executable isn't installed here; any other will do.
      const text = Deno.readTextFileSync(`${ROOT}/packaging/${unit}.service`);
      // A template is looked at as one that is started.
      const name = unit.replace(/@$/, "@one");
      const copy = `${folder}/${name}.service`;
      await Deno.writeTextFile(copy, text.replaceAll("/usr/local/bin/pleiades", "/bin/true"));
      const dropIns = `${ROOT}/packaging/${unit}.service.d`;
      for (const { name: file } of existing(dropIns)) {
        await Deno.mkdir(`${copy}.d`, { recursive: true });
        const text = Deno.readTextFileSync(`${dropIns}/${file}`);
        await Deno.writeTextFile(
          `${copy}.d/${file}`,
          text.replaceAll("/usr/local/bin/pleiades", "/bin/true"),
        );
      }
      const { code, output } = await run(program("systemd-analyze")!, ["verify", "--man=no", copy], {
        quiet: true,
      });
      const remarks = output.split("\n").filter((line) => line.includes(`${name}.service`));
      deepEqual(remarks, []);
      equal(code, 0, output);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

function existing(folder: string): Iterable<Deno.DirEntry> {
  try {
    return [...Deno.readDirSync(folder)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
