/**
 * Talking to a service manager that is a socket of the test.
 *
 * @module
 */
import assert from "node:assert/strict";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { feedWatchdog, notify } from "../../src/node/systemd.ts";
import { ServiceManager } from "../service_manager.ts";

/** Quick: a sign of life is due every 20 ms. */
const QUICK = { WATCHDOG_USEC: "40000" };
const onError = (error: unknown) => assert.fail(String(error));

Deno.test("a state is told; nothing is where no manager asked for it", async () => {
  await using manager = await ServiceManager.start();
  await notify(undefined, "READY=1");
  await notify("@abstract", "READY=1");
  await notify(manager.path, "READY=1");
  assert.equal(await manager.next(), "READY=1");
});

Deno.test("signs of life go on for as long as the process is well, and go on again when it is again", async () => {
  await using manager = await ServiceManager.start();
  let isWell = true;
  let looks = 0;
  using _fed = await feedWatchdog({
    env: { ...QUICK, NOTIFY_SOCKET: manager.path },
    isWell: () => {
      looks++;
      return isWell;
    },
    onError,
  });
  for (let i = 0; i < 3; i++) assert.equal(await manager.next(), "WATCHDOG=1");
  isWell = false;
  await notify(manager.path, "STATUS=unwell");
  while (await manager.next() === "WATCHDOG=1"); // one may have been sent just before
  const before = looks;
  while (looks < before + 10) await turnEventLoop();
  await notify(manager.path, "STATUS=still unwell");
  assert.equal(await manager.next(), "STATUS=still unwell");
  isWell = true;
  assert.equal(await manager.next(), "WATCHDOG=1");
});

Deno.test("signs of life need no file once they have begun", async () => {
  await using manager = await ServiceManager.start();
  const made: string[] = [];
  using _watched = patched(Deno, "makeTempDir", (make) => async (options) => {
    const folder = await make(options);
    made.push(folder);
    return folder;
  });
  using _fed = await feedWatchdog({
    env: { ...QUICK, NOTIFY_SOCKET: manager.path },
    isWell: () => true,
    onError,
  });
  for (let i = 0; i < 5; i++) await manager.next();
  assert.equal(made.length, 1);
  await assert.rejects(Deno.stat(made[0]!), Deno.errors.NotFound);
});

for (
  const [what, env] of Object.entries({
    "no time is given": {},
    "the time is nonsense": { WATCHDOG_USEC: "soon" },
    "the time is none": { WATCHDOG_USEC: "0" },
    "another process is meant": { ...QUICK, WATCHDOG_PID: "1" },
  })
) {
  Deno.test(`no sign of life is sent where ${what}`, async () => {
    await using manager = await ServiceManager.start();
    let looks = 0;
    using _fed = await feedWatchdog({
      env: { ...env, NOTIFY_SOCKET: manager.path },
      isWell: () => ++looks > 0,
      onError,
    });
    await notify(manager.path, "READY=1");
    assert.equal(await manager.next(), "READY=1");
    assert.equal(looks, 0);
  });
}

/** Puts another function in the place of one, until it is disposed of. */
function patched<Name extends "makeTempDir">(
  on: Pick<typeof Deno, Name>,
  name: Name,
  make: (real: typeof Deno[Name]) => typeof Deno[Name],
): Disposable {
  const real = on[name];
  on[name] = make(real);
  return { [Symbol.dispose]: () => on[name] = real };
}
