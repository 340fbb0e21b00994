/**
 * What a systemd unit gives a node: its environment, its command line, its rights. Whoever asks in a shell why the service
 * doesn't start would otherwise be told of another node: one that has the shell's environment.
 *
 * Of the language of units (systemd.syntax(7), systemd.exec(5)) this reads what a node's unit is made of: sections, comments,
 * continued lines, quotes, resets by an empty value, drop-ins. Specifiers (`%i`) stay as they are.
 *
 * @module
 */
import type { SettingsFlags } from "../settings/loading.ts";
import type { Rights } from "./check.ts";
import { CAPABILITY } from "./rights.ts";

/** A unit, as far as a node's start depends on it. */
export interface ServiceUnit {
  /** Its file. */
  readonly file: string;
  /** What it sets. */
  readonly env: Readonly<Record<string, string>>;
  /** Files with more of that, which this user may not read. */
  readonly unreadable: readonly string[];
  /** The settings file that it names; absent = the default one. */
  readonly config?: string;
  /** The flags of `serve`. */
  readonly flags: SettingsFlags;
  /** What its process may do. */
  readonly rights: Rights;
}

/** Where units of administrators and of packages lie, the first one found counts (systemd.unit(5)). */
const FOLDERS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
];
const NAME = "pleiades.service";

/** The unit of this machine; `null` = none is installed. */
export async function installedUnit(folders: readonly string[] = FOLDERS): Promise<ServiceUnit | null> {
  for (const folder of folders) {
    const file = `${folder}/${NAME}`;
    const info = await Deno.stat(file).catch(() => null);
    // One that is masked is a link to /dev/null.
    if (info?.isFile) return await readUnit(file, folders.map((other) => `${other}/${NAME}.d`));
  }
  return null;
}

/**
 * Reads a unit and its drop-ins.
 *
 * @throws {Error} when the file can't be read
 */
export async function readUnit(
  file: string,
  dropIns: readonly string[] = [`${file}.d`],
): Promise<ServiceUnit> {
  const more = (await Promise.all(dropIns.map(filesIn))).flat();
  const texts = [
    await Deno.readTextFile(file),
    ...await Promise.all(more.map((path) => Deno.readTextFile(path))),
  ];
  const service = new Map<string, string[]>();
  for (const [key, value] of texts.flatMap(entriesOf)) {
    if (value === "") service.delete(key);
    else service.set(key, [...service.get(key) ?? [], value]);
  }
  const all = (key: string) => service.get(key) ?? [];
  const { env, unreadable } = await environmentOf(all("Environment"), all("EnvironmentFile"));
  return { file, env, unreadable, ...commandOf(all("ExecStart").at(-1) ?? ""), rights: rightsOf(all) };
}

/** Paths of the drop-ins in a folder, in their order. */
async function filesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".conf")) names.push(name);
  } catch {
    // There are none, or they aren't for this user.
  }
  return names.toSorted().map((name) => `${folder}/${name}`);
}

/** The settings of its section `Service`, in order. */
function entriesOf(text: string): [key: string, value: string][] {
  let section = "";
  return text.replaceAll(/\\\n/g, " ").split("\n").flatMap((raw): [string, string][] => {
    const line = raw.trim();
    section = /^\[(.+)\]$/.exec(line)?.[1] ?? section;
    const entry = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line);
    return entry === null || section !== "Service" ? [] : [[entry[1]!, entry[2]!]];
  });
}

/** Words of a line; quotes keep blanks together. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|[^\s"']+)+/g)].map(([word]) =>
    word.replaceAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double, single) => double ?? single ?? "")
  );
}

/** The variables; those of files win (systemd.exec(5), EnvironmentFile=). */
async function environmentOf(
  lines: readonly string[],
  files: readonly string[],
): Promise<Pick<ServiceUnit, "env" | "unreadable">> {
  const assignments = lines.flatMap(wordsOf);
  const unreadable: string[] = [];
  for (const named of files) {
    const path = named.replace(/^-/, "");
    try {
      const text = await Deno.readTextFile(path);
      assignments.push(
        ...text.split("\n").filter((line) => !/^\s*[#;]/.test(line)).map((line) =>
          line.trim().replace(/^([^=]*=)(["'])(.*)\2$/, "$1$3")
        ),
      );
    } catch (error) {
      // What isn't there is none of the files that begin with -, and a start without the others says so itself.
      if (!(error instanceof Deno.errors.NotFound)) unreadable.push(path);
    }
  }
  const pairs = assignments.flatMap((text) => {
    const at = text.indexOf("=");
    return at < 1 ? [] : [[text.slice(0, at), text.slice(at + 1)]];
  });
  return { env: Object.fromEntries(pairs), unreadable };
}

/** The flags of `serve`, with a value behind a blank or `=`. */
function commandOf(line: string): Pick<ServiceUnit, "config" | "flags"> {
  const words = wordsOf(line).flatMap((word) =>
    /^--\w+=/.test(word) ? [word.split("=")[0]!, word.slice(word.indexOf("=") + 1)] : [word]
  );
  const valuesOf = (...names: string[]) => words.filter((_, i) => names.includes(words[i - 1] ?? ""));
  const [config, db, api] = [valuesOf("-c", "--config"), valuesOf("--db"), valuesOf("--api")].map((values) =>
    values.at(-1)
  );
  const dns = valuesOf("--dns");
  return {
    ...(config !== undefined && { config }),
    flags: {
      ...(db !== undefined && { db }),
      ...(api !== undefined && { api }),
      ...(dns.length > 0 && { dns }),
    },
  };
}

/** Of a unit that runs as root little is known: it may do what its bounds allow. */
function rightsOf(all: (key: string) => readonly string[]): Rights {
  const isRoot = !/^(yes|true|on|1)$/.test(all("DynamicUser").at(-1) ?? "") &&
    (all("User").at(-1) ?? "root") === "root";
  const ambient = all("AmbientCapabilities").join(" ");
  const bit = (name: string, number: number) => ambient.includes(name) ? 1n << BigInt(number) : 0n;
  const limit = all("LimitNOFILE").at(-1)?.split(":").at(-1) ?? "";
  return {
    capabilities: isRoot
      ? null
      : bit("CAP_NET_BIND_SERVICE", CAPABILITY.netBindService) | bit("CAP_NET_ADMIN", CAPABILITY.netAdmin),
    openFiles: /^\d+$/.test(limit) ? Number(limit) : null,
  };
}
