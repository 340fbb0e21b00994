/**
 * Which commit of Git is applied is written with the model, and what differs from it is what was changed since.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { type Applied, ChangeRefused, type Edit } from "../../src/change/edit.ts";
import { NOTHING_FORESEEN } from "../../src/change/guard.ts";
import { GitState } from "../../src/change/git_state.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { Folder } from "../store/folder.ts";
import { createPool, createService, id, ORIGIN, serviceFields } from "./samples.ts";

const GIT = {
  repository: "https://git.example.org/dns.git",
  branch: "main",
  pathPrefix: "",
  signer: "Alice <alice@example.org>",
  fingerprint: "A".repeat(40),
};

function world(store: Store) {
  const changes = new Changes({ store, clock: new ManualClock() });
  const apply = (text: string, sha: string, dryRun = false): Promise<Applied> =>
    changes.apply(new Blob([text]).stream(), {
      file: "commit",
      format: "ndjson",
      origin: { via: "git", by: GIT.signer, reason: `commit ${sha}`, git: { ...GIT, sha } },
      dryRun,
      ifGeneration: null,
      signal: new AbortController().signal,
    });
  return { changes, apply, state: new GitState(store) };
}

const WEB = '{"pool": {"name": "web"}}\n';

Deno.test("a commit is known as applied when the model is made of it, and not otherwise", async () => {
  using store = Store.memory();
  const { apply, changes, state } = world(store);
  assert.equal(state.applied(), null);
  await apply(WEB, "1", true);
  assert.equal(state.applied(), null);
  assert.equal((await apply('{"pool": {"name": ""}}\n', "1")).kind, "invalid");
  assert.equal(state.applied(), null);

  await apply(WEB, "1");
  const { at, ...applied } = state.applied()!;
  assert.deepEqual(applied, { ...GIT, sha: "1", generation: 1 });
  // Nothing differs: the commit is applied all the same.
  await apply(WEB, "2");
  assert.deepEqual([state.applied()!.sha, state.applied()!.generation, store.generation()], ["2", 1, 1]);

  changes.guardBy({
    examine: () => ({
      ...NOTHING_FORESEEN,
      refusals: [{ guard: "moved-share", message: "too much", names: [] }],
    }),
    portable: () => null,
  });
  await assert.rejects(() => apply('{"pool": {"name": "spare"}}\n', "3"), ChangeRefused);
  assert.deepEqual([state.applied()!.sha, store.generation()], ["2", 1]);
  assert.ok(at > 0);
});

Deno.test("a large model on a thread of its own is known as applied in the same way", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("node.db"));
  const { apply, changes, state } = world(store);
  const lines = Array.from({ length: 2_000 }, (_, i) => `{"service": {"domain": "s${i}.example.org"}}\n`);
  await apply(lines.join(""), "1");
  await changes.idle();
  assert.deepEqual([state.applied()!.sha, state.applied()!.generation, store.generation()], ["1", 1, 1]);
});

Deno.test("drift is what was changed since by another way, deletions included; what was changed back is none", async () => {
  using store = Store.memory();
  const { apply, changes, state } = world(store);
  const drift = () => state.drift().changes.map(({ kind, name, action }) => `${kind} ${name} ${action}`);
  changes.commit([createPool(7, { name: "before" })], ORIGIN);
  assert.deepEqual(state.drift().count, 0);
  await apply(`${WEB}{"service": {"domain": "www.example.org", "pool": "web"}}\n`, "1");
  assert.deepEqual(drift(), []);
  const { id: web } = store.pools.byName("web")!;
  const service = store.model().services[0]!.id;
  const edits: Edit[] = [{ kind: "deleteService", id: service }, createPool(9, { name: "spare" })];
  changes.commit(edits, ORIGIN);
  assert.deepEqual(drift(), ["service www.example.org deleted", "pool spare created"]);
  changes.commit([{ kind: "deletePool", id: id(9) }], ORIGIN);
  assert.deepEqual(drift(), ["service www.example.org deleted"]);
  const fields = serviceFields({ domain: "www.example.org", poolId: web });
  changes.commit([{ kind: "createService", id: service, fields }], ORIGIN);
  assert.deepEqual(drift(), []);
  changes.commit([createService(8, { domain: "new.example.org" })], ORIGIN);
  await apply(WEB, "2");
  assert.deepEqual([drift(), state.applied()!.sha], [[], "2"]);
});

Deno.test("where the history doesn't reach back to the commit, drift is told of without its objects", async () => {
  using store = Store.memory();
  const { apply, changes, state } = world(store);
  await apply(WEB, "1");
  changes.use({ keep: 1, maxBytes: 1 << 20 });
  for (let i = 0; i < 3; i++) changes.commit([createPool(20 + i, { name: `p${i}` })], ORIGIN);
  assert.deepEqual(state.drift(), { count: 1, isMore: true, changes: [] });
});
