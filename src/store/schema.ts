/**
 * The tables, and how a file of an older version becomes one of this version.
 *
 * `PRAGMA user_version` is the number of migrations a file has seen. A file with a higher number was written by a
 * newer program and is refused before it is opened for writing: reading its version must not touch it.
 *
 * Invariants that the tables keep by themselves: members, check and rules go with their pool; services stay and
 * lose it. `revision` is the generation at which a row last changed. References that an edit may leave dangling
 * until its commit ends are deferred. Columns have defaults, so that a row written by hand is whole.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** Steps from each version to the next; never changed once released, only added to. */
export const MIGRATIONS: readonly string[] = [
  /* 0 → 1 */ `
  CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL,
    fallback TEXT CHECK (json_valid(fallback))
  ) STRICT;
  INSERT INTO meta VALUES (1, 0, NULL);

  CREATE TABLE pools (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    algorithm TEXT NOT NULL DEFAULT 'round-robin',
    max_answers INTEGER NOT NULL DEFAULT 1 CHECK (max_answers >= 0),
    on_all_down TEXT NOT NULL DEFAULT 'all',
    fallback_pool_id TEXT REFERENCES pools(id) DEFERRABLE INITIALLY DEFERRED,
    revision INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX pools_fallback_pool_id ON pools(fallback_pool_id) WHERE fallback_pool_id IS NOT NULL;

  -- seq is the order of creation, in which a pool's members are listed and rotated.
  CREATE TABLE members (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL REFERENCES pools(id) ON DELETE CASCADE,
    ip_address TEXT NOT NULL,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    weight INTEGER NOT NULL DEFAULT 1 CHECK (weight >= 1),
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority >= 0),
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    latitude REAL,
    longitude REAL,
    revision INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pool_id, ip_address, port)
  ) STRICT;

  CREATE TABLE health_checks (
    pool_id TEXT PRIMARY KEY NOT NULL REFERENCES pools(id) ON DELETE CASCADE,
    type TEXT NOT NULL DEFAULT 'tcp',
    port INTEGER CHECK (port BETWEEN 1 AND 65535),
    interval_ms INTEGER NOT NULL DEFAULT 10000,
    timeout_ms INTEGER NOT NULL DEFAULT 2000,
    rise INTEGER NOT NULL DEFAULT 2,
    fall INTEGER NOT NULL DEFAULT 3,
    http_method TEXT NOT NULL DEFAULT 'GET',
    http_path TEXT NOT NULL DEFAULT '/',
    http_host TEXT,
    http_expected_status TEXT NOT NULL DEFAULT '200-399',
    http_contains TEXT,
    insecure_skip_verify INTEGER NOT NULL DEFAULT 0 CHECK (insecure_skip_verify IN (0, 1)),
    revision INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  CREATE TABLE geo_rules (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL REFERENCES pools(id) ON DELETE CASCADE,
    cidr TEXT,
    country TEXT,
    continent TEXT,
    member_id TEXT NOT NULL REFERENCES members(id) DEFERRABLE INITIALLY DEFERRED,
    revision INTEGER NOT NULL DEFAULT 0,
    CHECK ((cidr IS NOT NULL) + (country IS NOT NULL) + (continent IS NOT NULL) = 1)
  ) STRICT;
  CREATE INDEX geo_rules_pool_id ON geo_rules(pool_id);
  CREATE INDEX geo_rules_member_id ON geo_rules(member_id);

  -- reversed_domain (com.example.www) puts all names below one into a range: see services.ts.
  CREATE TABLE services (
    id TEXT PRIMARY KEY NOT NULL,
    domain TEXT NOT NULL UNIQUE,
    pool_id TEXT REFERENCES pools(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    ttl INTEGER NOT NULL DEFAULT 30 CHECK (ttl BETWEEN 0 AND 86400),
    ecs INTEGER NOT NULL DEFAULT 1 CHECK (ecs IN (0, 1)),
    revision INTEGER NOT NULL DEFAULT 0,
    reversed_domain TEXT
  ) STRICT;
  CREATE INDEX services_pool_id ON services(pool_id) WHERE pool_id IS NOT NULL;
  CREATE INDEX services_reversed_domain ON services(reversed_domain);

  CREATE TABLE zones (
    domain TEXT PRIMARY KEY NOT NULL,
    text TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  -- Where a zone hands names over to other servers; derived from its text when it is written.
  CREATE TABLE zone_cuts (
    zone_domain TEXT NOT NULL REFERENCES zones(domain) ON DELETE CASCADE,
    cut TEXT NOT NULL,
    PRIMARY KEY (zone_domain, cut)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE history (
    generation INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    via TEXT NOT NULL,
    "by" TEXT NOT NULL,
    reason TEXT NOT NULL
  ) STRICT;

  -- One row for each object that a generation touched; before or after is NULL where there was none.
  CREATE TABLE history_changes (
    generation INTEGER NOT NULL REFERENCES history(generation) DEFERRABLE INITIALLY DEFERRED,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (generation, kind, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE verdicts (
    target TEXT PRIMARY KEY NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('healthy', 'unhealthy', 'unknown')),
    since INTEGER,
    last_error TEXT,
    latency_ms REAL,
    checked_at INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  /* 1 → 2: steering. Tables whose constraints change are recreated, children first so that none is an orphan. */ `
  ALTER TABLE pools ADD COLUMN min_healthy ANY NOT NULL DEFAULT 0;
  ALTER TABLE pools ADD COLUMN failback TEXT NOT NULL DEFAULT 'auto';
  ALTER TABLE pools ADD COLUMN failback_delay_ms INTEGER NOT NULL DEFAULT 0 CHECK (failback_delay_ms >= 0);
  ALTER TABLE pools ADD COLUMN geofence INTEGER NOT NULL DEFAULT 0 CHECK (geofence IN (0, 1));
  ALTER TABLE pools ADD COLUMN flatten INTEGER NOT NULL DEFAULT 1 CHECK (flatten IN (0, 1));

  ALTER TABLE health_checks ADD COLUMN require ANY NOT NULL DEFAULT 'all';
  ALTER TABLE health_checks ADD COLUMN checks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(checks));

  ALTER TABLE services ADD COLUMN min_ttl INTEGER NOT NULL DEFAULT 0 CHECK (min_ttl BETWEEN 0 AND 86400);

  CREATE TABLE geo_rules_before AS SELECT * FROM geo_rules;
  DROP TABLE geo_rules;

  CREATE TABLE members_after (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL REFERENCES pools(id) ON DELETE CASCADE,
    ip_address TEXT,
    target TEXT,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    weight INTEGER NOT NULL DEFAULT 1 CHECK (weight >= 1),
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority >= 0),
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    latitude REAL,
    longitude REAL,
    region TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pool_id, ip_address, port),
    CHECK ((ip_address IS NULL) <> (target IS NULL))
  ) STRICT;
  INSERT INTO members_after
    (seq, id, pool_id, ip_address, port, weight, priority, enabled, latitude, longitude, revision)
    SELECT seq, id, pool_id, ip_address, port, weight, priority, enabled, latitude, longitude, revision
    FROM members ORDER BY seq;
  DROP TABLE members;
  ALTER TABLE members_after RENAME TO members;
  CREATE UNIQUE INDEX members_target ON members(pool_id, target, port) WHERE target IS NOT NULL;

  CREATE TABLE geo_rules (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL REFERENCES pools(id) ON DELETE CASCADE,
    cidr TEXT,
    country TEXT,
    continent TEXT,
    asn INTEGER CHECK (asn BETWEEN 1 AND 4294967295),
    member_id TEXT NOT NULL REFERENCES members(id) DEFERRABLE INITIALLY DEFERRED,
    revision INTEGER NOT NULL DEFAULT 0,
    CHECK ((cidr IS NOT NULL) + (country IS NOT NULL) + (continent IS NOT NULL) + (asn IS NOT NULL) = 1)
  ) STRICT;
  CREATE INDEX geo_rules_pool_id ON geo_rules(pool_id);
  CREATE INDEX geo_rules_member_id ON geo_rules(member_id);
  INSERT INTO geo_rules (seq, id, pool_id, cidr, country, continent, member_id, revision)
    SELECT seq, id, pool_id, cidr, country, continent, member_id, revision FROM geo_rules_before ORDER BY seq;
  DROP TABLE geo_rules_before;

  -- Members under a failback policy that are out; well_since is NULL while their checks find them down.
  CREATE TABLE standings_out (
    standing TEXT PRIMARY KEY NOT NULL,
    well_since INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  /* 2 → 3 */ `
  -- pool_id and member_id say what target says, so that an override goes with what it covers; a region's has neither.
  CREATE TABLE overrides (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL,
    pool_id TEXT REFERENCES pools(id) ON DELETE CASCADE,
    member_id TEXT REFERENCES members(id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('up', 'down', 'drain')),
    reason TEXT NOT NULL,
    owner TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL CHECK (expires_at > starts_at),
    drain_ms INTEGER NOT NULL DEFAULT 0 CHECK (drain_ms >= 0),
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX overrides_target ON overrides(target);
  CREATE INDEX overrides_pool_id ON overrides(pool_id, member_id) WHERE pool_id IS NOT NULL;
  CREATE INDEX overrides_member_id ON overrides(member_id) WHERE member_id IS NOT NULL;
  CREATE INDEX members_region ON members(region, pool_id) WHERE region <> '';
  `,
  /* 3 → 4 */ `
  CREATE INDEX members_by_target ON members(target, pool_id) WHERE target IS NOT NULL;
  -- The last addresses of members by name, a JSON array.
  CREATE TABLE resolved_names (
    target TEXT PRIMARY KEY NOT NULL,
    addresses TEXT NOT NULL CHECK (json_valid(addresses))
  ) STRICT, WITHOUT ROWID;
  `,
  /* 4 → 5 */ `
  -- bytes of what an entry holds before and after; bytes_until is their sum over all entries up to this one, those that
  -- are forgotten included, so that the size of what is kept is a difference.
  ALTER TABLE history ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE history ADD COLUMN bytes_until INTEGER NOT NULL DEFAULT 0;
  UPDATE history SET bytes = sized.bytes FROM (
    SELECT generation, sum(coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)) AS bytes
    FROM history_changes GROUP BY generation
  ) AS sized WHERE sized.generation = history.generation;
  UPDATE history SET bytes_until = summed.until FROM (
    SELECT generation, sum(bytes) OVER (ORDER BY generation) AS until FROM history
  ) AS summed WHERE summed.generation = history.generation;
`,
  /* 5 → 6 */ `
  -- by_hand counts the rows of the model that were written past the change path, whatever program wrote them; committing
  -- is 1 within the change path's own transactions, which history lists, and never in what others can see.
  ALTER TABLE meta ADD COLUMN committing INTEGER NOT NULL DEFAULT 0 CHECK (committing IN (0, 1));
  ALTER TABLE meta ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
  CREATE TRIGGER fallback_updated_by_hand AFTER UPDATE OF fallback ON meta WHEN NEW.committing = 0
    BEGIN UPDATE meta SET by_hand = by_hand + 1; END;
  ${
    ["pools", "members", "health_checks", "geo_rules", "services", "zones", "overrides"].map(countedByHand)
      .join("")
  }
`,
  /* 6 → 7 */ `
  -- What a generation did to very many objects, gzipped (history_parts.ts). Parts of a generation that is forgotten are
  -- deleted some at a time, so they may be here for longer than its entry.
  CREATE TABLE history_parts (
    generation INTEGER NOT NULL,
    part INTEGER NOT NULL CHECK (part >= 1),
    bytes BLOB NOT NULL,
    PRIMARY KEY (generation, part)
  ) STRICT;
`,
  /* 7 → 8 */ `
  -- The query sketch, by hours since 1970 (UTC). An hour that is ending is being deleted, and isn't read any more. A
  -- network is 3 bytes of an IPv4 address (/24) or 6 of an IPv6 one (/48): there is no room for a whole one.
  CREATE TABLE traffic_hours (
    hour INTEGER PRIMARY KEY,
    a INTEGER NOT NULL,
    aaaa INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    name_rows INTEGER NOT NULL,
    network_rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    ending INTEGER NOT NULL DEFAULT 0 CHECK (ending IN (0, 1))
  ) STRICT;
  CREATE TABLE traffic_names (
    hour INTEGER NOT NULL,
    name TEXT NOT NULL,
    id INTEGER NOT NULL,
    a INTEGER NOT NULL,
    aaaa INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    PRIMARY KEY (hour, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE traffic_networks (
    hour INTEGER NOT NULL,
    name_id INTEGER NOT NULL,
    network BLOB NOT NULL CHECK (length(network) IN (3, 6)),
    a INTEGER NOT NULL,
    aaaa INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    PRIMARY KEY (hour, name_id, network)
  ) STRICT, WITHOUT ROWID;
`,
  /* 8 → 9 */ `
  -- Tokens of the API, which are no part of the model. tokens_mark is another number when one is created or revoked, by
  -- whatever program; that one was used doesn't count.
  CREATE TABLE tokens (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('read', 'operate', 'write', 'admin')),
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL DEFAULT '',
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX tokens_name ON tokens(name) WHERE revoked_at IS NULL;
  ALTER TABLE meta ADD COLUMN tokens_mark INTEGER NOT NULL DEFAULT 0;
  CREATE TRIGGER tokens_inserted AFTER INSERT ON tokens
    BEGIN UPDATE meta SET tokens_mark = tokens_mark + 1; END;
  CREATE TRIGGER tokens_deleted AFTER DELETE ON tokens
    BEGIN UPDATE meta SET tokens_mark = tokens_mark + 1; END;
  CREATE TRIGGER tokens_updated AFTER UPDATE OF id, name, scope, digest, expires_at, revoked_at ON tokens
    BEGIN UPDATE meta SET tokens_mark = tokens_mark + 1; END;

  -- Changes, and attempts that were refused; count = attempts that were alike.
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    "by" TEXT NOT NULL,
    token_id TEXT,
    via TEXT NOT NULL,
    source TEXT NOT NULL,
    request TEXT NOT NULL,
    status INTEGER,
    detail TEXT NOT NULL,
    reason TEXT NOT NULL,
    generation INTEGER,
    count INTEGER NOT NULL DEFAULT 1
  ) STRICT;
  CREATE INDEX audit_outcome ON audit(outcome, id);
`,
  /* 9 → 10 */ `
  -- The last events of the node, as they are sent. No trigger counts them: nothing of the model is in here.
  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    json TEXT NOT NULL CHECK (json_valid(json))
  ) STRICT;
  -- The last event that each receiver of events has got; its key says nothing of its address.
  CREATE TABLE webhook_positions (
    receiver TEXT PRIMARY KEY NOT NULL,
    position INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`,
  /* 10 → 11 */ `
  -- How sure the sums of an hour are: over its samples, the sum of w (w - 1). Until now as if all stood for equally many.
  ALTER TABLE traffic_hours ADD COLUMN variance REAL NOT NULL DEFAULT 0;
  UPDATE traffic_hours SET variance = (a + aaaa) * ((a + aaaa) * 1.0 / samples - 1) WHERE samples > 0;
  -- Each edit of a zone or of the fallback asks for them, and there are few.
  CREATE INDEX services_without_pool ON services(domain) WHERE pool_id IS NULL;
`,
  /* 11 → 12 */ `
  -- The commit of Git that the model was made of last; written in the transaction that makes it.
  CREATE TABLE git_applied (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    path_prefix TEXT NOT NULL,
    sha TEXT NOT NULL,
    signer TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
`,
  /* 12 → 13 */ `
  -- The cluster's log as far as this node has it (log.ts): whether commits are kept for it, whether there was a model that no
  -- log knows of, at which generation commits were no longer kept, the last entry that the model has, and where the broker
  -- has that one.
  CREATE TABLE log_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    cluster TEXT NOT NULL,
    node TEXT NOT NULL,
    boot TEXT NOT NULL,
    joined INTEGER NOT NULL CHECK (joined IN (0, 1)),
    own INTEGER NOT NULL CHECK (own IN (0, 1)),
    left_at INTEGER,
    stamp INTEGER NOT NULL DEFAULT 0,
    head TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL DEFAULT '',
    sequence INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  -- Its last entries, by which a broker that lost some is given them again.
  CREATE TABLE log_entries (
    stamp INTEGER PRIMARY KEY,
    position TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    node TEXT NOT NULL,
    boot TEXT NOT NULL,
    at INTEGER NOT NULL,
    via TEXT NOT NULL,
    "by" TEXT NOT NULL,
    reason TEXT NOT NULL,
    force INTEGER NOT NULL CHECK (force IN (0, 1)),
    changes TEXT NOT NULL
  ) STRICT;
  -- What the model has and the log hasn't yet, in the order in which it was committed, and the generation of each.
  CREATE TABLE log_pending (
    place INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL,
    boot TEXT NOT NULL,
    at INTEGER NOT NULL,
    via TEXT NOT NULL,
    "by" TEXT NOT NULL,
    reason TEXT NOT NULL,
    force INTEGER NOT NULL CHECK (force IN (0, 1)),
    changes TEXT NOT NULL
  ) STRICT;
  -- Changes that no longer fitted what others had changed before them.
  CREATE TABLE log_conflicts (
    seq INTEGER PRIMARY KEY,
    found_at INTEGER NOT NULL,
    why TEXT NOT NULL,
    id TEXT NOT NULL,
    node TEXT NOT NULL,
    boot TEXT NOT NULL,
    at INTEGER NOT NULL,
    via TEXT NOT NULL,
    "by" TEXT NOT NULL,
    reason TEXT NOT NULL,
    force INTEGER NOT NULL CHECK (force IN (0, 1)),
    changes TEXT NOT NULL
  ) STRICT;
`,
  `
  -- The address of a service whose instances are members.
  ALTER TABLE pools ADD COLUMN discover TEXT;
  CREATE INDEX pools_discover ON pools (discover) WHERE discover IS NOT NULL;
`,
];

/** Triggers that count what is written by hand; a later migration that recreates the table has to recreate them. */
function countedByHand(table: string): string {
  return ["insert", "update", "delete"].map((verb) => `
  CREATE TRIGGER ${table}_${verb}_by_hand AFTER ${verb} ON ${table} WHEN (SELECT committing FROM meta) = 0
    BEGIN UPDATE meta SET by_hand = by_hand + 1; END;`).join("");
}

/** The version this program writes. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/** `PRAGMA application_id`: "Plei". Tells a Pleiades file from any other program's. */
export const APPLICATION_ID = 0x506c6569;

/** A file that this program must not open; the message says what to do. */
export class SchemaRefused extends Error {
  /** The class, in logs. */
  override readonly name = "SchemaRefused";
}

/**
 * Refuses a file that a newer program or another program wrote.
 *
 * @throws {SchemaRefused}
 */
export function requireKnownSchema(
  { path, version, applicationId, empty }: {
    readonly path: string;
    readonly version: number;
    readonly applicationId: number;
    /** Whether the file has no tables yet. */
    readonly empty: boolean;
  },
): void {
  if (!empty && applicationId !== APPLICATION_ID) {
    throw new SchemaRefused(
      `Cannot use ${path}: it is a database of another program (application_id ${applicationId}); ` +
        `point database.path at a Pleiades database or at a file that doesn't exist yet`,
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new SchemaRefused(
      `Cannot open ${path}: its schema is version ${version}, this program knows versions up to ` +
        `${SCHEMA_VERSION}; run the newer program, or restore a backup from before the upgrade. ` +
        `The file was not changed`,
    );
  }
}

/**
 * Brings the file to `SCHEMA_VERSION`, all steps in one transaction; a file that is there already is not written.
 *
 * @param isHeld whether the transaction stays open until `Database.keepHeld`
 */
export function migrate(
  database: Database,
  migrations: readonly string[] = MIGRATIONS,
  isHeld: boolean = false,
): void {
  if (userVersion(database) === migrations.length) return;
  const run = (work: () => void) => isHeld ? database.hold(work) : database.transact(work);
  run(() => {
    // Read again under the lock: two processes may have found the file old at the same time.
    const version = userVersion(database);
    const isNew = version === 0 && migrations === MIGRATIONS;
    if (isNew && whole !== null) database.exec(whole);
    else for (const step of migrations.slice(version)) database.exec(step);
    if (isNew) whole ??= schemaOf(database);
    database.exec(`PRAGMA user_version = ${migrations.length}; PRAGMA application_id = ${APPLICATION_ID}`);
  });
}

/**
 * What all steps come to, once this process has taken them: for each column that one of them adds SQLite reads the whole schema again,
 * and at once it takes a quarter of the time.
 */
let whole: string | null = null;

/** What makes such a database of a new one. */
function schemaOf(database: Database): string {
  const made = database.all<{ sql: string }>(
    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
  );
  const meta = database.get<Record<string, number | null>>("SELECT * FROM meta")!;
  const columns = Object.keys(meta);
  return [
    ...made.map(({ sql }) => sql),
    `INSERT INTO meta (${columns.join()}) VALUES (${columns.map((column) => meta[column] ?? "NULL").join()})`,
  ].join(";\n");
}

/** `PRAGMA user_version`. */
export function userVersion(database: Database): number {
  return database.get<{ user_version: number }>("PRAGMA user_version")!.user_version;
}
