/**
 * Reads a zone's text for what the rest of the model must agree with: where it hands names over to other servers.
 *
 * @module
 */
import { lowerCaseName, nameToWire, sameName, wireToName } from "../wire/name.ts";
import { TYPE } from "../wire/record_type.ts";
import { checkZone, parseZoneFile } from "../wire/zone_file.ts";

/** What a zone's text says about cuts, or why it is no zone. */
export interface ZoneCuts {
  /** The names below the apex that have NS records (RFC 1034 §4.2): lower-case, without a final dot. */
  readonly cuts: ReadonlySet<string>;
  /** One sentence each, beginning with line and column; with any, the text must not be stored. */
  readonly faults: readonly string[];
}

/** Reads the text of the zone `domain`, which is a valid name. */
export function zoneCuts(domain: string, text: string): ZoneCuts {
  const parsed = parseZoneFile(text, { origin: domain, defaultTtl: DEFAULT_TTL_SECONDS });
  // A record that can't be read makes others look missing.
  const { records, problems } = parsed.problems.length > 0 ? parsed : checkZone(domain, parsed.records);
  const apex = lowerCaseName(nameToWire(domain));
  const delegations = records.filter(({ type, owner }) => type === TYPE.NS && !sameName(owner, apex));
  return {
    cuts: new Set(delegations.map(({ owner }) => wireToName(owner))),
    faults: problems.map(({ line, column, message }) => `line ${line}, column ${column}: ${message}`),
  };
}

/** Cuts have no TTL; the reader wants one for records that have none. */
const DEFAULT_TTL_SECONDS = 3_600;
