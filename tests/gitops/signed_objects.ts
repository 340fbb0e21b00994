/**
 * Commits and tags signed in every way that was thought of, made by the real `gpg`, `ssh-keygen` and `git`, each with
 * the verdict of `git verify-commit`.
 *
 * Written to `tests/fixtures/gitops` by running this file; made again by a test, so that what is kept there is what
 * these programs make today.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** An object, and what Git says of it. */
export interface SignedObject {
  readonly name: string;
  readonly type: "commit" | "tag";
  readonly object: Uint8Array<ArrayBuffer>;
  /** Whether `git verify-commit` or `git verify-tag` leaves with 0. */
  readonly isGoodForGit: boolean;
  /** Why Pleiades says something else, as docs/gitops-signatures.md has it; `null` when it says the same. */
  readonly differs: string | null;
}

/** Everything that a node needs to judge them. */
export interface SignedObjects {
  readonly keyring: string;
  readonly allowedSigners: string;
  /** A certificate that isn't in the keyring: it revokes the key of the first object. */
  readonly revocation: string;
  /** Fingerprints of all keys in the keyring. */
  readonly fingerprints: readonly string[];
  /** When Git judged. */
  readonly now: Date;
  readonly objects: readonly SignedObject[];
}

/** Where they are kept. */
export const KEPT_FOLDER = fileURLToPath(new URL("../fixtures/gitops", import.meta.url));

/** Reads what is kept. */
export function keptObjects(): SignedObjects {
  const read = (name: string) => Deno.readTextFileSync(`${KEPT_FOLDER}/${name}`);
  const kept: Kept = JSON.parse(read("objects.json"));
  return {
    keyring: read("keyring.asc"),
    allowedSigners: read("allowed_signers"),
    revocation: read("revocation.asc"),
    fingerprints: kept.fingerprints,
    now: new Date(kept.now),
    objects: kept.objects.map((each) => ({ ...each, object: bytesOf(each.object) })),
  };
}

interface Kept {
  readonly now: string;
  readonly fingerprints: readonly string[];
  readonly objects: readonly (Omit<SignedObject, "object"> & { readonly object: string })[];
}

/** Objects are kept as text, a byte a character. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function textOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** Makes all of them in a temporary folder. */
export async function makeObjects(): Promise<SignedObjects> {
  // Short, since the socket of gpg-agent lies in it.
  const folder = await Deno.makeTempDir({ prefix: "gs" });
  const desk = new Desk(folder);
  try {
    return await make(desk);
  } finally {
    for (const home of desk.homes) await desk.run(["gpgconf", "--homedir", home, "--kill", "all"]);
    await Deno.remove(folder, { recursive: true });
  }
}

/** The programs, with homes of their own. */
class Desk {
  readonly homes: string[] = [];
  readonly #folder: string;
  #files = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  path(name: string): string {
    return `${this.#folder}/${name}`;
  }

  file(content: string): string {
    const path = this.path(`f${this.#files++}`);
    Deno.writeFileSync(path, bytesOf(content));
    return path;
  }

  /** Runs a program; what it prints is bytes as text. */
  async run(
    [program, ...args]: readonly string[],
    { input = "", fails = false }: { readonly input?: string; readonly fails?: boolean } = {},
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    const child = new Deno.Command(program!, {
      args,
      cwd: this.#folder,
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        TZ: "UTC",
        HOME: this.#folder,
        GNUPGHOME: this.homes[0] ?? this.#folder,
        GIT_CONFIG_NOSYSTEM: "1",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(bytesOf(input)).then(() => writer.close()).catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const result = { code, stdout: textOf(stdout), stderr: textOf(stderr) };
    if (code !== 0 && !fails) throw new Error(`${program} ${args.join(" ")}: ${code}\n${result.stderr}`);
    return result;
  }

  async gpg(args: readonly string[], { at, input, home }: GpgOptions = {}): Promise<string> {
    const time = at ? ["--faked-system-time", `${at.replaceAll(/[-:]/g, "")}!`] : [];
    const { stdout } = await this.run(
      ["gpg", "--homedir", home ?? this.homes[0]!, ...GPG, ...time, ...args],
      { input: input ?? "" },
    );
    return stdout;
  }

  async newHome(): Promise<string> {
    const home = this.path(`h${this.homes.length}`);
    await Deno.mkdir(home, { mode: 0o700 });
    this.homes.push(home);
    return home;
  }
}

interface GpgOptions {
  /** What `gpg` takes for the time, `YYYY-MM-DDTHH:MM:SS`. */
  readonly at?: string;
  readonly input?: string;
  readonly home?: string;
}

const GPG = [
  "--batch",
  "--quiet",
  "--no-tty",
  "--pinentry-mode",
  "loopback",
  "--passphrase",
  "",
  "--trust-model",
  "always",
];

const PAST = "2024-01-01T00:00:00",
  LATER = "2024-06-01T00:00:00",
  RECENT = "2025-06-01T00:00:00",
  FUTURE = "2036-01-01T00:00:00";

/** What is written into a commit. */
interface Draft {
  readonly headers?: string;
  readonly message?: string;
  /** Seconds; when it says it was committed. */
  readonly time?: number;
}

async function make(desk: Desk): Promise<SignedObjects> {
  const home = await desk.newHome();
  await Deno.writeTextFile(`${home}/gpg.conf`, "trust-model always\n");
  await desk.run(["git", "init", "--quiet", "."]);
  await desk.run(["git", "init", "--quiet", "--object-format=sha256", "sha256"]);
  const tree = (await desk.run(["git", "write-tree"])).stdout.trim();
  const objects: Omit<SignedObject, "isGoodForGit">[] = [];

  let drafts = 0;
  const draft = ({ headers = "", message, time = 1_735_689_600 }: Draft = {}) => {
    const who = "Alice <alice@example.org>";
    const text = message ?? `Change ${++drafts}\n`;
    return `tree ${tree}\nauthor ${who} 1600000000 +0000\ncommitter ${who} ${time} +0000\n${headers}\n${text}`;
  };
  const withHeader = (payload: string, signature: string, name = "gpgsig") => {
    const end = payload.indexOf("\n\n") + 1;
    const value = signature.replace(/\n$/, "").replaceAll("\n", "\n ");
    return `${payload.slice(0, end)}${name} ${value}\n${payload.slice(end)}`;
  };
  const add = (
    name: string,
    text: string,
    differs: string | null = null,
    type: "commit" | "tag" = "commit",
  ) => void objects.push({ name, type, object: bytesOf(text), differs });

  // --- OpenPGP -----------------------------------------------------------------------------------------------------
  const key = async (
    uid: string,
    algorithm: string,
    { usage = "cert,sign", expires = "never", at = PAST, home }: KeyOptions = {},
  ) => {
    const status = await desk.gpg([
      "--status-fd",
      "1",
      "--yes",
      "--quick-gen-key",
      uid,
      algorithm,
      usage,
      expires,
    ], {
      at,
      ...home === undefined ? {} : { home },
    });
    return /KEY_CREATED \S ([0-9A-F]+)/.exec(status)![1]!;
  };
  const subkey = async (of: string, algorithm: string, { expires = "never", at = PAST }: KeyOptions = {}) => {
    const status = await desk.gpg(["--status-fd", "1", "--quick-add-key", of, algorithm, "sign", expires], {
      at,
    });
    return /KEY_CREATED S ([0-9A-F]+)/.exec(status)![1]!;
  };
  const pgp = (payload: string, by: readonly string[], { at = RECENT, more = [], home }: PgpOptions = {}) =>
    desk.gpg(
      [
        "--armor",
        ...more.includes("--sign") ? [] : ["--detach-sign"],
        ...more,
        ...by.flatMap((each) => ["-u", `${each}!`]),
      ],
      { at, input: payload, ...home === undefined ? {} : { home } },
    );
  const pgpCommit = async (
    name: string,
    by: string,
    options: PgpOptions & { readonly differs?: string } = {},
  ) => {
    const payload = draft();
    add(name, withHeader(payload, await pgp(payload, [by], options)), options.differs ?? null);
  };
  const certificate = async (fingerprint: string, reason: string, at = LATER) => {
    const path = desk.path(`${fingerprint}.rev`);
    await desk.gpg([
      "--yes",
      "--command-fd",
      "0",
      "--no-batch",
      "--output",
      path,
      "--gen-revoke",
      fingerprint,
    ], {
      at,
      input: `y\n${reason}\n\ny\n`,
    });
    return path;
  };
  const revoke = async (fingerprint: string, reason: string, at = LATER) =>
    void await desk.gpg(["--import", await certificate(fingerprint, reason, at)]);

  const ed = await key("Alice <alice@example.org>", "ed25519");
  await pgpCommit("pgp ed25519", ed);
  const rsa = await key("rsa2048 <a@example.org>", "rsa2048");
  await pgpCommit("pgp rsa2048", rsa);
  for (
    const [algorithm, differs] of [
      ["rsa1024", "RSA keys below 2,048 bits"],
      ["dsa2048", "DSA"],
      ["nistp256", null],
      ["nistp384", null],
      ["nistp521", null],
      ["brainpoolP256r1", null],
      ["secp256k1", "secp256k1"],
    ] as const
  ) {
    const fingerprint = await key(`${algorithm} <a@example.org>`, algorithm);
    await pgpCommit(`pgp ${algorithm}`, fingerprint, differs === null ? {} : { differs });
  }

  const expired = await key("Expired <e@example.org>", "ed25519", { expires: "2024-09-01" });
  await pgpCommit("pgp key expired after it signed", expired, { at: LATER });
  await pgpCommit("pgp key expired before it signed", expired, {
    at: RECENT,
    more: ["--ignore-time-conflict"],
  }).catch(async () => {
    // Newer versions don't sign with it: they take an older clock for the signature alone.
    const payload = draft();
    add(
      "pgp key expired before it signed",
      withHeader(payload, await pgp(payload, [expired], { at: "2024-08-31T23:59:59" })),
    );
  });
  for (
    const [name, reason] of [["without a reason", "0"], ["as compromised", "1"], ["as superseded", "2"], [
      "as no longer used",
      "3",
    ]] as const
  ) {
    const fingerprint = await key(`Revoked ${reason} <r@example.org>`, "ed25519");
    await pgpCommit(`pgp key revoked ${name}`, fingerprint, { at: PAST });
    await revoke(fingerprint, reason);
  }

  const owner = await key("Owner <o@example.org>", "ed25519");
  await pgpCommit("pgp subkey", await subkey(owner, "ed25519"));
  await pgpCommit("pgp rsa subkey of an ed25519 key", await subkey(owner, "rsa2048"));
  await pgpCommit(
    "pgp expired subkey of a live key",
    await subkey(owner, "ed25519", { expires: "2024-09-01" }),
    { at: LATER },
  );
  for (const [when, at] of [["", LATER], [" in the future", FUTURE]] as const) {
    const fingerprint = await key("Revoked later <r@example.org>", "ed25519");
    await pgpCommit(`pgp key revoked${when || " later"}`, fingerprint);
    await revoke(fingerprint, "2", at);
    const revokedSubkey = await subkey(owner, "ed25519");
    await pgpCommit(`pgp subkey of a live key revoked${when}`, revokedSubkey);
    const order = (await desk.gpg(["--with-colons", "--list-keys", owner])).split("\n")
      .filter((line) => line.startsWith("fpr:"));
    const index = order.findIndex((line) => line.includes(revokedSubkey));
    await desk.gpg(["--no-batch", "--command-fd", "0", "--edit-key", owner], {
      at,
      input: `key ${index}\nrevkey\ny\n2\n\ny\nsave\n`,
    });
  }
  const revokedOwner = await key("Revoked owner <ro@example.org>", "ed25519");
  await pgpCommit("pgp live subkey of a revoked key", await subkey(revokedOwner, "ed25519"), { at: PAST });
  await revoke(revokedOwner, "0");
  const expiredOwner = await key("Expired owner <eo@example.org>", "ed25519", { expires: "2024-09-01" });
  await pgpCommit("pgp live subkey of an expired key", await subkey(expiredOwner, "ed25519"), { at: LATER });

  await pgpCommit("pgp two keys of one user, the first", await key("Twin <t@example.org>", "ed25519"));
  await pgpCommit(
    "pgp two keys of one user, the second",
    await key("Twin <t@example.org>", "ed25519", { at: LATER }),
  );
  const prolonged = await key("Prolonged <p@example.org>", "ed25519", { expires: "2024-09-01" });
  await pgpCommit("pgp key prolonged after it signed", prolonged, { at: LATER });
  await desk.gpg(["--quick-set-expire", prolonged, "0"], { at: RECENT });
  const renamed = await key("Former <f@example.org>", "ed25519");
  await desk.gpg(["--quick-add-uid", renamed, "Present <f@example.net>"], { at: PAST });
  await desk.gpg(["--quick-revoke-uid", renamed, "Former <f@example.org>"], { at: LATER });
  await pgpCommit("pgp key with one revoked name", renamed);

  for (const hash of ["SHA1", "SHA224"]) {
    const options = { more: ["--digest-algo", hash], differs: "hashes below 256 bits" };
    await pgpCommit(`pgp ed25519 with ${hash}`, ed, options);
    await pgpCommit(`pgp rsa with ${hash}`, rsa, options);
  }
  await pgpCommit("pgp with SHA-512", ed, { more: ["--digest-algo", "SHA512"] });
  await pgpCommit("pgp over text", ed, { more: ["--textmode"], differs: "text signature" });
  await pgpCommit("pgp signature that has expired", ed, { at: PAST, more: ["--default-sig-expire", "2d"] });
  await pgpCommit("pgp signature with a notation", ed, { more: ["--set-notation", "a@example.org=b"] });
  await pgpCommit("pgp signature with an unknown critical notation", ed, {
    more: ["--set-notation", "!a@example.org=b"],
  });
  await pgpCommit("pgp signature of the future", ed, { at: FUTURE });
  await pgpCommit(
    "pgp signature older than its key",
    await key("Young <y@example.org>", "ed25519", { at: LATER }),
    {
      at: PAST,
      more: ["--ignore-time-conflict"],
    },
  );
  await pgpCommit("pgp inline message", ed, { more: ["--sign"] });
  const other = await desk.newHome();
  await pgpCommit("pgp stranger", await key("Stranger <s@example.org>", "ed25519", { home: other }), {
    home: other,
  });

  const payload = draft();
  const signature = await pgp(payload, [ed]);
  const signed = withHeader(payload, signature);
  add("pgp signature moved to another commit", withHeader(draft(), signature));
  add("pgp message changed", signed.replace("Change ", "Chance "));
  add("pgp time changed", signed.replace("1735689600 +0000\ngpgsig", "1735689601 +0000\ngpgsig"));
  add("pgp header added", signed.replace("\ngpgsig", "\nencoding UTF-8\ngpgsig"));
  add("pgp line ends CRLF in the signature", withHeader(payload, signature.replaceAll("\n", "\r\n")));
  add(
    "pgp comment in the armor",
    withHeader(payload, signature.replace("\n\n", "\nVersion: 1\nComment: x\n\n")),
  );
  add("pgp text behind the armor", withHeader(payload, `${signature}more\n`), "text behind the signature");
  add("pgp no empty line in the armor", withHeader(payload, signature.replace("\n\n", "\n")));
  add(
    "pgp wrong checksum in the armor",
    withHeader(payload, signature.replace(/\n=.{4}\n/, "\n=AAAA\n")),
  );
  add("pgp no checksum in the armor", withHeader(payload, signature.replace(/\n=.{4}\n/, "\n")));
  add(
    "pgp armor without its end",
    withHeader(payload, signature.replace(/\n-----END.*/, "")),
    "a block without its end",
  );
  add("pgp two gpgsig headers", withHeader(withHeader(payload, signature), signature));
  add("pgp two blocks in one header", withHeader(payload, `${signature}${signature}`));
  const byTwo = await pgp(payload, [ed, owner]);
  add("pgp signed by two keys at once", withHeader(payload, byTwo));
  add("gpgsig-sha256 beside gpgsig", withHeader(signed, signature, "gpgsig-sha256"));
  add("gpgsig-sha256 alone", withHeader(payload, signature, "gpgsig-sha256"));
  for (
    const [name, more] of [
      ["with a mergetag", {
        headers: `mergetag object ${
          "1".repeat(40)
        }\n type commit\n tag v1\n tagger A <a@example.org> 1 +0000\n \n v1\n -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n`,
      }],
      ["in Latin-1", { headers: "encoding ISO-8859-1\n", message: "Gr\xfc\xdfe\n" }],
      ["with an empty message", { message: "" }],
      ["with CRLF in the message", { message: "a\r\nb\r\n\r\n" }],
      ["whose message has no last line end", { message: "a\n\nb" }],
      ["whose message holds a header", { message: "a\n\ngpgsig x\n y\n" }],
    ] as const
  ) {
    const payload = draft(more);
    add(`pgp commit ${name}`, withHeader(payload, await pgp(payload, [ed])));
  }
  const parent = (await desk.run(["git", "hash-object", "-t", "commit", "-w", "--stdin"], { input: draft() }))
    .stdout.trim();
  const merge = draft().replace(
    "\nauthor",
    `\nparent ${parent}\nparent ${parent.replace(/^./, "0")}\nauthor`,
  );
  add("pgp merge of unsigned parents", withHeader(merge, await pgp(merge, [ed])));

  // --- SSH ---------------------------------------------------------------------------------------------------------
  const lines: string[] = ["# made by tests/gitops/signed_objects.ts"];
  const sshKey = async (name: string, type: readonly string[], terms: string | null = "") => {
    await desk.run(["ssh-keygen", "-q", "-t", ...type, "-N", "", "-C", name, "-f", desk.path(name)]);
    if (terms !== null) {
      lines.push(`${name}@example.org ${terms}${Deno.readTextFileSync(desk.path(`${name}.pub`)).trim()}`);
    }
    return desk.path(name);
  };
  const ssh = async (payload: string, key: string, more: readonly string[] = ["-n", "git"]) =>
    (await desk.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, ...more], { input: payload })).stdout;
  const sshCommit = async (name: string, key: string, options: SshOptions = {}) => {
    const payload = draft(options.time === undefined ? {} : { time: options.time });
    add(name, withHeader(payload, await ssh(payload, key, options.more)), options.differs ?? null);
  };
  const sshEd = await sshKey("ed25519", ["ed25519"]);
  await sshCommit("ssh ed25519", sshEd);
  await sshCommit("ssh ecdsa with P-256", await sshKey("p256", ["ecdsa", "-b", "256"]));
  await sshCommit("ssh ecdsa with P-384", await sshKey("p384", ["ecdsa", "-b", "384"]));
  await sshCommit("ssh ecdsa with P-521", await sshKey("p521", ["ecdsa", "-b", "521"]));
  const sshRsa = await sshKey("rsa", ["rsa", "-b", "2048"]);
  await sshCommit("ssh rsa with SHA-512", sshRsa);
  await sshCommit("ssh rsa with a payload hashed by SHA-256", sshRsa, {
    more: ["-n", "git", "-O", "hashalg=sha256"],
  });
  await sshCommit("ssh rsa with 1,024 bits", await sshKey("rsa1024", ["rsa", "-b", "1024"]), {
    differs: "RSA keys below 2,048 bits",
  });
  await sshCommit("ssh wrong namespace", sshEd, { more: ["-n", "file"] });
  await sshCommit("ssh stranger", await sshKey("stranger", ["ed25519"], null));
  await sshCommit(
    "ssh key allowed for git among others",
    await sshKey("gitandfile", ["ed25519"], 'namespaces="file,g?t" '),
  );
  await sshCommit("ssh key not allowed for git", await sshKey("onlyfile", ["ed25519"], 'namespaces="file" '));
  await sshCommit(
    "ssh key allowed for all but git",
    await sshKey("notgit", ["ed25519"], 'namespaces="*,!git" '),
  );
  const ended = await sshKey("ended", ["ed25519"], 'valid-before="20240901Z" ');
  await sshCommit("ssh key ended after it signed", ended, { time: 1_717_200_000, differs: "valid-before" });
  await sshCommit("ssh key ended before it signed", ended, { time: 1_735_689_600 });
  const begun = await sshKey("begun", ["ed25519"], 'valid-after="20240901Z",valid-before="20960901" ');
  await sshCommit("ssh key valid at the time", begun);
  await sshCommit("ssh key not yet valid when it signed", begun, { time: 1_717_200_000 });
  await sshCommit("ssh key not yet valid", await sshKey("future", ["ed25519"], 'valid-after="20960901Z" '));
  const authority = await sshKey("authority", ["ed25519"], "cert-authority ");
  const certified = await sshKey("certified", ["ed25519"], null);
  await desk.run([
    "ssh-keygen",
    "-q",
    "-s",
    authority,
    "-I",
    "c",
    "-n",
    "authority@example.org",
    `${certified}.pub`,
  ]);
  await sshCommit("ssh certificate", `${certified}-cert.pub`, { differs: "certificates" });
  const sshPayload = draft();
  const sshSignature = await ssh(sshPayload, sshEd);
  add("ssh signature moved to another commit", withHeader(draft(), sshSignature));
  add("ssh message changed", withHeader(sshPayload, sshSignature).replace("Change ", "Chance "));
  add(
    "ssh line ends CRLF in the signature",
    withHeader(sshPayload, sshSignature.replaceAll("\n", "\r\n")),
    "CRLF in an SSH signature",
  );
  add(
    "ssh text behind the armor",
    withHeader(sshPayload, `${sshSignature}more\n`),
    "text behind the signature",
  );
  add("ssh armor without its end", withHeader(sshPayload, sshSignature.replace(/\n-----END.*/, "")));
  add(
    "ssh key with several names",
    await (async () => {
      const payload = draft();
      const several = await sshKey("several", ["ed25519"], null);
      lines.push(
        `"*@example.net,b@example.org" namespaces="git" ${Deno.readTextFileSync(`${several}.pub`).trim()}`,
      );
      return withHeader(payload, await ssh(payload, several));
    })(),
  );

  // --- neither -----------------------------------------------------------------------------------------------------
  add("unsigned", draft());
  add("x509", withHeader(draft(), "-----BEGIN SIGNED MESSAGE-----\nMIAG\n-----END SIGNED MESSAGE-----\n"));
  add("no known kind of signature", withHeader(draft(), "hello\n"));

  // --- a repository with SHA-256 ---
  const tree256 = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";
  const payload256 = draft().replace(tree, tree256);
  const signature256 = await pgp(payload256, [ed]);
  add("pgp in a repository with SHA-256", withHeader(payload256, signature256, "gpgsig-sha256"));
  add("pgp in a repository with SHA-256, header of SHA-1", withHeader(payload256, signature256));

  // --- tags --------------------------------------------------------------------------------------------------------
  const tag = (name: string) =>
    `object ${parent}\ntype commit\ntag ${name}\ntagger A <a@example.org> 1735689600 +0000\n\nRelease\n`;
  add("tag unsigned", tag("t1"), null, "tag");
  const pgpTag = tag("t2"), sshTag = tag("t3");
  const pgpTagSignature = await pgp(pgpTag, [ed]);
  add("tag pgp", pgpTag + pgpTagSignature, null, "tag");
  add("tag pgp renamed", tag("t9") + pgpTagSignature, null, "tag");
  add("tag ssh", sshTag + await ssh(sshTag, sshEd), null, "tag");
  add(
    "tag pgp with another signature in the message",
    pgpTag + sshSignature + await pgp(pgpTag + sshSignature, [ed]),
    null,
    "tag",
  );

  const now = new Date();
  const allowedSigners = `${lines.join("\n")}\n`;
  const keyring = await desk.gpg(["--armor", "--export"]);
  const signersFile = desk.file(allowedSigners);
  const judge = async (each: typeof objects[number]): Promise<SignedObject> => {
    const input = textOf(each.object);
    const folder = input.startsWith(`tree ${tree256}`) ? "sha256" : ".";
    const git = ["git", "-C", folder, "-c", `gpg.ssh.allowedSignersFile=${signersFile}`];
    const keep = [...git, "hash-object", "-t", each.type, "--literally", "-w", "--stdin"];
    const id = (await desk.run(keep, { input })).stdout.trim();
    const { code } = await desk.run([...git, `verify-${each.type}`, id], { fails: true });
    return { ...each, isGoodForGit: code === 0 };
  };
  const judged: SignedObject[] = [];
  for (let i = 0; i < objects.length; i += AT_ONCE) {
    judged.push(...await Promise.all(objects.slice(i, i + AT_ONCE).map(judge)));
  }
  const fingerprints = (await desk.gpg(["--with-colons", "--list-keys"])).split("\n")
    .filter((line, i, all) => line.startsWith("fpr:") && all[i - 1]!.startsWith("pub:")).map((line) =>
      line.split(":")[9]!
    );
  const revocation = Deno.readTextFileSync(await certificate(ed, "0"));
  return { keyring, allowedSigners, revocation, fingerprints, now, objects: judged };
}

/** Verdicts of Git under way: they wait for programs more than they work. */
const AT_ONCE = 4;

interface KeyOptions {
  readonly usage?: string;
  readonly expires?: string;
  readonly at?: string;
  readonly home?: string;
}

interface PgpOptions {
  readonly at?: string;
  readonly more?: readonly string[];
  readonly home?: string;
}

interface SshOptions {
  readonly more?: readonly string[];
  readonly time?: number;
  readonly differs?: string;
}

if (import.meta.main) {
  const { keyring, allowedSigners, revocation, fingerprints, now, objects } = await makeObjects();
  await Deno.mkdir(KEPT_FOLDER, { recursive: true });
  await Deno.writeTextFile(`${KEPT_FOLDER}/keyring.asc`, keyring);
  await Deno.writeTextFile(`${KEPT_FOLDER}/allowed_signers`, allowedSigners);
  await Deno.writeTextFile(`${KEPT_FOLDER}/revocation.asc`, revocation);
  const kept: Kept = {
    now: now.toISOString(),
    fingerprints,
    objects: objects.map((each) => ({ ...each, object: textOf(each.object) })),
  };
  await Deno.writeTextFile(`${KEPT_FOLDER}/objects.json`, `${JSON.stringify(kept, null, 1)}\n`);
  console.log(`${objects.length} objects`);
}
