/**
 * Real repositories, made by the system's `git`, and real servers for them on the loopback address: `git http-backend` behind TLS, and `sshd`.
 *
 * Also what `git` itself wouldn't make is made by it: `hash-object --literally` writes any tree.
 *
 * @module
 */
import { type Identity, TestAuthority } from "../health/certificates.ts";
import { freePort } from "../free_port.ts";
import { program } from "../programs.ts";

/** An entry of a tree that is written as it is. */
export interface RawEntry {
  readonly mode: string;
  readonly name: string | Uint8Array;
  readonly id: string;
}

/** A bare repository in a folder of its own. */
export class GitFixture implements AsyncDisposable {
  /** Everything that belongs to the fixture. */
  readonly folder: string;
  /** The repository. */
  readonly path: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.path = `${folder}/dns.git`;
  }

  /** Makes an empty repository whose first branch is `main`. */
  static async create(args: readonly string[] = []): Promise<GitFixture> {
    const fixture = new GitFixture(await Deno.makeTempDir({ prefix: "pleiades-git-" }));
    await run(["init", "--quiet", "--bare", "--initial-branch=main", ...args, fixture.path]);
    return fixture;
  }

  /** Runs `git` in the repository; gives what it says, without the line end. */
  git(args: readonly string[], input: Uint8Array | string = ""): Promise<string> {
    return run(["-C", this.path, ...args], input);
  }

  /**
   * Commits on top of a branch, which is made or moved.
   *
   * @param files content by path; `null` = removed
   * @param options.onto the parents; default: what the branch names
   * @returns the id of the commit
   */
  async commit(
    files: Readonly<Record<string, string | null>>,
    { branch = "main", onto, message = "change" }: {
      readonly branch?: string;
      readonly onto?: readonly string[];
      readonly message?: string;
    } = {},
  ): Promise<string> {
    const parents = onto ??
      [await this.git(["rev-parse", "--verify", `refs/heads/${branch}^0`]).catch(() => "")].filter(Boolean);
    const [from, ...merged] = parents;
    const temporary = `refs/made/${crypto.randomUUID()}`;
    const text = [
      `commit ${temporary}\ncommitter Ada <ada@example.org> ${Math.floor(Date.now() / 1000)} +0000\n`,
      `data ${message.length}\n${message}\n`,
      from === undefined ? "" : `from ${from}\n`,
      ...merged.map((parent) => `merge ${parent}\n`),
      ...Object.entries(files).map(([path, content]) =>
        content === null
          ? `D "${path}"\n`
          : `M 100644 inline "${path}"\ndata ${new TextEncoder().encode(content).length}\n${content}\n`
      ),
    ].join("");
    await this.git(["fast-import", "--quiet", "--force"], text);
    const id = await this.git(["rev-parse", temporary]);
    await this.git(["update-ref", `refs/heads/${branch}`, id]);
    await this.git(["update-ref", "-d", temporary]);
    return id;
  }

  /** Writes a file's content. */
  blob(content: string | Uint8Array): Promise<string> {
    return this.git(["hash-object", "-w", "--stdin"], content);
  }

  /** Writes a file of zeros, however large, without having them in memory. */
  async zeros(bytes: number): Promise<string> {
    const command = `head -c ${bytes} /dev/zero | git -C "$0" hash-object -w --stdin`;
    const { stdout } = await new Deno.Command("sh", {
      args: ["-c", command, this.path],
      env: ENVIRONMENT,
      clearEnv: true,
    })
      .output();
    return new TextDecoder().decode(stdout).trim();
  }

  /** Writes a tree, whatever is in it. */
  tree(entries: readonly RawEntry[]): Promise<string> {
    const encoder = new TextEncoder();
    const bytes = entries.flatMap(({ mode, name, id }) => [
      ...encoder.encode(`${mode} `),
      ...typeof name === "string" ? encoder.encode(name) : name,
      0,
      ...Uint8Array.fromHex(id),
    ]);
    return this.git(["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], new Uint8Array(bytes));
  }

  /** Commits a tree as it is, on top of the branch. */
  async commitTree(tree: string, branch = "main"): Promise<string> {
    const parent = await this.git(["rev-parse", "--verify", `refs/heads/${branch}`]).catch(() => null);
    const text = [
      `tree ${tree}`,
      ...parent === null ? [] : [`parent ${parent}`],
      "author Ada <ada@example.org> 1700000000 +0000",
      "committer Ada <ada@example.org> 1700000000 +0000",
      "",
      "as it is\n",
    ].join("\n");
    const id = await this.git(["hash-object", "-t", "commit", "--literally", "-w", "--stdin"], text);
    await this.git(["update-ref", `refs/heads/${branch}`, id]);
    return id;
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

const ENVIRONMENT = {
  PATH: Deno.env.get("PATH") ?? "",
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.org",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.org",
};

async function run(args: readonly string[], input: Uint8Array | string = ""): Promise<string> {
  const child = new Deno.Command("git", {
    args: ["-c", "gc.auto=0", ...args],
    env: ENVIRONMENT,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input)
    .then(() => writer.close());
  const [{ success, stdout, stderr }] = await Promise.all([child.output(), written]);
  if (!success) throw new Error(`git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trimEnd();
}

/** A request that a server got. */
export interface GitRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string | null;
}

/** How a server behaves. */
export interface HttpsOptions {
  /** `user:password` that it asks for. */
  readonly credentials?: string;
  /** Highest version of the protocol that it speaks. */
  readonly version?: 0 | 2;
  /** Answers in place of Git, where it answers anything. */
  readonly instead?: (request: Request) => Response | null | Promise<Response | null>;
}

/** A Git server over HTTPS. */
export class GitHttps implements AsyncDisposable {
  /** Begin of the URL of each repository. */
  readonly url: string;
  /** Who signed its certificate, PEM. */
  readonly authority: string;
  /** What was asked so far. */
  readonly requests: GitRequest[] = [];
  readonly #server: Deno.HttpServer;

  private constructor(root: string, identity: Identity, { authority, options }: {
    readonly authority: string;
    readonly options: HttpsOptions;
  }) {
    this.authority = authority;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {}, ...identity },
      async (request) => {
        const { pathname, search } = new URL(request.url);
        const authorization = request.headers.get("authorization");
        this.requests.push({ method: request.method, path: pathname + search, authorization });
        const instead = await options.instead?.(request) ?? null;
        if (instead !== null) return instead;
        if (options.credentials !== undefined && authorization !== `Basic ${btoa(options.credentials)}`) {
          return new Response("who are you", { status: 401, headers: { "www-authenticate": "Basic" } });
        }
        return await backend(root, request, options.version ?? 2);
      },
    );
    this.url = `https://127.0.0.1:${(this.#server.addr as Deno.NetAddr).port}`;
  }

  /** Serves all repositories below a folder. */
  static async serve(root: string, options: HttpsOptions = {}): Promise<GitHttps> {
    const authority = await TestAuthority.create("Git hosts");
    const identity = await authority.issue({ ipAddresses: ["127.0.0.1"] });
    return new GitHttps(root, identity, { authority: authority.cert, options });
  }

  /** Ends it, and what it still sends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Runs `git http-backend` as CGI (RFC 3875) has it. */
async function backend(root: string, request: Request, version: 0 | 2): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const child = new Deno.Command("git", {
    args: ["http-backend"],
    clearEnv: true,
    env: {
      ...ENVIRONMENT,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers.get("content-type") ?? "",
      GIT_PROTOCOL: version === 2 ? request.headers.get("git-protocol") ?? "" : "",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const body = new Uint8Array(await request.arrayBuffer());
  const writer = child.stdin.getWriter();
  await writer.write(body).then(() => writer.close()).catch(() => {});
  const { stdout } = await child.output();
  const text = new TextDecoder("latin1").decode(stdout.subarray(0, 2000));
  const end = text.indexOf("\r\n\r\n");
  const headers = new Headers();
  let status = 200;
  for (const line of text.slice(0, end).split("\r\n")) {
    const [name = "", value = ""] = line.split(/: */, 2);
    if (name === "Status") status = parseInt(value);
    else headers.set(name, value);
  }
  return new Response(stdout.subarray(end + 4), { status, headers });
}

/** A Git server over SSH: a real `sshd`, for the user of this process. */
export class GitSsh implements AsyncDisposable {
  readonly port: number;
  /** Private key that it lets in. */
  readonly keyPath: string;
  /** Its host key, as `ssh` wants to know it. */
  readonly knownHostsPath: string;
  /** Who is let in. */
  readonly user: string;
  readonly #child: Deno.ChildProcess;
  readonly #said: ReadableStreamDefaultReader<string>;

  private constructor(
    folder: string,
    port: number,
    { child, said }: {
      readonly child: Deno.ChildProcess;
      readonly said: ReadableStreamDefaultReader<string>;
    },
  ) {
    this.port = port;
    this.keyPath = `${folder}/client`;
    this.knownHostsPath = `${folder}/known_hosts`;
    this.user = Deno.uid() === 0 ? "root" : Deno.env.get("USER") ?? "";
    this.#child = child;
    this.#said = said;
  }

  /** @param folder where its keys shall lie */
  static async serve(folder: string, { version = 2 }: { readonly version?: 0 | 2 } = {}): Promise<GitSsh> {
    await Deno.mkdir(folder, { mode: 0o700 });
    for (const name of ["host", "client", "stranger"]) {
      await tool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", `${folder}/${name}`]);
    }
    const port = freePort();
    const hostKey = (await Deno.readTextFile(`${folder}/host.pub`)).split(" ").slice(0, 2).join(" ");
    await Deno.writeTextFile(`${folder}/known_hosts`, `[127.0.0.1]:${port} ${hostKey}\n`);
    await Deno.copyFile(`${folder}/client.pub`, `${folder}/authorized_keys`);
    const settings = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin prohibit-password",
      ...version === 2 ? ["AcceptEnv GIT_PROTOCOL"] : [],
    ];
    await Deno.writeTextFile(`${folder}/sshd_config`, settings.map((line) => `${line}\n`).join(""));
    // What `sshd` as root wants to find.
    if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    const child = new Deno.Command(program("sshd")!, {
      args: ["-D", "-e", "-f", `${folder}/sshd_config`],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const said = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("Server listening")) {
      const { done, value } = await said.read();
      if (done) throw new Error(`sshd ended: ${text}`);
      text += value;
    }
    return new GitSsh(folder, port, { child, said });
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#said.cancel();
  }
}

async function tool(name: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(name, { args: [...args], stdin: "null" }).output();
  if (!success) throw new Error(`${name}: ${new TextDecoder().decode(stderr)}`);
}
