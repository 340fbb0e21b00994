/**
 * The store of a repository over its life: it never exceeds its bounds, survives whatever is done to its folder, and repositories that are made
 * to harm get their verdict.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { BOUNDS } from "../../src/gitops/repository.ts";
import { ATTACK_NAMES, hostileRepositories, type HostileRow } from "../prove/gitops/hostile.ts";
import { readHere } from "../prove/gitops/reader.ts";
import { testWith } from "../programs.ts";
import { GitFixture, GitHttps } from "./git_fixture.ts";
import { contents, failure, open, type OpenTerms, signal } from "./opened.ts";

testWith(
  ["git"],
  "repositories that are made to harm are refused by name, and the next good commit is read",
  async () => {
    const bounds = {
      ...BOUNDS,
      packBytes: 100_000,
      objectBytes: 100_000,
      unpackedBytes: 4_000_000,
      entries: 100,
      depth: 4,
      diskBytes: 300_000,
    };
    const rows: HostileRow[] = [];
    await hostileRepositories({
      sizes: { zeroBytes: 1_000_000, endlessBytes: 1e9, files: 120, levels: 8, bounds },
      only: "",
      isBrief: true,
      read: readHere,
      onRow: (row) => rows.push(row),
    });
    for (const { attack, expected, reading, isRight, after } of rows) {
      ok(isRight, `${attack}: ${reading.reason} ${reading.message}, expected ${expected}`);
      equal(after.reason, null, `${attack}, then the good commit: ${after.message}`);
      ok(reading.diskBytes <= bounds.diskBytes && after.diskBytes <= bounds.diskBytes, attack);
    }
    equal(rows.length, ATTACK_NAMES.length);
  },
);

/** Bytes that nothing makes smaller. */
function noise(bytes: number): string {
  return Array.from({ length: Math.ceil(bytes / 32) }, () => crypto.randomUUID().replaceAll("-", "")).join("")
    .slice(0, bytes);
}

function filesIn(folder: string): { name: string; size: number }[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => ({
    name,
    size: Deno.statSync(`${folder}/${name}`).size,
  }));
}

testWith(["git"], "the store is only for us, and never larger than its bound", async () => {
  await using git = await GitFixture.create();
  const folder = `${git.folder}/store`;
  const bounds = { packBytes: 40_000, diskBytes: 120_000 };
  await using repository = open({ url: git.path, folder, bounds });
  let known: string | null = null;
  let renewals = 0;
  for (let round = 0; round < 12; round++) {
    // Half of it is new each time.
    const head = await git.commit({ [`${round % 2}.yaml`]: noise(16_000) });
    const before = filesIn(folder).length;
    await repository.fetch({ known, signal });
    if (filesIn(folder).length < before) renewals++;
    const size = filesIn(folder).reduce((sum, { size }) => sum + size, 0);
    ok(size <= bounds.diskBytes, `${size} bytes in round ${round}`);
    if (known !== null) equal(await repository.descends(head, known), "yes");
    equal(Object.keys(await contents(repository, head)).length, Math.min(round + 1, 2));
    known = head;
  }
  ok(renewals > 0);
  equal(Deno.statSync(folder).mode! & 0o777, 0o700);
  ok(
    [...Deno.readDirSync(folder)].every(({ name }) =>
      (Deno.statSync(`${folder}/${name}`).mode! & 0o077) === 0
    ),
  );
});

testWith(["git"], "whatever is done to the store, the next fetch makes it good", async () => {
  await using git = await GitFixture.create();
  const head = await git.commit({ "a.yaml": noise(2_000), "b.yaml": "b" });
  const folder = `${git.folder}/store`;
  const read = async (url = git.path) => {
    await using repository = open({ url, folder });
    await repository.fetch({ known: null, signal });
    return Object.keys(await contents(repository, head));
  };
  deepEqual(await read(), ["a.yaml", "b.yaml"]);
  const whole = new Map(filesIn(folder).map(({ name }) => [name, Deno.readFileSync(`${folder}/${name}`)]));
  const put = (files: Iterable<readonly [string, Uint8Array]>) => {
    for (const { name } of filesIn(folder)) Deno.removeSync(`${folder}/${name}`);
    for (const [name, bytes] of files) Deno.writeFileSync(`${folder}/${name}`, bytes);
  };
  // As a process leaves it that is killed between any two writes, or within one.
  for (const [name, bytes] of whole) {
    put([...whole].filter(([each]) => each !== name));
    deepEqual(await read(), ["a.yaml", "b.yaml"], `without ${name}`);
    put([...whole, [name, bytes.subarray(0, bytes.length / 2)]]);
    deepEqual(await read(), ["a.yaml", "b.yaml"], `half of ${name}`);
    put([...whole, [`${name}.new`, bytes.subarray(0, 10)], ["incoming", new Uint8Array(1 << 16)]]);
    deepEqual(await read(), ["a.yaml", "b.yaml"], `${name}.new`);
    deepEqual(filesIn(folder).map(({ name }) => name).sort(), [...whole.keys()].sort());
  }
  // A pack whose bytes have changed since is noticed where it is read, and fetched again.
  put(
    [...whole].map(([name, bytes]) => [name, name.endsWith(".pack") ? bytes.map((byte) => byte ^ 1) : bytes]),
  );
  await using repository = open({ url: git.path, folder });
  await rejects(
    repository.fetch({ known: null, signal }).then(() => contents(repository, head)),
    failure("damaged", /store of the repository is damaged: it is fetched again/),
  );
  await repository.fetch({ known: null, signal });
  deepEqual(Object.keys(await contents(repository, head)), ["a.yaml", "b.yaml"]);
  // What is of another repository isn't taken for this one's.
  await using other = await GitFixture.create();
  await other.commit({ "c.yaml": "c" });
  await rejects(read(other.path), failure("missing", /isn't in the store/));
});

testWith(
  ["git"],
  "history that can't be reached within the bounds leaves it open, and the files are there",
  async () => {
    await using git = await GitFixture.create();
    const first = await git.commit({ "a.yaml": "a" });
    let head = first;
    for (let round = 0; round < 6; round++) head = await git.commit({ "a.yaml": noise(20_000) });
    // By its path files are left out of history; a server that can't do that sends more than is allowed.
    await using server = await GitHttps.serve(git.folder);
    const ways: readonly OpenTerms[] = [
      { url: git.path, folder: `${git.folder}/by-path`, bounds: { commits: 3 } },
      { url: `${server.url}/dns.git`, folder: `${git.folder}/by-https`, bounds: { packBytes: 30_000 } },
    ];
    for (const way of ways) {
      await using repository = open({ ...way, caCerts: [server.authority] });
      deepEqual(await repository.fetch({ known: first, signal }), { head });
      equal(await repository.descends(head, first), "unknown");
      equal((await contents(repository, head))["a.yaml"]?.length, 20_000);
    }
  },
);
