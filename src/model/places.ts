/**
 * Where the objects of a model stand. Each has a number, since there may be a million of them; what is behind a number
 * is looked up when there is something to complain about.
 *
 * @module
 */
import { type FileProblem, parseYaml, type Path, type Source } from "../input/yaml_source.ts";
import type { ModelLine } from "./model_line.ts";

/** Where an object stands: from 1, each number once, growing in the order of reading. */
export type Place = number;

/** A place as problems have it. */
export type FilePosition = Omit<FileProblem, "message">;

/** The key of an object's line in NDJSON. */
export type ObjectNoun = "pool" | "service" | "zone";

/** An object, and the way from there to one of its parts. */
export interface ObjectPlace {
  /** What it is. */
  readonly noun: ObjectNoun;
  /** Where it stands. */
  readonly place: Place;
  /** Leads to the part; empty = the object itself. */
  readonly path: Path;
}

/** Reads bytes again from where lines came from; `null` = they can't be, or aren't what they were. */
export type RereadBytes = (offset: number, size: number) => Uint8Array | null;

/** Gives the lines of one file their numbers. */
export interface NumberedLines {
  /** The next line's number; every line is asked for, in their order. */
  add(line: Pick<ModelLine, "offset" | "size">): Place;
}

/** Numbers places and finds them again. */
export class Places {
  readonly #origins: Origin[] = [];
  #next: Place = 1;

  /** Numbers the items of a document's list; gives the first one's number, the others follow. */
  addList(source: Source, { key, length }: { readonly key: string; readonly length: number }): Place {
    const first = this.#next;
    this.#origins.push({
      first,
      locate: (i, { path }) => ({ file: source.file, ...source.locate([key, i, ...path]) }),
    });
    this.#next += length;
    return first;
  }

  /**
   * Numbers lines, until other places are numbered.
   *
   * @param reread without it only the line of a problem can be told, not the column
   */
  addLines(file: string, reread: RereadBytes | null): NumberedLines {
    const first = this.#next;
    const extents: number[] = [];
    const textOf = (i: number) => {
      const [offset = 0, size = Infinity] = extents.slice(2 * i, 2 * i + 2);
      const bytes = size > SEARCHED_MAX ? null : reread?.(offset, size) ?? null;
      return bytes === null ? "" : new TextDecoder().decode(bytes);
    };
    this.#origins.push({
      first,
      locate: (i, { noun, path }) => {
        const column = parseYaml(file, textOf(i)).source?.locate([noun, ...path]).column ?? 1;
        return { file, line: i + 1, column };
      },
    });
    return {
      add: ({ offset, size }) => {
        if (reread !== null) extents.push(offset, size);
        return this.#next++;
      },
    };
  }

  /** Finds a place again. */
  locate(at: ObjectPlace): FilePosition {
    const origin = this.#origins.findLast(({ first }) => first <= at.place)!;
    return origin.locate(at.place - origin.first, at);
  }
}

/**
 * Bytes of a line that is read again for the column of a problem: a thousand problems may stand in, or point to, one line,
 * and each reading of so much takes some 25 ms.
 */
const SEARCHED_MAX = 64 << 10;

/** What places were numbered from. */
interface Origin {
  readonly first: Place;
  readonly locate: (index: number, at: ObjectPlace) => FilePosition;
}
