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
const GIT = {
  windows: ["C:\\Program Files\\Git\\cmd\\git.exe"],
  others: ["/usr/bin/git", "/bin/git", "/usr/local/bin/git", "/opt/homebrew/bin/git"],
} as const;

/** The flags of `deno compile`, one permission a line. @param target a triple that `deno compile --target` knows */
export function permissionsFor(target: string): string[] {
  const git = GIT[target.includes("windows") ? "windows" : "others"];
  return [
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    "--allow-net",
    "--allow-env",
    "--allow-ffi",
    "--allow-sys=homedir,hostname,networkInterfaces,statfs,uid",
    `--allow-run=${git.join(",")}`,
    "--deny-import",
  ];
}
