/**
 * What a block may ask, and where it reports, while its part of the file becomes its part of the settings.
 *
 * @module
 */
import type { z } from "zod";
import type { FileProblem, Path } from "../input/yaml_source.ts";
import type { DatabaseKind } from "../geo/database.ts";
import type { SettingsOutside } from "./outside.ts";

/** What the command line says. */
export interface SettingsFlags {
  /** `--db FILE`. */
  readonly db?: string;
  /** `--dns ADDR:PORT`, any number of times; port 0 = any free one. */
  readonly dns?: readonly string[];
  /** `--api ADDR:PORT`; port 0 = any free one. */
  readonly api?: string;
  /** `--workers N`. */
  readonly workers?: number;
}

/** The environment, read only. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A database that settings name. */
export interface NamedDatabase {
  /** Absolute. */
  readonly path: string;
  /** What it is read for. */
  readonly kind: DatabaseKind;
  /** As it was written, for people. */
  readonly shown: string;
  /** A problem at the place that names it. */
  readonly problem: (message: string) => FileProblem;
}

/** A zone file that is answered. */
export interface ZoneInEffect {
  /** As in the settings. */
  readonly domain: string;
  /** What the file held. */
  readonly text: string;
  /** Seconds; of records without a TTL of their own. */
  readonly defaultTtl: number;
}

/** One run of putting settings together. Paths lead to values in the settings file, such as `["dns", "port"]`. */
export interface Loading {
  /** The command line. */
  readonly flags: SettingsFlags;
  /** The environment. */
  readonly env: Environment;
  /** The machine. */
  readonly outside: SettingsOutside;
  /** Whether only the file is judged, and nothing is started with it. */
  readonly fileOnly: boolean;
  /** Zone files that have been judged and are answered. */
  readonly zonesInEffect: readonly ZoneInEffect[];
  /** What another block's part of the file says. @throws {Error} when the settings have no such block */
  of<Shape extends BlockShape>(block: { readonly shape: Shape }): FileOf<Shape>;
  /** What is written in a section, by file, environment or flags; empty when nothing is. */
  written(section: string): Readonly<Record<string, unknown>>;
  /** Whether parts of a section were wrong, and left out: what depends on the rest of it needn't be said. */
  isFaulty(section: string): boolean;
  /** Reports what is wrong with a value. */
  problem(at: Path, message: string): void;
  /** Notes a database, which may be large, to be looked into later (`judgeDatabases`); gives its path, absolute. */
  database(at: Path, path: string, kind: DatabaseKind): string;
  /** Reports what is wrong elsewhere: in a flag, or in a file that a setting names. */
  report(problems: readonly FileProblem[]): void;
  /** Reports what is let pass, though it has no effect. */
  note(at: Path, message: string): void;
  /** Makes a path absolute: in the settings file it starts at that file's folder, elsewhere where the shell is. */
  resolve(at: Path, path: string): string;
  /** A file beside the settings, named in messages as shortly as the settings file was. */
  shown(path: string): string;
  /** Makes a path absolute, of a file that can be read; where it can't, that is reported. */
  readable(at: Path, path: string): string;
  /** The bytes of a file that a value names; `null` = it can't be read, or is longer than it may be, and that is reported. */
  readBytes(at: Path, path: string, bytesMax?: number): Uint8Array | null;
  /** A secret of the mark `own`, by what is written in its place; or why it can't be had, which isn't reported. */
  secret(at: Path, written: string): { readonly value: string } | { readonly reason: string };
  /** The text of a file that a value names; `null` = it can't be read, or is longer than it may be, and that is reported. */
  readText(at: Path, path: string, bytesMax?: number): string | null;
}

/** Keys at the top of the settings file. */
export type BlockShape = Readonly<Record<string, z.ZodType>>;

/** What a shape makes of a file. */
export type FileOf<Shape extends BlockShape> = Immutable<{ [Key in keyof Shape]: z.output<Shape[Key]> }>;

/** The same, read only at every depth. */
export type Immutable<Value> = Value extends readonly (infer Element)[] ? readonly Immutable<Element>[]
  : Value extends object ? { readonly [Key in keyof Value]: Immutable<Value[Key]> }
  : Value;
