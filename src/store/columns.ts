/**
 * How the fields of each aggregate are kept: the one list from which statements, rows and the history's JSON are made.
 *
 * A column is called as its field, in snake case. A new field needs its line here and a migration in `schema.ts`; what
 * reads in bulk (`bulk_read.ts`) has its own statements.
 *
 * @module
 */
import type { SQLInputValue } from "node:sqlite";
import {
  type GeoRule,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  type Member,
  type Pool,
  type Service,
} from "../model/model.ts";

/** What a column holds: SQLite's types, a boolean as 0 or 1, or the checks of a calculated check as JSON. */
type ColumnKind = "TEXT" | "INTEGER" | "REAL" | "ANY" | "flag" | "checks";

/** A row as SQLite gives it, with the names of fields. */
export type RawRow = Readonly<Record<string, unknown>>;

/** Fields and their columns, in one order. */
export class Columns<Fields extends object> {
  /** The names of the fields. */
  readonly fields: readonly string[];
  /** The names of the columns. */
  readonly names: readonly string[];
  /** The select list that yields fields. */
  readonly select: string;
  readonly #kinds: readonly ColumnKind[];

  /** The order is that of the history, which is stored: a field is only ever added at the end. */
  constructor(kinds: Readonly<Record<keyof Fields & string, ColumnKind>>) {
    this.fields = Object.keys(kinds);
    this.#kinds = Object.values(kinds);
    this.names = this.fields.map(columnOf);
    this.select = this.fields.map(selected).join(", ");
  }

  /** The others. */
  without<Field extends keyof Fields & string>(...left: readonly Field[]): Columns<Omit<Fields, Field>> {
    const kept = this.fields.map((field, i) => [field, this.#kinds[i]!] as const)
      .filter(([field]) => !left.some((other) => other === field));
    return new Columns(Object.fromEntries(kept) as Record<keyof Omit<Fields, Field> & string, ColumnKind>);
  }

  /** What a statement that makes a table says of the columns. */
  get definitions(): string {
    return this.names.map((name, i) => `${name} ${SQL_TYPES[this.#kinds[i]!]}`).join(", ");
  }

  /**
   * The members of a JSON object, without its braces, as arguments of SQL's `concat`: what `JSON.stringify` makes of the fields, but for
   * other digits of the same fractions.
   *
   * @param table whose columns they are
   * @param others what stands for fields that the table hasn't got by their column's name
   */
  json(table: string, others: Readonly<Record<string, string>> = {}): string {
    return this.fields.map((field, i) => {
      const column = others[field] ?? `${table}.${this.names[i]!}`;
      return `'"${field}":', ${jsonOfColumn(column, this.#kinds[i]!)}`;
    }).join(", ',', ");
  }

  /** What the columns hold of an object. */
  valuesOf(object: Fields): SQLInputValue[] {
    const values: SQLInputValue[] = [];
    const given = object as Readonly<Record<string, unknown>>;
    for (let i = 0; i < this.fields.length; i++) {
      const value = given[this.fields[i]!];
      const kind = this.#kinds[i]!;
      if (kind === "flag") values.push(value ? 1 : 0);
      else if (kind === "checks") values.push(checksJson(value as HealthCheck["checks"]));
      // The type of the fields vouches for it.
      else values.push(value as SQLInputValue);
    }
    return values;
  }

  /** A row as the program has it, with whatever was selected beside the columns. */
  rowOf<Row extends Fields>(raw: RawRow): Row {
    const row: Record<string, unknown> = { ...raw };
    for (let i = 0; i < this.fields.length; i++) {
      const field = this.fields[i]!;
      if (this.#kinds[i] === "flag") row[field] = row[field] === 1;
      else if (this.#kinds[i] === "checks") row[field] = JSON.parse(String(row[field]));
    }
    // What vouches for it is the schema, whose tables are STRICT.
    return row as Row;
  }
}

/** A pool's own fields. */
export const POOL: Columns<Omit<Pool, "id" | "members" | "healthCheck" | "geoRules">> = new Columns({
  name: "TEXT",
  algorithm: "TEXT",
  maxAnswers: "INTEGER",
  onAllDown: "TEXT",
  fallbackPoolId: "TEXT",
  minHealthy: "ANY",
  failback: "TEXT",
  failbackDelayMs: "INTEGER",
  geofence: "flag",
  flatten: "flag",
  discover: "TEXT",
});

/** A member's. */
export const MEMBER: Columns<Omit<Member, "id">> = new Columns({
  ipAddress: "TEXT",
  target: "TEXT",
  port: "INTEGER",
  weight: "INTEGER",
  priority: "INTEGER",
  enabled: "flag",
  latitude: "REAL",
  longitude: "REAL",
  region: "TEXT",
});

/** A health check's. */
export const HEALTH_CHECK: Columns<HealthCheck> = new Columns({
  type: "TEXT",
  port: "INTEGER",
  intervalMs: "INTEGER",
  timeoutMs: "INTEGER",
  rise: "INTEGER",
  fall: "INTEGER",
  httpMethod: "TEXT",
  httpPath: "TEXT",
  httpHost: "TEXT",
  httpExpectedStatus: "TEXT",
  httpContains: "TEXT",
  insecureSkipVerify: "flag",
  require: "ANY",
  checks: "checks",
});

/** A geo rule's. */
export const GEO_RULE: Columns<Omit<GeoRule, "id">> = new Columns({
  cidr: "TEXT",
  country: "TEXT",
  continent: "TEXT",
  asn: "INTEGER",
  memberId: "TEXT",
});

/** A service's. */
export const SERVICE: Columns<Omit<Service, "id">> = new Columns({
  domain: "TEXT",
  poolId: "TEXT",
  ttl: "INTEGER",
  minTtl: "INTEGER",
  ecs: "flag",
});

const SQL_TYPES: Readonly<Record<ColumnKind, string>> = {
  TEXT: "TEXT",
  INTEGER: "INTEGER",
  REAL: "REAL",
  ANY: "",
  flag: "INTEGER",
  checks: "TEXT",
};

function columnOf(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function selected(field: string): string {
  const column = columnOf(field);
  return column === field ? column : `${column} AS ${field}`;
}

/** SQL that makes JSON of a column; that of SQLite's own has but 15 digits. */
function jsonOfColumn(column: string, kind: ColumnKind): string {
  switch (kind) {
    case "flag":
      return `iif(${column}, 'true', 'false')`;
    case "checks":
      return column;
    case "INTEGER":
      return `coalesce(${column}, 'null')`;
    case "REAL":
      return `iif(${column} IS NULL, 'null', format('%!.17g', ${column}))`;
    default:
      return `json_quote(${column})`;
  }
}

/** Equal checks are equal text. */
function checksJson(checks: HealthCheck["checks"]): string {
  return checks.length === 0 ? "[]" : JSON.stringify(checks, Object.keys(HEALTH_CHECK_DEFAULTS));
}
