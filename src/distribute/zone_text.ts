/**
 * The text of a zone as a provider sends it, as records that can be handed to PowerDNS.
 *
 * What isn't exactly one zone is refused by name: a secondary that takes half a zone answers half of it.
 *
 * @module
 */
import { isAtOrBelow, lowerCaseName, nameToWire, sameName, wireToName } from "../wire/name.ts";
import type { WireRecord } from "../wire/response.ts";
import { TYPE } from "../wire/record_type.ts";
import { parseZoneFile, type ZoneRecord } from "../wire/zone_file.ts";

/** Records of TTL-less lines, which no provider writes, get this one, seconds. */
const DEFAULT_TTL = 3600;

/** Reads a zone part by part, each of whole lines. */
export class ZoneTextReader {
  readonly #zone: string;
  readonly #apex: Uint8Array;
  readonly #records: WireRecord[] = [];
  #soa: ZoneRecord | null = null;
  #hasEnded = false;

  /** Has read nothing. @param zone with its final dot */
  constructor(zone: string) {
    this.#zone = zone;
    this.#apex = lowerCaseName(nameToWire(zone));
  }

  /** Takes a part in. @throws {SyntaxError} naming the zone and the fault */
  add(text: string): void {
    const { records, problems: [problem] } = parseZoneFile(text, {
      origin: this.#zone,
      defaultTtl: DEFAULT_TTL,
    });
    if (problem !== undefined) this.#refuse(`line ${problem.line}: ${problem.message}`);
    for (const record of records) this.#take(record);
  }

  /** All of it, the SOA record first and nowhere else. @throws {SyntaxError} when there is none */
  finish(): { readonly soa: WireRecord; readonly records: readonly WireRecord[] } {
    if (this.#soa === null) this.#refuse("there is no SOA record");
    return { soa: this.#soa, records: this.#records };
  }

  #take(record: ZoneRecord): void {
    const { owner, type, rdata } = record;
    if (this.#hasEnded) this.#refuse("there are records behind the SOA record at the end");
    if (!isAtOrBelow(owner, this.#apex)) this.#refuse(`${wireToName(owner)} is outside the zone`);
    if (type !== TYPE.SOA) {
      if (this.#soa === null) this.#refuse("it doesn't begin with the SOA record");
      this.#records.push(record);
    } else if (!sameName(owner, this.#apex)) this.#refuse(`${wireToName(owner)} has an SOA record`);
    else if (this.#soa === null) this.#soa = record;
    // Other providers send the zone as it is transferred, with the SOA record at both ends (RFC 5936 §2.2).
    else if (sameName(rdata, this.#soa.rdata)) this.#hasEnded = true;
    else this.#refuse("there is a second SOA record");
  }

  #refuse(fault: string): never {
    throw new SyntaxError(`The zone ${this.#zone} can't be taken: ${fault}`);
  }
}
