/**
 * What the executable may do: the permissions that `scripts/compile.ts` bakes into it, and no others.
 *
 * docs/security.md says of each line what needs it; tests/permissions_test.ts holds the page and the sources against this
 * list.
 *
 * @module
 */

/**
 * Programs are named by their whole paths: a bare name is looked for on the PATH as the executable starts, which then
 * doesn't start at all without a PATH, and says on stderr where a program is missing.
 */
const FOLDERS: readonly string[] = ["/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin"];
const PROGRAMS = {
  windows: ["C:\\Program Files\\Git\\cmd\\git.exe"],
  others: [
    ...["git", "ssh", "consul"].flatMap((name) => FOLDERS.map((folder) => `${folder}/${name}`)),
    // What an agent ends machines by: the operator's own program, at the one place where only root can put one.
    "/etc/pleiades/destroy",
  ],
} as const;

/** The flags of `deno compile`, one permission a line. @param target a triple that `deno compile --target` knows */
export function permissionsFor(target: string): string[] {
  const programs = PROGRAMS[target.includes("windows") ? "windows" : "others"];
  return [
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    "--allow-net",
    "--allow-env",
    "--allow-ffi",
    "--allow-sys=homedir,hostname,networkInterfaces,statfs,uid",
    `--allow-run=${programs.join(",")}`,
    "--deny-import",
  ];
}
