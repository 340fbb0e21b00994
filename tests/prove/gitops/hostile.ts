/**
 * Repositories that are made to harm whoever reads them, each as commits that a real server serves, with the verdict that each must get.
 *
 * Sizes are arguments: with small bounds small repositories make the same faults, so that the suite can try them all in seconds.
 *
 * @module
 */
import { packetLine } from "../../../src/gitops/pkt_line.ts";
import type { Bounds, RepositoryFault } from "../../../src/gitops/repository.ts";
import { GitFixture, GitHttps } from "../../gitops/git_fixture.ts";

/** How large the faults are. */
export interface HostileSizes {
  /** Of a file of zeros. */
  readonly zeroBytes: number;
  /** Of a pack that goes on and on. */
  readonly endlessBytes: number;
  readonly files: number;
  readonly levels: number;
  /** Bounds that they exceed. */
  readonly bounds: Bounds;
}

/** What reading a repository came to. */
export interface Reading {
  /** Of the error; `null` = all files were read. */
  readonly reason: RepositoryFault | null;
  readonly message: string;
  readonly tookMs: number;
  /** By how much the memory of the reader grew at most; `null` = not measured. */
  readonly grewBytes: number | null;
  /** Bytes in the folder of the store. */
  readonly diskBytes: number;
}

/** Fetches a branch into a folder and reads all its files. */
export type Reader = (terms: {
  readonly url: string;
  readonly caCert: string;
  readonly folder: string;
  readonly bounds: Bounds;
}) => Promise<Reading>;

/** One repository, read in one way. */
export interface HostileRow {
  readonly attack: string;
  readonly expected: string;
  readonly reading: Reading;
  /** Whether the verdict is the right one and says what it must. */
  readonly isRight: boolean;
  /** The reading of the next good commit into the same folder. */
  readonly after: Reading;
}

interface Attack {
  readonly name: string;
  readonly reason: RepositoryFault;
  /** What the message must say: where, and by which bound. */
  readonly says: RegExp;
  /** Commits it to `main`. */
  make(git: GitFixture, sizes: HostileSizes): Promise<unknown>;
  /** Answers in place of Git. */
  instead?(request: Request, sizes: HostileSizes): Promise<Response | null>;
}

/** A folder `sites` with one entry. */
function oneEntry(
  name: string,
  { mode = "100644", entry, says }: { mode?: string; entry: string | Uint8Array; says: RegExp },
): Attack {
  return {
    name,
    says,
    reason: "name",
    async make(git) {
      const id = await contentOf(git, mode);
      const sites = await git.tree([{ mode, name: entry, id }]);
      await git.commitTree(await git.tree([{ mode: "40000", name: "sites", id: sites }]));
    },
  };
}

function contentOf(git: GitFixture, mode: string): Promise<string> {
  if (mode === "160000") return Promise.resolve("1".repeat(40));
  return mode === "40000" ? git.tree([]) : git.blob("../../etc/passwd");
}

const ATTACKS: readonly Attack[] = [
  {
    name: "a pack without end",
    reason: "bound",
    says: /more than \d+ bytes in one fetch \(packBytes\)/,
    make: (git) => git.commit({ "a.yaml": "a" }),
    instead: async (request, { endlessBytes }) =>
      (await request.clone().text()).includes("command=fetch\n") ? endlessPack(endlessBytes) : null,
  },
  {
    name: "a file of zeros",
    reason: "bound",
    says: /"zeros" has more than \d+ bytes \(objectBytes\)/,
    async make(git, { zeroBytes }) {
      const id = await git.zeros(zeroBytes);
      await git.commitTree(await git.tree([{ mode: "100644", name: "zeros", id }]));
    },
  },
  {
    name: "too many files",
    reason: "bound",
    says: /"f\d+" is one more than the \d+ files and folders that are read \(entries\)/,
    make: (git, { files }) =>
      git.commit(
        Object.fromEntries(Array.from({ length: files }, (_, index) => [`f${index}`, String(index)])),
      ),
  },
  {
    name: "folders in folders",
    reason: "bound",
    says: /"d\/d\/d.*" is more than \d+ folders deep \(depth\)/,
    make: (git, { levels }) => git.commit({ [`${"d/".repeat(levels)}x`]: "x" }),
  },
  {
    name: "folders that hold each other ten times",
    reason: "bound",
    says: /"d0\/d0\/.*" is (?:one more than the \d+ files and folders|more than \d+ folders deep)/,
    async make(git) {
      let id = await git.blob("x");
      let mode = "100644";
      for (let level = 0; level < 10; level++, mode = "40000") {
        const below = id;
        id = await git.tree(
          Array.from({ length: 10 }, (_, index) => ({ mode, name: `d${index}`, id: below })),
        );
      }
      await git.commitTree(id);
    },
  },
  {
    name: "a pointer of Git LFS",
    reason: "name",
    says: /"large.yaml" is a pointer of Git LFS/,
    make: (git) =>
      git.commit({
        "large.yaml": `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 9\n`,
      }),
  },
  oneEntry("..", { entry: "..", says: /"sites\/\.\." has a name that no file can have/ }),
  oneEntry("../x", { entry: "../x", says: /"sites\/\.\.\/x" has a slash in its name/ }),
  oneEntry(".git", { mode: "40000", entry: ".git", says: /"sites\/\.git" has the name of Git's own folder/ }),
  oneEntry("a line end", { entry: "a\nb", says: /"sites\/a\\nb" has a control character in its name/ }),
  oneEntry("no UTF-8", { entry: new Uint8Array([0x61, 0xff]), says: /has a name that isn't UTF-8/ }),
  oneEntry("a symbolic link", { mode: "120000", entry: "l", says: /"sites\/l" is a symbolic link/ }),
  oneEntry("a submodule", { mode: "160000", entry: "m", says: /"sites\/m" is a submodule/ }),
  {
    name: "a name with a NUL",
    // What is after it counts as the id, and what is left as the next entry: a server may stumble at that itself.
    reason: "damaged",
    says: /The folder "" of the commit is damaged|The Git server says: .*corrupt/,
    async make(git) {
      const id = await git.blob("x");
      await git.commitTree(await git.tree([{ mode: "100644", name: "a\0b", id }]));
    },
  },
];

/** Names of all attacks. */
export const ATTACK_NAMES: readonly string[] = ATTACKS.map(({ name }) => name);

/**
 * Makes each repository, has it read over HTTPS and by its path, and then the next good commit into the same folder.
 *
 * @param only those attacks of whose names this is a part
 * @param isBrief reads each in one way, by turns
 * @param onRow told of each as it comes
 */
export async function hostileRepositories(
  { sizes, only, isBrief, read, onRow }: {
    readonly sizes: HostileSizes;
    readonly only: string;
    readonly isBrief: boolean;
    readonly read: Reader;
    readonly onRow: (row: HostileRow) => void;
  },
): Promise<void> {
  await using git = await GitFixture.create();
  let instead: Attack["instead"];
  await using server = await GitHttps.serve(git.folder, {
    instead: (request) => instead?.(request, sizes) ?? null,
  });
  const good = await git.commit({ "good.yaml": "pools: []\n" });
  const [byPath, byHttps] = [git.path, `${server.url}/dns.git`];
  for (const [index, attack] of ATTACKS.filter(({ name }) => name.includes(only)).entries()) {
    await git.git(["update-ref", "-d", "refs/heads/main"]);
    await attack.make(git, sizes);
    const hostile = await git.git(["rev-parse", "main"]);
    const ways = isBrief ? [index % 2 === 0 ? byHttps : byPath] : [byHttps, byPath];
    for (const url of attack.instead === undefined ? ways : [byHttps]) {
      const folder = `${git.folder}/store-${crypto.randomUUID()}`;
      const terms = { url, caCert: server.authority, folder, bounds: sizes.bounds };
      instead = attack.instead;
      await git.git(["update-ref", "refs/heads/main", hostile]);
      const reading = await read(terms);
      instead = undefined;
      await git.git(["update-ref", "refs/heads/main", good]);
      const after = await read(terms);
      onRow({
        attack: `${attack.name}, ${url === byHttps ? "over HTTPS" : "by its path"}`,
        expected: `${attack.reason}: ${attack.says.source}`,
        reading,
        isRight: reading.reason === attack.reason && attack.says.test(reading.message),
        after,
      });
    }
  }
}

/** An answer that says that it is a pack and goes on. */
function endlessPack(bytes: number): Response {
  const band = new Uint8Array(65_000).fill(1);
  const encoder = new TextEncoder();
  const packet = new Uint8Array([
    ...encoder.encode((band.length + 4).toString(16).padStart(4, "0")),
    ...band,
  ]);
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(packetLine("packfile"))),
    pull(controller) {
      if (sent >= bytes) return controller.close();
      sent += packet.length;
      controller.enqueue(packet);
    },
  });
  return new Response(body, { headers: { "content-type": "application/x-git-upload-pack-result" } });
}
