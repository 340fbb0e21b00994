/**
 * Disks that are full, or mounted for reading only, on a machine of its own.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { ROOT } from "../../scripts/process.ts";
import { systemClock } from "../../src/clock.ts";
import type { Intent } from "../../src/tui/messages.ts";
import { FileUnusable, StoreDesk } from "../../src/tui/store_desk.ts";
import { program, testWith } from "../programs.ts";
import { fill } from "./store_fixture.ts";

testWith(
  ["bash", "unshare"],
  "a full disk and one for reading only are told from each other, with what to do; what is there can be read",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const script = `
        cd '${folder}' && mkdir disk && mount -t tmpfs -o size=4m none disk
        '${Deno.execPath()}' run -A --quiet --no-check --unstable-net '${ROOT}/tests/tui/bad_disk_test.ts' disk
      `;
      const { stdout, stderr } = await new Deno.Command(program("unshare")!, {
        args: ["-rm", program("bash")!, "-c", script],
      }).output();
      deepEqual(
        new TextDecoder().decode(stdout).trim().split("\n"),
        [
          "full: failed The disk of disk/node.db is full; nothing was written: make room and save again",
          "full: 1 pools",
          "room: done",
          "read only: disk/node.db can't be opened: look whether its folder is there, belongs to this user, and isn't mounted for reading only",
        ],
        new TextDecoder().decode(stderr),
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

/** What the test has run on that machine. */
async function onDisk(disk: string): Promise<void> {
  const path = `${disk}/node.db`;
  fill(path, { pools: { web: [] } });
  const desk = new StoreDesk({ path, author: "ada" }, systemClock);
  const say = async (when: string) => {
    const intent: Intent = { kind: "pool", id: null, revision: null, values: { name: "new" } };
    const terms = { isPreview: false, force: false, reason: "" };
    const answer = await desk.answer({ kind: "change", intent, terms });
    console.log(`${when}: ${answer.kind}${answer.kind === "failed" ? ` ${answer.message}` : ""}`);
  };
  const count = async (when: string) => {
    const request = { filter: "", from: { kind: "start" }, limit: 10 } as const;
    const answer = await desk.answer({ kind: "pools", request });
    console.log(`${when}: ${answer.kind === "pools" ? answer.listing.total : JSON.stringify(answer)} pools`);
  };
  fillDisk(`${disk}/filled`);
  await say("full");
  await count("full");
  Deno.removeSync(`${disk}/filled`);
  await say("room");
  desk[Symbol.dispose]();
  const { stderr } = new Deno.Command("mount", { args: ["-o", "remount,ro", disk] }).outputSync();
  console.error(new TextDecoder().decode(stderr));
  try {
    new StoreDesk({ path, author: "ada" }, systemClock)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof FileUnusable)) throw error;
    console.log(`read only: ${error.message}`);
  }
}

/** To the last byte. */
function fillDisk(file: string): void {
  const block = new Uint8Array(4_096);
  using filled = Deno.openSync(file, { write: true, create: true });
  try {
    for (;;) filled.writeSync(block);
  } catch (error) {
    if (!/space/i.test(String(error))) throw error;
  }
}

if (import.meta.main && Deno.args.length > 0) await onDisk(Deno.args[0]!);
