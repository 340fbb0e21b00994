/**
 * The entries of an answer that comes again and again: of the next one only what is another is taken apart, as far as there is
 * room to keep what came before.
 *
 * @module
 */
import { parseBody } from "../consul/client.ts";
import type { EntryFault, EntryReading } from "./consul_entries.ts";
import { JsonList, type ListRoom } from "./json_list.ts";

/** What is read, and where it is kept. */
export interface EntryListOptions {
  /** Where the answer that came last is kept to be compared. */
  readonly room: ListRoom;
  /** How the list begins in the document; see {@linkcode JsonList.of}. */
  readonly opening: string;
  /** The elements of the list. @throws {SyntaxError} when it is none */
  readonly elementsOf: (document: unknown) => readonly unknown[];
  /** Reads one of them, by what stands before the list in the document that was taken apart as a whole last. */
  readonly read: (element: unknown) => EntryReading;
}

/** The answer that came last. */
export class EntryList {
  readonly #options: EntryListOptions;
  /** `null` = the next one is taken apart as a whole. */
  #list: JsonList | null = null;
  #entries: readonly EntryReading[] = [];
  #faults: readonly EntryFault[] = [];
  #bytes = 0;
  #said = "";

  /** Nothing has come yet. */
  constructor(options: EntryListOptions) {
    this.#options = options;
  }

  /** What its entries say; those that are as they were are the same objects. */
  get entries(): readonly EntryReading[] {
    return this.#entries;
  }

  /** What is wrong with them. */
  get faults(): readonly EntryFault[] {
    return this.#faults;
  }

  /** Length of the answer. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes an answer apart.
   *
   * @returns whether anything is another
   * @throws {SyntaxError | TypeError} where it is no list in JSON
   */
  take(body: Uint8Array): boolean {
    const { room, opening, elementsOf, read } = this.#options;
    const list = this.#list;
    const difference = list?.difference(body) ?? null;
    this.#bytes = body.length;
    if (list !== null && difference !== null) {
      const { from, to, elements } = difference;
      list.follow(body, difference);
      if (to === 0) return false;
      const before = this.#entries;
      this.#set([...before.slice(0, from), ...elements.map(read), ...before.slice(to)]);
      if (!room.keep(list)) this.#list = null;
      return true;
    }
    const elements = elementsOf(parseBody(body));
    this.forget();
    this.#set(elements.map(read));
    const next = JsonList.of(body, opening);
    this.#list = next !== null && room.keep(next) ? next : null;
    return true;
  }

  #set(entries: readonly EntryReading[]): void {
    this.#entries = entries;
    this.#faults = entries.flatMap(({ faults }) => faults);
  }

  /** Takes the next answer apart as a whole, and counts all of it as news. */
  forget(): void {
    this.#options.room.drop(this.#list);
    this.#list = null;
  }

  /** Whether this wasn't what was said of its faults last; it is from now on. */
  isNews(said: string): boolean {
    const isNews = said !== this.#said && said !== "";
    this.#said = said;
    return isNews;
  }
}
