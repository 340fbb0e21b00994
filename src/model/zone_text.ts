/**
 * Zone-file text as configuration: its records when it is fine, else where it isn't.
 *
 * @module
 */
import { wireToName } from "../wire/name.ts";
import { TYPE } from "../wire/record_type.ts";
import { checkZone, parseZoneFile, type ZoneRecord } from "../wire/zone_file.ts";

/** TTL of records that neither have one nor follow one, by default. */
export const DEFAULT_TTL_SECONDS = 30;

/** What a zone's text holds. */
export interface ZoneContent {
  /** Fit to be served when there are no problems. */
  readonly records: readonly ZoneRecord[];
  /** Lower-case names below the apex that NS records delegate. */
  readonly cuts: readonly string[];
  /** By line and column of the text, both from 1. */
  readonly problems: readonly { readonly line: number; readonly column: number; readonly message: string }[];
}

/** Reads and judges the text of a zone; `domain` must be valid. */
export function readZoneText(
  text: string,
  { domain, defaultTtl = DEFAULT_TTL_SECONDS }: { readonly domain: string; readonly defaultTtl?: number },
): ZoneContent {
  const parsed = parseZoneFile(text, { origin: `${domain}.`, defaultTtl });
  // A record that couldn't be read may be just the one whose lack the second step would complain about.
  const checked = parsed.problems.length > 0 ? parsed : checkZone(`${domain}.`, parsed.records);
  return { records: checked.records, cuts: cutsOf(checked.records, domain), problems: checked.problems };
}

function cutsOf(records: readonly ZoneRecord[], domain: string): string[] {
  const owners = records.filter(({ type }) => type === TYPE.NS).map(({ owner }) => wireToName(owner));
  return [...new Set(owners)].filter((owner) => owner !== domain);
}
