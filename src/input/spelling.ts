/**
 * Keys that earlier systems spell otherwise, and keys without a value.
 *
 * Both are fixed in the plain values before a schema sees them, so that schemas know one spelling and `null`
 * never reaches them: in YAML a key with nothing behind it is a key whose value was commented out.
 *
 * @module
 */
import type { FileProblem, Path, Position, Source } from "./yaml_source.ts";

/** Section, other spelling, the spelling used here. */
const RESPELLINGS: readonly (readonly [section: readonly string[], from: string, to: string])[] = [
  [["health"], "checkinterval", "checkInterval"],
  [["health"], "interval", "checkInterval"],
  [["health", "http"], "expectedstatus", "expectedStatus"],
  [["license"], "licenseKey", "key"],
  [["agent"], "tcp_port", "tcpPort"],
  [["agent"], "check_interval", "checkInterval"],
  [["agent"], "do_tls", "doTls"],
  [["agent"], "minimum_failures", "minimumFailures"],
  [["agent"], "maximum_failures", "maximumFailures"],
  [["agent"], "all_regions", "allRegions"],
  [["agent"], "route53_hosted_zone_id", "route53HostedZoneId"],
  [["agent"], "aws_profile", "awsProfile"],
  [["agent"], "aws_assume_role_arn", "awsAssumeRoleArn"],
  [
    ["distribute", "healthChecks"],
    "activeZoneSecondaryRefreshIntervall",
    "activeZoneSecondaryRefreshInterval",
  ],
  [["distribute", "healthChecks"], "periodicalCheckIntervall", "periodicalCheckInterval"],
  [["distribute", "healthChecks"], "nsec3CheckIntervall", "nsec3CheckInterval"],
];

/** What becomes of a source whose keys were renamed. */
export interface Respelled {
  /** Finds keys as they were written. */
  readonly source: Source;
  /** A key given in both spellings. */
  readonly problems: readonly FileProblem[];
}

/**
 * Renames keys within the value (which is changed).
 *
 * @param path where in the source the value is; the sections are counted from the source's root
 */
export function respell(
  value: unknown,
  { source, path }: { readonly source: Source; readonly path: Path },
): Respelled {
  const written = new Map<string, string>();
  const problems: FileProblem[] = [];
  for (const [section, from, to] of RESPELLINGS) {
    if (!path.every((step, i) => section[i] === step)) continue;
    const mapping = mappingAt(value, section.slice(path.length));
    if (mapping === null || !Object.hasOwn(mapping, from)) continue;
    if (Object.hasOwn(mapping, to)) {
      const at = source.locate([...section, from], "key");
      problems.push({ file: source.file, ...at, message: `${from} and ${to} mean the same; keep ${to}` });
    } else {
      mapping[to] = mapping[from];
      written.set([...section, to].join("."), from);
    }
    delete mapping[from];
  }
  return { source: written.size === 0 ? source : new RespelledSource(source, written), problems };
}

/** Deletes every key whose value is `null`, at any depth; the value is changed. */
export function dropNulls(value: unknown): void {
  if (Array.isArray(value)) value.forEach(dropNulls);
  else if (isMapping(value)) {
    for (const key of Object.keys(value)) {
      if (value[key] === null) delete value[key];
      else dropNulls(value[key]);
    }
  }
}

/** A copy in which nothing is shared, as parts are that YAML aliases repeat; so that one can change alone. */
export function unshared(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unshared);
  if (!isMapping(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    // Assigning to `__proto__` would set the prototype instead of the key, and hide it from the schema.
    Object.defineProperty(copy, key, {
      value: unshared(inner),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

/** Whether the value is what a YAML mapping or JSON object becomes. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class RespelledSource implements Source {
  readonly #source: Source;
  readonly #written: ReadonlyMap<string, string>;

  constructor(source: Source, written: ReadonlyMap<string, string>) {
    this.#source = source;
    this.#written = written;
  }

  get file(): string {
    return this.#source.file;
  }

  locate(path: Path, at?: "key" | "value"): Position {
    const asWritten = path.map((step, i) => this.#written.get(path.slice(0, i + 1).join(".")) ?? step);
    return this.#source.locate(asWritten, at);
  }
}

function mappingAt(value: unknown, path: readonly string[]): Record<string, unknown> | null {
  let at = value;
  for (const step of path) at = isMapping(at) ? at[step] : null;
  return isMapping(at) ? at : null;
}
