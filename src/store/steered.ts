/**
 * What answers are compiled from, read as fast as it can be: a million pools in seconds.
 *
 * Pools and services come in the order of the file, as rows without names, and the members of a pool as one text. A
 * file is read by a connection of its own that maps it into memory: to follow the index from a million pools to their members
 * costs three times as much when every page is asked of the kernel. The mapping goes with the connection.
 *
 * @module
 */
import type { SteeredMember, SteeredPool, SteeredService } from "../config/desired.ts";
import type { Algorithm, HealthCheck, OnAllDown } from "../config/model.ts";
import { Database } from "./database.ts";

/** More than any file that fits the memory of a node; SQLite maps what there is. */
const MAPPED_BYTES_MAX = 16 * 2 ** 30;

const POOLS = `
  SELECT id, algorithm, max_answers, on_all_down, fallback_pool_id,
    (SELECT group_concat(
        ip_address || ' ' || port || ' ' || weight || ' ' || priority || ' ' || enabled, ',' ORDER BY seq)
      FROM members WHERE pool_id = pools.id),
    EXISTS (SELECT 1 FROM health_checks WHERE pool_id = pools.id)
  FROM pools ORDER BY rowid`;

/** The columns of `POOLS`. */
type PoolColumns = readonly [
  id: string,
  algorithm: Algorithm,
  maxAnswers: number,
  onAllDown: OnAllDown,
  fallbackPoolId: string | null,
  members: string | null,
  isChecked: number,
];

/** Every pool. The path is the file's, or `null` to read by the store's own connection. */
export function* readPools(
  { path, own, checkOf }: {
    readonly path: string | null;
    readonly own: Database;
    readonly checkOf: (poolId: string) => HealthCheck | null;
  },
): Generator<SteeredPool> {
  using reader = openReader(path, own);
  for (const row of reader.database.rows<PoolColumns>(POOLS)) {
    const [id, algorithm, maxAnswers, onAllDown, fallbackPoolId, members, isChecked] = row;
    yield {
      id,
      algorithm,
      maxAnswers,
      onAllDown,
      fallbackPoolId,
      members: members === null ? [] : members.split(",").map(readMember),
      healthCheck: isChecked === 1 ? checkOf(id) : null,
    };
  }
}

/** Every service. */
export function* readServices(
  { path, own }: { readonly path: string | null; readonly own: Database },
): Generator<SteeredService> {
  using reader = openReader(path, own);
  const rows = reader.database.rows<readonly [domain: string, poolId: string | null, ttl: number]>(
    "SELECT domain, pool_id, ttl FROM services ORDER BY rowid",
  );
  for (const [domain, poolId, ttl] of rows) yield { domain, poolId, ttl };
}

function readMember(text: string): SteeredMember {
  const [ipAddress, port, weight, priority, enabled] = text.split(" ");
  return {
    ipAddress: ipAddress!,
    port: Number(port),
    weight: Number(weight),
    priority: Number(priority),
    enabled: enabled === "1",
  };
}

function openReader(path: string | null, own: Database): Disposable & { readonly database: Database } {
  if (path === null) return { database: own, [Symbol.dispose]: () => {} };
  const database = new Database(path, { readOnly: true });
  database.exec(`PRAGMA mmap_size = ${MAPPED_BYTES_MAX}`);
  return { database, [Symbol.dispose]: () => database.close() };
}
