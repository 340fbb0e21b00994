/**
 * One process for one database: the lock beside it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseTaken, holderOf, lockPathOf, ProcessLock } from "../../src/replace/process_lock.ts";

const linux = { ignore: Deno.build.os !== "linux" };

Deno.test({
  ...linux,
  name: "a database is locked once, the file names the process, and is free again afterwards",
  fn: () => {
    const folder = Deno.makeTempDirSync();
    const database = `${folder}/new/pleiades.db`;
    {
      using lock = ProcessLock.take(database);
      assert(lock !== null);
      assert.equal(holderOf(database), Deno.pid);
      assert.equal(Deno.statSync(lockPathOf(database)).mode! & 0o777, 0o600);
      assert.throws(
        () => ProcessLock.take(database),
        (error) => error instanceof DatabaseTaken && error.message.includes(`process ${Deno.pid}`),
      );
    }
    ProcessLock.take(database)![Symbol.dispose]();
    Deno.removeSync(folder, { recursive: true });
  },
});

Deno.test({
  ...linux,
  name: "what a crash leaves behind is only a file: whoever comes next takes the lock",
  fn: () => {
    const folder = Deno.makeTempDirSync();
    const database = `${folder}/pleiades.db`;
    Deno.writeTextFileSync(lockPathOf(database), "1\n");
    using lock = ProcessLock.take(database);
    assert(lock !== null);
    assert.equal(holderOf(database), Deno.pid);
    Deno.removeSync(folder, { recursive: true });
  },
});

Deno.test({
  ...linux,
  name: "a lock's file that is a link is left alone, and nothing is locked",
  fn: () => {
    const folder = Deno.makeTempDirSync();
    Deno.writeTextFileSync(`${folder}/precious`, "precious");
    Deno.symlinkSync(`${folder}/precious`, lockPathOf(`${folder}/pleiades.db`));
    assert.equal(ProcessLock.take(`${folder}/pleiades.db`), null);
    assert.equal(Deno.readTextFileSync(`${folder}/precious`), "precious");
    Deno.removeSync(folder, { recursive: true });
  },
});
