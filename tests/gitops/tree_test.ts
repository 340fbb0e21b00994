/** @module Trees made by hand: names, modes and shapes that no `git add` makes. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { type GitObject, idOf } from "../../src/gitops/pack.ts";
import { BOUNDS, RepositoryError } from "../../src/gitops/repository.ts";
import { filesBelow, type TreeBounds, type TreeSource } from "../../src/gitops/tree.ts";
import { failure } from "./opened.ts";

const encoder = new TextEncoder();

/** Objects in memory. */
class Objects implements TreeSource {
  readonly hash = "sha1";
  readonly #objects = new Map<string, GitObject>();

  read(id: string, count: (bytes: number) => void): GitObject | null {
    const object = this.#objects.get(id) ?? null;
    count(object?.bytes.length ?? 0);
    return object;
  }

  lacking(what: string): RepositoryError {
    return new RepositoryError("damaged", `${what} is missing`);
  }

  put(object: GitObject): string {
    const id = idOf("sha1", object);
    this.#objects.set(id, object);
    return id;
  }

  blob(content = ""): string {
    return this.put({ kind: "blob", bytes: encoder.encode(content) });
  }

  tree(
    ...entries: readonly (readonly [mode: string, name: string | readonly number[], id: string])[]
  ): string {
    const bytes = entries.flatMap(([mode, name, id]) => [
      ...encoder.encode(`${mode} `),
      ...typeof name === "string" ? encoder.encode(name) : name,
      0,
      ...Uint8Array.fromHex(id),
    ]);
    return this.put({ kind: "tree", bytes: new Uint8Array(bytes) });
  }

  list(root: string, prefix = "", bounds: Partial<TreeBounds> = {}): string[] {
    return [...filesBelow(this, { root, prefix, bounds: { ...BOUNDS, ...bounds } })].map(({ path }) => path);
  }
}

Deno.test("files come in order of their paths, from all folders below the prefix", () => {
  const objects = new Objects();
  const id = objects.blob();
  const inner = objects.tree(["100644", "x", id]);
  const root = objects.tree(
    ["100644", "a", id],
    ["100644", "b-c", id],
    ["100755", "b.yaml", id],
    ["40000", "b", inner],
    ["100664", "c", id],
    ["40000", "é d", objects.tree(["40000", "y", inner], ["100644", "z", id])],
  );
  deepEqual(objects.list(root), ["a", "b-c", "b.yaml", "b/x", "c", "é d/y/x", "é d/z"]);
  deepEqual(objects.list(root, "é d/y"), ["é d/y/x"]);
  throws(() => objects.list(root, "é d/x"), failure("missing", /no folder "é d\/x"/));
  throws(() => objects.list(root, "a"), failure("missing", /"a" is no folder/));
  throws(() => objects.list(root, ".."), failure("missing", /no folder "\.\."/));
});

Deno.test("names and modes that no file should have are refused, with the path", () => {
  const refused: readonly [mode: string, name: string | readonly number[], message: RegExp][] = [
    ["100644", "", /^"sites\/" has a name that no file can have/],
    ["100644", ".", /"sites\/\." has a name that no file can have/],
    ["100644", "..", /"sites\/\.\." has a name that no file can have/],
    ["40000", "..", /"sites\/\.\." has a name that no file can have/],
    ["40000", ".git", /"sites\/\.git" has the name of Git's own folder/],
    ["100644", ".GIT", /Git's own folder/],
    ["100644", ".git. .", /Git's own folder/],
    ["100644", "git~1", /Git's own folder/],
    ["100644", "a/b", /"sites\/a\/b" has a slash in its name/],
    ["100644", "../../etc/passwd", /has a slash in its name/],
    ["100644", "a\nb", /^"sites\/a\\nb" has a control character in its name$/],
    ["100644", "a\u0007", /"sites\/a\\u0007" has a control character/],
    ["100644", "a\u009b1m", /"sites\/a\\u009b1m" has a control character/],
    ["100644", [0x61, 0xff], /has a name that isn't UTF-8/],
    ["100644", "x".repeat(256), /name of more than 255 bytes/],
    ["120000", "link", /"sites\/link" is a symbolic link/],
    ["160000", "module", /"sites\/module" is a submodule/],
    ["100600", "x", /mode 100600, which isn't known/],
    ["20644", "x", /mode 20644, which isn't known/],
  ];
  for (const [mode, name, message] of refused) {
    const objects = new Objects();
    const root = objects.tree(["40000", "sites", objects.tree([mode, name, objects.blob()])]);
    throws(() => objects.list(root), failure("name", message), `${mode} ${name}`);
  }
});

Deno.test("a prefix that leads through a link or a submodule is refused", () => {
  const objects = new Objects();
  const root = objects.tree(["120000", "link", objects.blob("/etc")], ["160000", "module", "1".repeat(40)]);
  throws(() => objects.list(root, "link"), failure("name", /"link" is a symbolic link/));
  throws(() => objects.list(root, "link/x"), failure("name", /"link" is a symbolic link/));
  throws(() => objects.list(root, "module"), failure("name", /"module" is a submodule/));
});

Deno.test("trees that Git wouldn't write are refused", () => {
  const objects = new Objects();
  const id = objects.blob();
  const raw = (bytes: readonly number[]) => objects.put({ kind: "tree", bytes: new Uint8Array(bytes) });
  const trees = [
    objects.tree(["100644", "b", id], ["100644", "a", id]),
    objects.tree(["100644", "a", id], ["100644", "a", id]),
    objects.tree(["100644", "a", id], ["40000", "a", id]),
    // A name that ends at a NUL leaves the rest of it for the id.
    objects.tree(["100644", "a\0b", id]),
    objects.tree(["1", "a", id]),
    objects.tree(["10064x", "a", id]),
    raw([...encoder.encode("100644 a")]),
    raw([...encoder.encode("100644")]),
    raw([...encoder.encode("100644 a\0"), 1, 2, 3]),
    raw([0]),
  ];
  for (const [index, tree] of trees.entries()) {
    const root = objects.tree(["40000", "sites", tree]);
    throws(
      () => objects.list(root),
      failure("damaged", /^The folder "sites" of the commit is damaged$/),
      `tree ${index}`,
    );
  }
});

Deno.test("bounds are kept, and said with the path", async () => {
  const objects = new Objects();
  const id = objects.blob("content");
  let deep = objects.tree(["100644", "x", id]);
  for (let depth = 0; depth < 40; depth++) deep = objects.tree(["40000", "d", deep]);
  throws(() => objects.list(deep), failure("bound", /"d\/d\/.*" is more than 32 folders deep \(depth\)/));

  // Ten thousand million files in ten objects.
  let wide = objects.tree(...Array.from({ length: 10 }, (_, index) => ["100644", `f${index}`, id] as const));
  for (let level = 0; level < 9; level++) {
    const below = wide;
    wide = objects.tree(...Array.from({ length: 10 }, (_, index) => ["40000", `d${index}`, below] as const));
  }
  throws(() => objects.list(wide), failure("bound", /"d0\/.*" is one more than the 20000 files and folders/));
  throws(
    () => objects.list(wide, "", { unpackedBytes: 100 }),
    failure("bound", /unpacking beyond 400 bytes \(unpackedBytes\)/),
  );

  const root = objects.tree(["100644", "a", id], ["100644", "b", id], ["100644", "c", objects.blob(LFS)]);
  const [a, b, c] = [...filesBelow(objects, { root, prefix: "", bounds: { ...BOUNDS, fileBytes: 200 } })];
  equal(new TextDecoder().decode(await a!.read()), "content");
  equal(new TextDecoder().decode(await b!.read()), "content");
  await c!.read().then(() => ok(false), failure("name", /^"c" is a pointer of Git LFS/));
  const [d, e] = [...filesBelow(objects, { root, prefix: "", bounds: { ...BOUNDS, fileBytes: 10 } })];
  await d!.read();
  await e!.read().then(() => ok(false), failure("bound", /"b" brings all files to more than 10 bytes/));
});

const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 12345\n`;

Deno.test("what is missing, or isn't what its entry says, is said with the path", async () => {
  const objects = new Objects();
  const blob = objects.blob();
  const lost = "2".repeat(40);
  throws(() => objects.list(lost), failure("damaged", /The root folder is missing/));
  throws(() => objects.list(objects.tree(["40000", "d", blob])), failure("damaged", /"d" is missing/));
  const root = objects.tree(["100644", "f", lost]);
  const [file] = [...filesBelow(objects, { root, prefix: "", bounds: BOUNDS })];
  await file!.read().then(() => ok(false), failure("damaged", /"f" is missing/));
});
