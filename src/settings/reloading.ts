/**
 * What a reload does with each key of the settings: it is taken over at once, or at the next start. The schema says
 * which ({@linkcode Marks}).
 *
 * @module
 */
import type { Block } from "./block.ts";
import { BLOCKS } from "./blocks.ts";
import { keysOf, settingsTree } from "./keys.ts";
import { isMapping } from "../input/spelling.ts";
import type { Settings } from "./settings.ts";

/** Keys of which a reload has another value than the start, and that need another start; in the order of the schema. */
export function needingRestart(
  atStart: Settings,
  now: Settings,
  blocks: readonly Block[] = BLOCKS,
): string[] {
  return keysOf(settingsTree(blocks)).filter(({ absent, reload }) => !absent && reload === "restart")
    .filter(({ path }) => JSON.stringify(valueAt(atStart, path)) !== JSON.stringify(valueAt(now, path)))
    .map(({ path }) => path.join("."));
}

function valueAt(settings: Settings, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, step) => isMapping(value) ? value[step] : undefined, settings);
}
