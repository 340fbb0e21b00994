/**
 * When tables are kept for the next start, and when they are passed over. With a real node: `kept_tables_test.ts`.
 *
 * @module
 */
import type { KeptTables } from "../../src/snapshot/tables.ts";
import { toEnd } from "../../src/slices.ts";
import { deepEqual, equal, match } from "node:assert/strict";
import { existsSync } from "node:fs";
import { KEEP_SERVICES_MIN, keeperOf } from "../../src/node/tables_keeper.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { World } from "../dns/world.ts";
import { TEST_SETTINGS } from "../test_node.ts";

/** Tables that claim to have so many names. */
function tablesOf(names: number): KeptTables {
  const tables = new World({ services: { "www.example.com": null } }).tables!;
  return { ...tables.keep(0), names: { count: names } };
}

/** A keeper beside a database that claims to be so large. */
async function withKeeper(
  services: number,
  test: (bed: {
    readonly keeper: NonNullable<ReturnType<typeof keeperOf>>;
    readonly path: string;
    readonly lines: readonly string[];
    use(next: Partial<Settings>): void;
  }) => void,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-keeper-" });
  try {
    using store = Store.open(`${folder}/node.db`);
    store.services.count = () => services;
    let settings: Settings = TEST_SETTINGS;
    const lines: string[] = [];
    const keeper = keeperOf({
      store,
      settings: () => settings,
      log: createLogger({
        ...{ level: "debug", format: "json", clock: new ManualClock() },
        write: (line) => lines.push(line),
      }),
    })!;
    test({
      ...{ keeper, lines, path: `${store.path}.tables` },
      use: (next) => settings = { ...TEST_SETTINGS, ...next },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("tables of a large model are there at the next start, as long as the same settings make them", () =>
  withKeeper(KEEP_SERVICES_MIN, ({ keeper, lines, path, use }) => {
    toEnd(keeper.save(tablesOf(KEEP_SERVICES_MIN)));
    equal(existsSync(path), true);
    equal(keeper.load()?.generation, 0);
    use({ api: { ...TEST_SETTINGS.api, port: 1 } });
    equal(keeper.load()?.generation, 0);
    deepEqual(lines, []);
    for (
      const other of [
        { dns: { ...TEST_SETTINGS.dns, ttl: 31 } },
        { dns: { ...TEST_SETTINGS.dns, domain: ["example.org"] } },
        { dns: { ...TEST_SETTINGS.dns, nameservers: ["ns.example.org"] } },
      ]
    ) {
      use(other);
      equal(keeper.load(), null);
      match(lines.at(-1)!, /The tables of the last run aren't valid any more/);
    }
  }));

Deno.test("tables of a smaller model aren't kept, and not looked for", () =>
  withKeeper(KEEP_SERVICES_MIN - 1, ({ keeper, lines, path }) => {
    toEnd(keeper.save(tablesOf(KEEP_SERVICES_MIN - 1)));
    equal(keeper.load(), null);
    equal(existsSync(path), false);
    deepEqual(lines, []);
  }));

Deno.test("a database that is no file, or isn't to be written, has no tables beside it", () => {
  for (const store of [Store.memory(), Store.none()]) {
    using _ = store;
    const log = createLogger({ level: "debug", format: "json", clock: new ManualClock(), write: () => {} });
    equal(keeperOf({ store, settings: () => TEST_SETTINGS, log }), null);
  }
});
