/**
 * Who may read what a node leaves on disk, whatever umask it was started with, and what it says of files that were there.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { program, testWith } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

const WITHOUT_UMASK = ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh"];

testWith(
  ["pleiades"],
  "under any umask, files of a node are its user's, and those that were open are closed",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const at = (name: string) => `${folder}/${name}`;
      await Deno.writeTextFile(
        at("pleiades.yaml"),
        "license: { secret: file:secret }\nqueryLog: { path: queries.log, sample: 1 }\n",
      );
      await Deno.writeTextFile(at("secret"), "0123456789abcdef0123456789abcdef");
      await Deno.writeTextFile(at("pleiades.db"), "");
      for (const name of ["secret", "pleiades.db"]) await Deno.chmod(at(name), 0o666);
      const executable = program("pleiades")!;
      await using node = await ServeProcess.start({
        ...{ executable, aloneIn: folder, wrapped: WITHOUT_UMASK },
        args: ["-c", "pleiades.yaml", "--db", "pleiades.db"],
      });
      await call(node.api, { method: "POST", path: "/pools", json: { name: "web" } });
      const run = async (line: string) => {
        const [shell, ...args] = [...WITHOUT_UMASK, executable, ...line.split(" ")];
        const { code, stderr } = await new Deno.Command(shell!, { args, cwd: folder }).output();
        equal(code, 0, new TextDecoder().decode(stderr));
      };
      await run("query www.example.org @" + `${node.dns.hostname}:${node.dns.port}`);
      await run("backup copy.db --db pleiades.db");
      await run("tokens create ci --scope read --db fresh/other.db");
      const running = modesIn(folder);
      node.kill("SIGTERM");
      await node.ended();
      const modes = { ...running, ...modesIn(folder) };
      deepEqual(
        Object.keys(modes).filter((name) => (modes[name]! & 0o027) !== 0).sort(),
        ["pleiades.yaml", "secret"],
      );
      deepEqual([modes["copy.db"], modes["fresh/other.db"]], [0o600, 0o600]);
      deepEqual([modes["pleiades.db-wal"], modes["queries.log"]], [0o640, 0o640]);
      const said = node.lines.map((line) => JSON.parse(line)).filter(({ level, file }) =>
        level === "warn" && file
      )
        .map(({ message, file, mode, now }) => [message, file.split("/").at(-1), mode, now]);
      deepEqual(said, [
        ["Other users may use a file that holds secrets", "secret", "666", undefined],
        ["Took the database away from other users", "pleiades.db", "666", "640"],
      ]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

/** Modes of all files below a folder, by their paths in it. */
function modesIn(folder: string, path = ""): Record<string, number> {
  return Object.fromEntries(
    [...Deno.readDirSync(`${folder}/${path}`)].flatMap(({ name, isDirectory }) => {
      const file = `${path}${name}`;
      if (isDirectory) return Object.entries(modesIn(folder, `${file}/`));
      return [[file, Deno.statSync(`${folder}/${file}`).mode! & 0o777]];
    }),
  );
}
