/**
 * A block of the settings: a section of the file, or a few that belong together, with all that is to be said of its
 * keys. What they accept, what they mean and what a reload does with them is in the schema ({@linkcode Marks}); how what is
 * written becomes what the program works with is a function beside it. A block is one file in `blocks/` and one line
 * in `blocks.ts`.
 *
 * @module
 */
import type { BlockShape, FileOf, Immutable, Loading } from "./loading.ts";

/**
 * A block.
 *
 * @example
 * ```ts
 * const shape = { cache: section(mapping({ path: path("cache.path") }), "Where answers are cached") };
 *
 * export const cache = {
 *   shape,
 *   settings: ({ cache: { path } }: FileOf<typeof shape>, loading: Loading) => ({
 *     cache: { path: path && loading.resolve(["cache", "path"], path) },
 *   }),
 * };
 * ```
 */
export interface Block {
  /** Its keys at the top of the file, in the order in which they are shown. */
  readonly shape: BlockShape;
  /**
   * Makes its part of the settings of what the file says: finds files, resolves paths, fills in what depends on the
   * machine. Without it the settings are what the file says.
   */
  settings?(file: FileOf<BlockShape>, loading: Loading): object;
}

/** The settings that blocks make together. */
export type SettingsOf<Blocks extends readonly Block[]> = Immutable<Together<PartOf<Blocks[number]>>>;

/** The settings that one of the blocks makes. */
export type PartOf<Each extends Block> = Each extends { settings(...given: never[]): infer Part } ? Part
  : Each extends { readonly shape: infer Shape extends BlockShape } ? FileOf<Shape>
  : never;

/** `A & B` of `A | B`. */
export type Together<Union> = (Union extends unknown ? (part: Union) => void : never) extends
  (all: infer All) => void ? All : never;
