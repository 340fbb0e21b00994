/** @module A branch fetched from a real `sshd`, and what is said when that isn't possible. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import type { RepositoryAuth } from "../../src/gitops/repository.ts";
import { testWith } from "../programs.ts";
import { GitFixture, GitSsh } from "./git_fixture.ts";
import { contents, failure, open, signal } from "./opened.ts";

testWith(
  ["git", "sshd"],
  "a branch is fetched over SSH, in both versions of the protocol",
  async () => {
    await using git = await GitFixture.create();
    for (const version of [2, 0] as const) {
      const keys = `${git.folder}/ssh${version}`;
      await using server = await GitSsh.serve(keys, { version });
      const url = `ssh://${server.user}@127.0.0.1:${server.port}${git.path}`;
      const auth = { sshKeyPath: server.keyPath, knownHostsPath: server.knownHostsPath };
      await using repository = open({ url, auth, folder: `${git.folder}/store${version}` });
      const first = await git.commit({ "a.yaml": "a" });
      deepEqual(await repository.fetch({ known: null, signal }), { head: first });
      await git.commit({ "b.yaml": "b" });
      const head = await git.commit({ "b.yaml": "b2" });
      deepEqual(await repository.fetch({ known: first, signal }), { head });
      equal(await repository.descends(head, first), "yes");
      deepEqual(await contents(repository, head), { "a.yaml": "a", "b.yaml": "b2" });
      if (version === 0) continue;

      const fetched = (change: Partial<RepositoryAuth>, path = "") => async () => {
        const folder = `${git.folder}/${crypto.randomUUID()}`;
        await using repository = open({ url: url + path, auth: { ...auth, ...change }, folder });
        await repository.fetch({ known: null, signal });
      };
      await rejects(
        fetched({ sshKeyPath: `${keys}/stranger` }),
        failure("denied", /refuses the key.*sshKeyPath/),
      );
      await rejects(
        fetched({ sshKeyPath: `${keys}/none` }),
        failure("denied", /Can't read .*none", which SSH needs/),
      );
      await Deno.writeTextFile(`${keys}/nobody`, "");
      await rejects(
        fetched({ knownHostsPath: `${keys}/nobody` }),
        failure("denied", /host key of 127\.0\.0\.1 isn't known/),
      );
      await rejects(fetched({}, "/none'; touch x"), failure("missing", /no such repository/));
    }
  },
);
