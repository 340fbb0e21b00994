/**
 * A transfer as the messages that it came in (RFC 5936), looked through only as far as tells whether it is one whole zone. So
 * it goes from the primary to a secondary as PowerDNS wrote it, and no service between turns each record into text and back.
 *
 * @module
 */
import { isAtOrBelow, lowerCaseName, nameToWire, readCompressedName, sameName } from "../wire/name.ts";
import { CLASS, isMetaType, RCODE, rcodeName, TYPE } from "../wire/record_type.ts";

/** Bytes of the header, RFC 1035 §4.1.1. */
const HEADER_SIZE = 12;

/** Looks through the messages of one transfer, in their order. */
export class TransferReader {
  readonly #zone: string;
  readonly #apex: Uint8Array;
  #serial: number | null = null;
  #isWhole = false;
  #isSigned = false;
  /** Owners mostly are those of the record before, as pointers to the same place. */
  #checkedAt = -1;

  /** Has read nothing. @param zone with its final dot */
  constructor(zone: string) {
    this.#zone = zone;
    this.#apex = lowerCaseName(nameToWire(zone));
  }

  /** Whether the SOA record at the end has come. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Whether there are signatures. */
  get isSigned(): boolean {
    return this.#isSigned;
  }

  /** Of the zone. @throws {SyntaxError} when its end hasn't come */
  get serial(): number {
    if (this.#serial === null || !this.#isWhole) this.#refuse("its end is missing");
    return this.#serial;
  }

  /** Looks through a message. @throws {SyntaxError} naming the zone and the fault */
  take(message: Uint8Array): void {
    if (message.length < HEADER_SIZE) this.#refuse("a message has no whole header");
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const rcode = view.getUint16(2) & 15;
    if (rcode !== RCODE.NOERROR) this.#refuse(`it is answered with ${rcodeName(rcode)}`);
    const isPlain = view.getUint16(4) <= 1 && view.getUint16(8) === 0 && view.getUint16(10) === 0;
    if (!isPlain) this.#refuse("a message holds more than answers");
    const count = view.getUint16(6);
    if (count === 0) this.#refuse("a message is empty");
    let at = HEADER_SIZE;
    if (view.getUint16(4) === 1) at = readCompressedName(message, at).end + 4;
    this.#checkedAt = -1;
    for (let i = 0; i < count; i++) at = this.#record(message, view, at);
    if (at !== message.length) this.#refuse("a message goes on behind its last record");
  }

  /** @returns where the next one begins */
  #record(message: Uint8Array, view: DataView, from: number): number {
    if (this.#isWhole) this.#refuse("there are records behind the SOA record at the end");
    const isPointer = message[from]! >= 0xc0 && from + 1 < message.length;
    const target = isPointer ? view.getUint16(from) & 0x3fff : -1;
    let at = from + 2;
    if (!isPointer || target !== this.#checkedAt) {
      const { name, end } = readCompressedName(message, from);
      if (!isAtOrBelow(lowerCaseName(name), this.#apex)) this.#refuse("a record is outside the zone");
      this.#checkedAt = isPointer ? target : from;
      at = end;
    }
    if (at + 10 > message.length) this.#refuse("a record isn't whole");
    const type = view.getUint16(at);
    const end = at + 10 + view.getUint16(at + 8);
    if (end > message.length) this.#refuse("a record isn't whole");
    if (view.getUint16(at + 2) !== CLASS.IN || isMetaType(type)) this.#refuse("a record is none of a zone");
    if (type === TYPE.SOA) this.#soa(message, { from, at: at + 10, end, view });
    else if (this.#serial === null) this.#refuse("it doesn't begin with the SOA record");
    else if (type === TYPE.RRSIG) this.#isSigned = true;
    return end;
  }

  /** It stands at both ends, RFC 5936 §2.2. */
  #soa(message: Uint8Array, { from, at, end, view }: {
    readonly from: number;
    readonly at: number;
    readonly end: number;
    readonly view: DataView;
  }): void {
    const owner = lowerCaseName(readCompressedName(message, from).name);
    if (!sameName(owner, this.#apex)) this.#refuse("a name below it has an SOA record");
    if (end - at < 22) this.#refuse("the SOA record isn't whole");
    const serial = view.getUint32(end - 20);
    if (this.#serial === null) this.#serial = serial;
    else if (this.#serial === serial) this.#isWhole = true;
    else this.#refuse("its SOA records differ");
  }

  #refuse(fault: string): never {
    throw new SyntaxError(`The transfer of ${this.#zone} can't be taken: ${fault}`);
  }
}
