/**
 * Files that can't be long: nothing of a longer one is kept.
 *
 * @module
 */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { PEM_BYTES_MAX, readShortFile, SECRET_BYTES_MAX } from "../../src/input/regular_file.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";

const folder = Deno.makeTempDirSync();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** A file of so many bytes that takes no room. */
function sparse(name: string, bytes: number): string {
  using file = Deno.openSync(`${folder}/${name}`, { create: true, write: true });
  file.truncateSync(bytes);
  return `${folder}/${name}`;
}

const GIGABYTE = 2 ** 30;

Deno.test("a short file is read up to the last byte that it may have", () => {
  equal(readShortFile(sparse("longest", 4_096), 4_096).length, 4_096);
  throws(() => readShortFile(sparse("longer", 4_097), 4_096), /^Error: it has more than 4 KiB$/);
  equal(readShortFile(sparse("empty", 0), 4_096).length, 0);
  throws(() => readShortFile(folder, 4_096), Deno.errors.IsADirectory);
});

Deno.test("a file that says it is empty and isn't is read no further than it may be long", () => {
  // Files of /proc have no size, and what they have can be long.
  const own = readShortFile("/proc/self/status", 64 << 10);
  match(new TextDecoder().decode(own), /^Name:/);
  throws(() => readShortFile("/proc/self/status", 100), /it has more than 0 KiB/);
});

const TOO_LONG: readonly (readonly [what: string, settings: string, problem: RegExp])[] = [
  [
    "a token of the API",
    "api: { tokens: [file:big] }",
    /the secret's file big can't be read: it has more than 64 KiB/,
  ],
  [
    "a secret of licences",
    "license: { secret: file:big }",
    /file big can't be read: it has more than 64 KiB/,
  ],
  [
    "a secret of webhooks",
    "notify: { webhooks: [{ url: http://127.0.0.1/, secret: file:big }] }",
    /file big can't be read: it has more than 64 KiB/,
  ],
  [
    "a secret of cookies",
    "dns: { cookies: { secret: file:big } }",
    /file big can't be read: it has more than 64 KiB/,
  ],
  [
    "a certificate",
    "api: { tls: { certFile: big, keyFile: big } }",
    /big can't be read: it has more than 1 MiB/,
  ],
  [
    "a key of DNS",
    "dns: { tls: { certFile: big, keyFile: big } }",
    /big can't be read: it has more than 1 MiB/,
  ],
];

for (const [what, text, problem] of TOO_LONG) {
  Deno.test(`${what} isn't read from a file of a gigabyte`, () => {
    sparse("big", GIGABYTE);
    const file = `${folder}/pleiades.yaml`;
    Deno.writeTextFileSync(file, text);
    const { problems } = load(file);
    match(problems.map(formatProblem).join("\n"), problem);
  });
}

Deno.test("a licence's token of a gigabyte is none, and settings of one are no settings", () => {
  sparse("big", GIGABYTE);
  const file = `${folder}/pleiades.yaml`;
  Deno.writeTextFileSync(file, "license: { secret: sixteen-bytes-or-more, key: file:big }");
  const { settings } = load(file);
  deepEqual([settings?.license.key, settings?.license.keyFault], [
    null,
    "the secret's file big can't be read: it has more than 64 KiB",
  ]);
  match(
    formatProblem(load(sparse("big", GIGABYTE)).problems[0]!),
    /big: can't be read: it has more than 1 MiB/,
  );
});

/** Reading a gigabyte would take its memory. */
function load(file: string) {
  const before = Deno.memoryUsage().external;
  const loaded = loadSettings({ file, env: {} });
  const grown = Deno.memoryUsage().external - before;
  if (grown > 8 * Math.max(SECRET_BYTES_MAX, PEM_BYTES_MAX)) throw new Error(`${grown} bytes were read`);
  return loaded;
}
