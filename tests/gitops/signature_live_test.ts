/**
 * The objects that are kept, made again by the programs of this machine, and their verdicts.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { readSigners } from "../../src/gitops/signers.ts";
import { testWith } from "../programs.ts";
import { none } from "../source_text.ts";
import { keptObjects, makeObjects } from "./signed_objects.ts";
import { differences } from "./verdicts.ts";

testWith(
  ["git", "gpg", "ssh-keygen"],
  "verdicts are those of the git, gpg and ssh-keygen of this machine",
  async () => {
    const made = await makeObjects();
    deepEqual(made.objects.map(({ name }) => name), keptObjects().objects.map(({ name }) => name));
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/keyring`, made.keyring);
      await Deno.writeTextFile(`${folder}/signers`, made.allowedSigners);
      const by = await readSigners({
        keyring: `${folder}/keyring`,
        allowedSigners: [...made.fingerprints, `${folder}/signers`],
      });
      none(await differences(made, by));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
