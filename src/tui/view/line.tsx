/**
 * One line of the screen.
 *
 * @module
 */
import { Text } from "ink";
import type { ReactElement } from "react";
import { fit } from "../screen_text.ts";

/** How good or bad it is; the words say so as well. */
export type Tone = "good" | "bad" | "warn" | "plain";

const COLOURS = { good: "green", bad: "red", warn: "yellow" } as const;

/** How a line is drawn. */
export interface LineLayout {
  /** Cells that it fills. */
  readonly width: number;
  /** Harmless text. */
  readonly text: string;
  /** Its colour. */
  readonly tone?: Tone;
  /** Whether it is marked. */
  readonly inverse?: boolean;
  /** Whether it stands out. */
  readonly bold?: boolean;
  /** Whether it stands back. */
  readonly dim?: boolean;
}

/** Text, cut or filled to the width. */
export function Line(
  { width, text, tone = "plain", inverse = false, bold = false, dim = false }: LineLayout,
): ReactElement {
  const shown = fit(text, width);
  return (
    <Text
      {...tone !== "plain" && { color: COLOURS[tone] }}
      inverse={inverse}
      bold={bold}
      dimColor={dim}
      wrap="truncate"
    >
      {shown}
    </Text>
  );
}
