/**
 * Unix sockets that hand descriptors over.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  closeDescriptors,
  connectLocally,
  listenLocally,
  type LocalConnection,
} from "../../src/sockets/local_socket.ts";
import { Folder } from "../store/folder.ts";

const SOON_MS = 60_000;
const linux = { ignore: Deno.build.os !== "linux" };

async function pair(use: (near: LocalConnection, far: LocalConnection, path: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  {
    await using listener = listenLocally(path);
    await using near = connectLocally(path);
    await using far = (await listener.accept())!;
    await use(near, far, path);
  }
  await Deno.remove(folder, { recursive: true });
}

Deno.test({
  ...linux,
  name: "a descriptor comes along with the bytes, open, and each side knows the other's process and user",
  fn: () =>
    pair(async (near, far, path) => {
      using folder = new Folder();
      using file = Deno.openSync(folder.file("file"), { create: true, write: true });
      await file.write(new TextEncoder().encode("what is handed over"));
      const names = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
      const fd = names.find((each) => linkOf(each).endsWith("/file"))!;
      const untilMs = performance.now() + SOON_MS;
      await near.send(new TextEncoder().encode("hello"), { descriptors: [fd], untilMs });
      const { bytes, descriptors } = (await far.receive(untilMs))!;
      assert.equal(new TextDecoder().decode(bytes), "hello");
      assert.equal(descriptors.length, 1);
      assert.equal(linkOf(descriptors[0]!), linkOf(fd));
      closeDescriptors(descriptors);
      assert.deepEqual(far.peer, { pid: Deno.pid, uid: Deno.uid() });
      assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    }),
});

function linkOf(fd: number): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

Deno.test({
  ...linux,
  name: "a megabyte comes whole through a socket that is full again and again",
  fn: () =>
    pair(async (near, far) => {
      const untilMs = performance.now() + SOON_MS;
      const sent = near.send(new Uint8Array(1 << 20).fill(7), { untilMs });
      let size = 0;
      while (size < 1 << 20) size += (await far.receive(untilMs))!.bytes.length;
      await sent;
      assert.equal(size, 1 << 20);
    }),
});

Deno.test({
  ...linux,
  name: "what never comes is given up in time, and an end is told at once",
  fn: () =>
    pair(async (near, far) => {
      await assert.rejects(far.receive(performance.now() + 20), Deno.errors.TimedOut);
      const waiting = far.receive(performance.now() + SOON_MS);
      await near[Symbol.asyncDispose]();
      assert.equal(await waiting, null);
      await assert.rejects(
        far.send(new Uint8Array(1), { untilMs: performance.now() + SOON_MS }),
        Deno.errors.BrokenPipe,
      );
    }),
});

Deno.test({
  ...linux,
  name: "closing ends whoever waits on this side, for connections and for what they say",
  fn: () =>
    pair(async (_, far, path) => {
      const listener = listenLocally(`${path}.other`);
      const accepting = listener.accept();
      const receiving = far.receive(performance.now() + SOON_MS);
      await listener[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
      assert.equal(await accepting, null);
      assert.equal(await receiving, null);
    }),
});

Deno.test({
  ...linux,
  name: "a path without a file, one that a crash left behind and one that is too long are told apart",
  fn: () =>
    pair(async (_near, _far, path) => {
      assert.throws(() => connectLocally(`${path}.none`), Deno.errors.NotFound);
      await listenLocally(`${path}.left`)[Symbol.asyncDispose]();
      assert.throws(() => connectLocally(`${path}.left`), Deno.errors.ConnectionRefused);
      assert.throws(() => listenLocally(`${path}${"x".repeat(108)}`), RangeError);
    }),
});

Deno.test({
  ...linux,
  name: "the C library is loaded once for all sockets that are open, and again when none was",
  fn: async () => {
    const { dlopen } = Deno;
    let loads = 0;
    Reflect.set(Deno, "dlopen", (...args: Parameters<typeof dlopen>) => {
      loads++;
      return dlopen(...args);
    });
    try {
      await pair(async (near, _far, path) => {
        assert.equal(loads, 1);
        await near[Symbol.asyncDispose](); // the others go on with it
        await using _another = connectLocally(path);
        assert.equal(loads, 1);
      });
      await pair(() => Promise.resolve());
      assert.equal(loads, 2);
    } finally {
      Reflect.set(Deno, "dlopen", dlopen);
    }
  },
});
