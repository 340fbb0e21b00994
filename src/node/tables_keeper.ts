/**
 * Keeps a large node's tables in a file beside its database, so that the next start reads them instead of the model.
 *
 * They are a help and nothing else: a file that is gone, that can't be read or that belongs to another state is passed
 * over, and the tables are made again.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import type { Settings } from "../settings/settings.ts";
import { readKept, writeKept } from "../snapshot/kept_file.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { VERSION } from "../version.ts";
import type { TablesKeeper } from "./publisher.ts";

/** Services from which on it is quicker to read a file of tables than the database. */
export const KEEP_SERVICES_MIN = 20_000;

/** What a keeper goes by. */
export interface TablesKeeperOptions {
  /** The model of the tables; they lie beside its file. */
  readonly store: Store;
  /** Those that the tables are made with. */
  readonly settings: () => Pick<Settings, "dns" | "fallback">;
  /** Hears of files that are passed over. */
  readonly log: Logger;
}

/** The keeper of a node's tables; `null` = its database is no file that may be written. */
export function keeperOf({ store, settings, log }: TablesKeeperOptions): TablesKeeper | null {
  if (store.readOnly || store.path === ":memory:") return null;
  const path = `${store.path}.tables`;
  const fingerprintOf = (generation: number) => fingerprint(store, settings(), generation);
  return {
    load: () => {
      if (store.services.count() < KEEP_SERVICES_MIN) return null;
      try {
        const kept = readKept(path, fingerprintOf);
        if (!kept && existsSync(path)) {
          log.info("The tables of the last run aren't valid any more", { file: path });
        }
        return kept;
      } catch (error) {
        // They only make the start quicker.
        log.warn("Cannot read the tables of the last run; writing them again", { file: path, error });
        return null;
      }
    },
    *save(tables) {
      if (tables.names.count >= KEEP_SERVICES_MIN) {
        yield* writeKept(path, tables, fingerprintOf(tables.generation));
      }
    },
  };
}

/**
 * Stands for the settings that tables depend on, and for the commit that they hold: a database that was restored from a
 * backup has another commit of that number, or none.
 */
function fingerprint(
  store: Store,
  { dns, fallback }: Pick<Settings, "dns" | "fallback">,
  generation: number,
): string {
  const { domain, zones, nameservers, ttl } = dns;
  const commit = store.history.get(generation);
  const parts = [VERSION, domain, zones, nameservers, ttl, fallback, commit];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
