/**
 * The real programs that tests hold Pleiades against, and tests that need some of them.
 *
 * A program is looked for on the PATH and then among those that `scripts/test.ts` brought into `.cache/tools/bin`.
 * A test whose program is missing is ignored and says so in its name; under `PLEIADES_TEST_ALL=1` it fails
 * instead, so that a complete run can't be mistaken for one that left half out.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** Where `scripts/test.ts` puts the programs that it brings. */
export const TOOLS_FOLDER = fileURLToPath(new URL("../.cache/tools/bin", import.meta.url));

/** Every program that a test may ask for, with what is left untested without it. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  "pleiades": "the single executable: start, help, exit codes, no file beside it",
  "git": "repositories as git writes, signs and serves them",
  "gpg": "the same, made by GnuPG",
  "ssh-keygen": "the same, made by OpenSSH",
  "bash": "shell completion, the documentation as its reader types it",
  "cc": "structures handed to the kernel as C lays them out",
  "dig": "answers as the reference client reads them",
  "delv": "signatures as a validating resolver judges them",
  "kdig": "answers as a second client reads them, EDNS client subnet",
  "dnsperf": "nothing lost while the model changes under load",
  "curl": "the documentation as its reader types it",
  "openssl": "the documentation of encrypted DNS as its reader types it",
  "unbound": "a real resolver in front",
  "knotd": "answers over random zones against those of Knot",
  "named": "records that agents keep, updated at BIND",
  "nsd": "answers over random zones against those of NSD",
  "promtool": "metrics, dashboard and alert rules as Prometheus reads them",
  "schemathesis": "the REST API against its own description",
  "systemd-analyze": "the unit file",
  "systemd": "units as they are shipped, under a real service manager",
  "script": "the demo's keys and an apply's question, in a terminal",
  "tmux": "the terminal UI as it is seen and typed into",
  "nats-server": "what needs a cluster",
  "consul": "what is registered in Consul",
  "pdns_server": "zones kept in step around PowerDNS",
  "unshare": "machines of their own, on which things are wrong",
  "setpriv": "processes that may do less",
  "sshd": "repositories over SSH",
  "zsh": "completion in a real zsh",
  "fish": "completion in a real fish",
};

/** Programs that can't be installed as the others are, so that a complete run may be without them. */
export const UNPACKAGED: readonly string[] = ["consul", "systemd"];

/**
 * Finds a program.
 *
 * `pleiades` is the executable that `scripts/test.ts` compiled for this run (`PLEIADES_EXECUTABLE`), never an
 * old one that happens to lie about.
 *
 * `unshare` is of use only where this user may make namespaces, which containers often forbid: what no installation can change
 * is left out even of a complete run.
 *
 * `systemd` is of use only to root, and where cgroups may be made.
 *
 * What `PLEIADES_TEST_HIDE` names, separated by commas, is not found: so a run on this machine can go as it would
 * on one that lacks it.
 *
 * @returns its path, or `null` when this machine has none
 * @throws {Error} in a test of {@linkcode testWith} that doesn't list the program: it would fail on a machine
 *   that has the others
 */
export function program(name: string): string | null {
  // What may run as the executable runs from the sources as well.
  if (running !== null && name !== "pleiades" && !running.programs.includes(name)) {
    throw new Error(`${JSON.stringify(name)} is asked for by a test that doesn't list it: ${running.name}`);
  }
  if (hidden().includes(name)) return null;
  if (name === "pleiades") return Deno.env.get("PLEIADES_EXECUTABLE") || null;
  if (name === "consul") return Deno.env.get("CONSUL_BIN") || programOnPath(name);
  if (name === "systemd") return mayRunSystemd() ? SYSTEMD : null;
  if (name === "unshare") return mayUnshare() ? programOnPath(name) : null;
  return programOnPath(name);
}

/**
 * The executable that was compiled for this run, where there is one; `null` = the sources are to be run. Nothing is left out
 * without it: it takes a third of the sources' time to start.
 */
export function executableOrSources(): string | null {
  return program("pleiades");
}

/** What `unshare` is asked for: a machine of its own, whose processes end with the first of them. */
export const NAMESPACES: readonly string[] = [
  ...["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"],
];

let isUnshareTried: boolean | null = null;

function mayUnshare(): boolean {
  return isUnshareTried ??= (() => {
    const path = programOnPath("unshare");
    if (path === null) return false;
    return new Deno.Command(path, { args: [...NAMESPACES, "true"], stdout: "null", stderr: "null" })
      .outputSync().success;
  })();
}

/** Where all distributions have it; it is on no PATH. */
const SYSTEMD = "/usr/lib/systemd/systemd";

/** Where this machine's cgroups lie that systemd keeps its own in: both, where there are two kinds of them. */
export function cgroupRoots(): readonly string[] {
  const all = "/sys/fs/cgroup";
  const two = [`${all}/unified`, `${all}/systemd`];
  return two.every(isFolder) ? two : [all];
}

function mayRunSystemd(): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || !isExecutable(SYSTEMD)) return false;
  try {
    for (const root of cgroupRoots()) {
      const tried = `${root}/pleiades-${crypto.randomUUID()}`;
      Deno.mkdirSync(tried);
      Deno.removeSync(tried);
    }
    return true;
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function programOnPath(name: string): string | null {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", TOOLS_FOLDER];
  return folders.map((folder) => `${folder}/${name}`).find(isExecutable) ?? null;
}

/** The test that runs, where it has said which programs it needs. */
let running: { readonly name: string; readonly programs: readonly string[] } | null = null;

/** Registers a test that needs real programs. */
export function testWith(
  programs: readonly string[],
  name: string,
  fn: (test: Deno.TestContext) => void | Promise<void>,
): void {
  const missing = programs.filter((each) => program(each) === null);
  if (missing.length === 0) {
    return Deno.test(name, async (test) => {
      running = { name, programs };
      try {
        await fn(test);
      } finally {
        running = null;
      }
    });
  }
  const isForbidden = programOnPath("unshare") !== null && missing.join() === "unshare";
  if (isForbidden) {
    return Deno.test({ name: `${name} [needs a user who may make namespaces]`, ignore: true, fn });
  }
  const nameWithReason = `${name} [needs ${missing.join(", ")}]`;
  const mayMiss = Deno.env.get("PLEIADES_TEST_ALL") !== "1" ||
    missing.every((each) => UNPACKAGED.includes(each));
  if (mayMiss) return Deno.test({ name: nameWithReason, ignore: true, fn });
  Deno.test(nameWithReason, () => {
    throw new Error(`Missing under PLEIADES_TEST_ALL=1: ${missing.join(", ")}`);
  });
}

function hidden(): readonly string[] {
  return (Deno.env.get("PLEIADES_TEST_HIDE") ?? "").split(",");
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0o111) & 0o111) !== 0;
  } catch {
    return false;
  }
}
