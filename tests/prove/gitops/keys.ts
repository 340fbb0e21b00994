/**
 * Keys of `gpg` and `ssh-keygen`, and repositories whose commits are signed with them.
 *
 * @module
 */

/** How a commit is signed. */
export type Signer = "alice" | "subkey" | "mallory" | "expired" | "revoked" | "carol" | null;

/** When the key of `expired` was good; it was for a day. */
const PAST = "20250101T000000";

/** Keys in a folder. */
export class Keys {
  /** All OpenPGP keys, armored, with the revocation. */
  readonly keyring: string;
  /** The one SSH key that is allowed. */
  readonly allowedSigners: string;
  /** Fingerprints of the primary keys that are allowed: all but mallory's. */
  readonly fingerprints: readonly string[];
  readonly #folder: string;
  readonly #ids: ReadonlyMap<string, string>;

  private constructor(folder: string, ids: ReadonlyMap<string, string>) {
    this.#folder = folder;
    this.#ids = ids;
    this.keyring = `${folder}/keyring.asc`;
    this.allowedSigners = `${folder}/allowed_signers`;
    this.fingerprints = ["alice", "expired", "revoked"].map((name) => ids.get(name)!);
  }

  /** Makes them. */
  static async make(folder: string): Promise<Keys> {
    const home = `${folder}/gnupg`;
    await Deno.mkdir(home, { mode: 0o700, recursive: true });
    const gpg = (args: readonly string[], input = "") =>
      output("gpg", [
        "--batch",
        "--quiet",
        "--homedir",
        home,
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
        ...args,
      ], { input });
    const ids = new Map<string, string>();
    for (const name of ["alice", "mallory", "expired", "revoked"]) {
      const past = name === "expired" ? ["--faked-system-time", PAST] : [];
      const days = name === "expired" ? "1d" : "never";
      await gpg([...past, "--quick-generate-key", `${name} <${name}@example.org>`, "ed25519", "sign", days]);
      ids.set(name, fingerprintsOf(await gpg(["--with-colons", "--list-keys", name]))[0]!);
    }
    await gpg(["--quick-add-key", ids.get("alice")!, "ed25519", "sign", "never"]);
    ids.set("subkey", fingerprintsOf(await gpg(["--with-colons", "--list-keys", "alice"]))[1]!);
    const keys = new Keys(folder, ids);
    // Two wrappers, since git hands gpg no options: the time in which the expired key was good, and this home.
    await script(
      `${folder}/gpg`,
      `exec gpg --homedir '${home}' --pinentry-mode loopback --passphrase '' "$@"`,
    );
    await script(`${folder}/gpg-past`, `exec gpg --homedir '${home}' --faked-system-time ${PAST} "$@"`);
    // The key that signs is not revoked; the ring that is believed says that it is.
    const ring = await gpg(["--armor", "--export"]);
    const certificate = (await Deno.readTextFile(`${home}/openpgp-revocs.d/${ids.get("revoked")!}.rev`))
      .replace(":-----BEGIN", "-----BEGIN");
    await Deno.writeTextFile(
      keys.keyring,
      `${ring}\n${certificate.slice(certificate.indexOf("-----BEGIN"))}`,
    );
    await output("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "carol", "-f", `${folder}/carol`]);
    const [kind, key] = (await Deno.readTextFile(`${folder}/carol.pub`)).split(" ");
    await Deno.writeTextFile(keys.allowedSigners, `carol@example.org namespaces="git" ${kind} ${key}\n`);
    return keys;
  }

  /** What git is to be told to sign a commit so. */
  optionsOf(signer: Signer): string[] {
    if (signer === null) return ["-c", "commit.gpgSign=false"];
    const program = `${this.#folder}/${signer === "expired" ? "gpg-past" : "gpg"}`;
    const options = signer === "carol" ? ["gpg.format=ssh", `user.signingKey=${this.#folder}/carol`] : [
      `gpg.program=${program}`,
      `user.signingKey=${this.#ids.get(signer === "alice" ? "alice" : signer)!}!`,
    ];
    return ["commit.gpgSign=true", ...options].flatMap((option) => ["-c", option]);
  }

  /** Ends what gpg left running for these keys. */
  async end(): Promise<void> {
    await output("gpgconf", ["--homedir", `${this.#folder}/gnupg`, "--kill", "all"]).catch(() => {});
  }
}

function fingerprintsOf(listing: string): string[] {
  return [...listing.matchAll(/^fpr:+([0-9A-F]{40}):$/gm)].map(([, fingerprint]) => fingerprint!);
}

async function script(path: string, line: string): Promise<void> {
  await Deno.writeTextFile(path, `#!/bin/sh\n${line}\n`, { mode: 0o700 });
}

/** What a program prints. @throws {Error} when it fails */
export async function output(
  program: string,
  args: readonly string[],
  { cwd, input = "" }: { readonly cwd?: string; readonly input?: string } = {},
): Promise<string> {
  const child = new Deno.Command(program, {
    args: [...args],
    ...cwd !== undefined && { cwd },
    env: {
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_AUTHOR_NAME: "Ada",
      GIT_AUTHOR_EMAIL: "ada@example.org",
      GIT_COMMITTER_NAME: "Ada",
      GIT_COMMITTER_EMAIL: "ada@example.org",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${text(stderr)}`);
  return text(stdout).trim();
}
