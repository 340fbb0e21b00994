/**
 * Repositories that only programs of the system reach: a path by its `git`, a host by its `ssh`.
 *
 * Neither gets more than it needs: an environment of our own in place of ours, no configuration of the system, the user or the caller, no
 * terminal, no agent. The server half of Git runs, `git upload-pack`, which checks nothing out, runs no hook and writes nothing; what it
 * sends is read by us, like what comes over HTTPS. The key of SSH is named by its path and never read here.
 *
 * @module
 */
import { FLUSH, PacketReader } from "./pkt_line.ts";
import type { Remote } from "../input/repository_url.ts";
import { type RepositoryAuth, RepositoryError } from "./repository.ts";
import { type Connection, plainWords, type Transport } from "./upload_pack.ts";

/** A program that a kind of repository needs. */
interface Program {
  readonly name: "git" | "ssh";
  /** What to install. */
  readonly packages: string;
}

const PROGRAMS: Readonly<Record<Remote["kind"], Program | null>> = {
  https: null,
  ssh: { name: "ssh", packages: "openssh-client (Debian, Ubuntu) or openssh-clients (Fedora, RHEL)" },
  file: { name: "git", packages: "git" },
};

/** Of what a program complains, that much is read. */
const COMPLAINT_BYTES = 8 << 10;
/** How long a program may take to end when it has nothing more to do. */
const ENDING_MS = 1_000;
/** Seconds until `ssh` gives up on a host that doesn't answer. */
const CONNECT_SECONDS = 10;

/**
 * Refuses a repository whose program isn't installed.
 *
 * @throws {RepositoryError} `program`: which one, and what to install
 */
export function needProgram(remote: Remote): void {
  const program = PROGRAMS[remote.kind];
  if (program !== null) pathOf(program, remote);
}

function pathOf({ name, packages }: Program, { kind }: Remote): string {
  const found = searchPath().split(":").filter((folder) => folder.startsWith("/"))
    .map((folder) => `${folder}/${name}`).find((path) => isExecutable(path) && mayRun(path));
  if (found !== undefined) return found;
  const what = kind === "ssh" ? "A repository over SSH" : "A repository by its path";
  throw new RepositoryError(
    "program",
    `${what} needs the program ${name}, which isn't installed: install ${packages}`,
  );
}

/** Where programs are looked for, as by a shell. */
function searchPath(): string {
  return Deno.env.get("PATH") ?? "/usr/local/bin:/usr/bin:/bin";
}

/** The executable may start programs in some folders only (docs/security.md). */
function mayRun(path: string): boolean {
  return Deno.permissions.querySync({ name: "run", command: path }).state === "granted";
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0o111) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** What a repository is reached with by a program. */
export interface ProgramOptions {
  /** Where it is. */
  readonly remote: Exclude<Remote, { readonly kind: "https" }>;
  /** Key and known hosts of SSH. */
  readonly auth: RepositoryAuth;
}

/** A repository by a program, which runs as long as a conversation. */
export class ProgramTransport implements Transport {
  /** The program knows what was said before. */
  readonly isStateless = false;
  readonly #options: ProgramOptions;

  /** Runs nothing yet. */
  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  /**
   * Begins a conversation.
   *
   * @throws {RepositoryError} `program` or `missing`
   */
  open(signal: AbortSignal): Connection {
    const { remote } = this.#options;
    const program = pathOf(PROGRAMS[remote.kind]!, remote);
    if (remote.kind === "file") mustBeFolder(remote.path);
    else mustBeReadable(this.#options.auth);
    const child = new Deno.Command(program, {
      args: remote.kind === "ssh" ? sshArguments(remote, this.#options.auth) : gitArguments(remote.path),
      env: environment(),
      clearEnv: true,
      cwd: "/",
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return new ProgramConnection(child, { remote, signal });
  }
}

function mustBeFolder(path: string): void {
  try {
    if (Deno.statSync(path).isDirectory) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new RepositoryError("denied", `Can't read the repository ${shown(path)}`, { cause: error });
    }
  }
  throw new RepositoryError("missing", `There is no repository at ${shown(path)}`);
}

/** `ssh` goes on without a key that it can't read, and then only says that the host refuses it. */
function mustBeReadable({ sshKeyPath, knownHostsPath }: RepositoryAuth): void {
  for (const path of [sshKeyPath, knownHostsPath]) {
    if (path === null) continue;
    try {
      Deno.openSync(path).close();
    } catch (error) {
      throw new RepositoryError("denied", `Can't read ${shown(path)}, which SSH needs`, { cause: error });
    }
  }
}

function shown(path: string): string {
  return JSON.stringify(plainWords(path));
}

function environment(): Record<string, string> {
  return {
    PATH: searchPath(),
    // ssh looks for the user's files by the user's id; git must find none.
    HOME: "/nonexistent",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_NO_LAZY_FETCH: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_PROTOCOL: "version=2",
  };
}

function gitArguments(path: string): string[] {
  const settings = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    // Both would take what answering takes.
    "pack.threads=1",
    "pack.windowMemory=64m",
    "uploadpack.allowFilter=true",
  ];
  return [...settings.flatMap((each) => ["-c", each]), "upload-pack", "--strict", "--", path];
}

function sshArguments(
  { user, host, port, path }: Extract<Remote, { readonly kind: "ssh" }>,
  { sshKeyPath, knownHostsPath }: RepositoryAuth,
): string[] {
  const options = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "ControlMaster=no",
    "ControlPath=none",
    "RequestTTY=no",
    "EscapeChar=none",
    "LogLevel=ERROR",
    `ConnectTimeout=${CONNECT_SECONDS}`,
    "ConnectionAttempts=1",
    "ServerAliveInterval=5",
    "SendEnv=GIT_PROTOCOL",
    ...knownHostsPath === null
      ? []
      : [`UserKnownHostsFile=${quotedPath(knownHostsPath)}`, "GlobalKnownHostsFile=/dev/null"],
    ...sshKeyPath === null
      ? []
      : ["IdentitiesOnly=yes", "IdentityAgent=none", `IdentityFile=${quotedPath(sshKeyPath)}`],
  ];
  return [
    ...["-F", "/dev/null"],
    ...options.flatMap((each) => ["-o", each]),
    ...port === null ? [] : ["-p", String(port)],
    ...user === null ? [] : ["-l", user],
    "--",
    host,
    `git-upload-pack ${shellQuoted(path)}`,
  ];
}

/** A path in an option of `ssh`, which splits at blanks and replaces what follows "%". */
function quotedPath(path: string): string {
  return `"${path.replaceAll("%", "%%").replaceAll(/["\\]/g, "\\$&")}"`;
}

/** For the shell of the other side; "!" as some shells have it. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll(/['!]/g, (each) => `'\\${each}'`)}'`;
}

/** A program that speaks the protocol on its standard input and output. */
class ProgramConnection implements Connection {
  readonly #child: Deno.ChildProcess;
  readonly #remote: ProgramOptions["remote"];
  readonly #reader: PacketReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #complaint: Promise<string>;
  readonly #signal: AbortSignal;
  readonly #kill = () => {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };

  constructor(
    child: Deno.ChildProcess,
    { remote, signal }: { readonly remote: ProgramOptions["remote"]; readonly signal: AbortSignal },
  ) {
    this.#child = child;
    this.#remote = remote;
    this.#signal = signal;
    this.#writer = child.stdin.getWriter();
    this.#complaint = beginOf(child.stderr);
    this.#reader = new PacketReader(child.stdout, () => this.#failure());
    if (signal.aborted) this.#kill();
    signal.addEventListener("abort", this.#kill);
  }

  greeting(): Promise<PacketReader> {
    return Promise.resolve(this.#reader);
  }

  async request(body: string): Promise<PacketReader> {
    try {
      await this.#writer.write(new TextEncoder().encode(body));
    } catch {
      // It has ended and takes no more: what it has to say of that is found at reading.
    }
    return this.#reader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
    // Said properly, so that the other side doesn't log that we hung up; it may have ended already.
    await this.#writer.write(new TextEncoder().encode(FLUSH)).then(() => this.#writer.close()).catch(
      () => {},
    );
    const timer = setTimeout(this.#kill, ENDING_MS);
    await this.#child.status;
    clearTimeout(timer);
    this.#signal.removeEventListener("abort", this.#kill);
    await this.#complaint;
  }

  /** Why the program ended, by what it said. */
  async #failure(): Promise<RepositoryError> {
    this.#kill();
    const { code } = await this.#child.status;
    const words = await this.#complaint;
    return this.#remote.kind === "ssh"
      ? sshFailure(words, this.#remote.host, code)
      : gitFailure(words, this.#remote.path);
  }
}

/** The begin of what a program complains of; the rest is read and dropped, so that the program doesn't wait. */
async function beginOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const piece of stream) {
      if (text.length < COMPLAINT_BYTES) {
        text += decoder.decode(piece.subarray(0, COMPLAINT_BYTES), { stream: true });
      }
    }
  } catch {
    // It was killed: what was read until then is enough.
  }
  return text;
}

function sshFailure(words: string, host: string, code: number): RepositoryError {
  if (/host key verification failed|host key is known/i.test(words)) {
    return new RepositoryError(
      "denied",
      `The host key of ${host} isn't known, or is another one than known_hosts has: check it and add it there`,
    );
  }
  if (/permission denied|too many authentication failures|load key/i.test(words)) {
    return new RepositoryError(
      "denied",
      `${host} refuses the key: ${last(words)}; see gitops.auth.sshKeyPath`,
    );
  }
  if (/does not appear to be a git repository|not found|does not exist|no such file/i.test(words)) {
    return new RepositoryError("missing", `${host} has no such repository: ${last(words)}`);
  }
  return new RepositoryError(
    "unreachable",
    `Can't fetch from ${host}: ${last(words) || `ssh ended with ${code}`}`,
  );
}

function gitFailure(words: string, path: string): RepositoryError {
  if (/dubious ownership/i.test(words)) {
    return new RepositoryError(
      "denied",
      `${shown(path)} belongs to another user: make it belong to the user of this process`,
    );
  }
  if (/not appear to be a git repository|not a git repository|no such file/i.test(words)) {
    return new RepositoryError("missing", `There is no repository at ${shown(path)}`);
  }
  if (/permission denied/i.test(words)) {
    return new RepositoryError("denied", `Can't read the repository ${shown(path)}: ${last(words)}`);
  }
  return new RepositoryError("unreachable", `Can't fetch from ${shown(path)}: ${last(words) || "git ended"}`);
}

/** The last line that says something, which names the failure. */
function last(words: string): string {
  return plainWords(words.split("\n").map((line) => line.trim()).filter((line) => line !== "").at(-1) ?? "");
}
