/**
 * Draws what the DNS bench has measured: CPU time per answer of each server as a multiple of the bare echo's, one
 * panel a workload.
 *
 * @module
 */
import { type Figures, type Measured, ratio } from "./report.ts";

const WIDTH = 820;
const NAMES_WIDTH = 160;
const RIGHT = 120;
const ROW = 26;
const PANEL_HEAD = 44;
const PANEL_FOOT = 18;
const TOP = 74;
const BOTTOM = 34;
/** Bars end here; a longer one is cut, and its number says how long it is. */
const RATIO_MAX = 4;
const OURS = "#1f6feb";
const OTHERS = "#8c959f";
const FLOOR = "#57606a";

/** An SVG document. */
export function plot({ machine, workloads }: Measured): string {
  let at = TOP;
  const panels = workloads.map(({ id, title, servers }) => {
    const panel = drawPanel(`(${id}) ${title}`, servers, at);
    at += PANEL_HEAD + servers.length * ROW + PANEL_FOOT;
    return panel;
  });
  const height = at + BOTTOM;
  const note = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.date}. ` +
    `Lines: range over runs. Lower is better.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif">
<title>CPU time per DNS answer as a multiple of a bare UDP echo's</title>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${text(20, 32, "CPU time per answer, as a multiple of a bare C echo's", `font-size="18" font-weight="600"`)}
${
    text(
      20,
      54,
      "as fast as each can on one core; every server answers the same names from one thread",
      `font-size="13" fill="${FLOOR}"`,
    )
  }
${panels.join("\n")}
${text(20, height - 14, note, `font-size="11" fill="${FLOOR}"`)}
</svg>
`;
}

function drawPanel(title: string, servers: readonly Figures[], top: number): string {
  const echo = servers[0]!;
  const rows = servers.map((server) => ({
    name: server.name,
    ...ratio(server, echo, ({ full }) => full.cpuPerMillion),
  })).sort((a, b) => a.median - b.median);
  const bottom = top + PANEL_HEAD + rows.length * ROW;
  return [
    text(20, top + 26, title, `font-size="14" font-weight="600"`),
    ...rows.flatMap((row, i) => drawRow(row, top + PANEL_HEAD + i * ROW)),
    line([x(1), top + PANEL_HEAD - 6], [x(1), bottom], FLOOR),
  ].join("\n");
}

function drawRow(
  { name, median, min, max }: { name: string; median: number; min: number; max: number },
  top: number,
): string[] {
  const middle = top + ROW / 2;
  const colour = name === "echo" ? FLOOR : name.startsWith("pleiades") ? OURS : OTHERS;
  const label = median.toFixed(2) + (median > RATIO_MAX ? " →" : "");
  return [
    text(NAMES_WIDTH - 10, middle + 4, name, `font-size="13" text-anchor="end"`),
    `<rect x="${x(0)}" y="${top + 4}" width="${round(x(median) - x(0))}" height="${
      ROW - 8
    }" fill="${colour}"/>`,
    ...(max > min ? [line([x(min), middle], [x(max), middle], "#24292f")] : []),
    text(Math.max(x(median), x(max)) + 8, middle + 4, label, `font-size="12"`),
  ];
}

function x(ratio: number): number {
  return round(NAMES_WIDTH + Math.min(ratio, RATIO_MAX) / RATIO_MAX * (WIDTH - NAMES_WIDTH - RIGHT));
}

function line([x1, y1]: [number, number], [x2, y2]: [number, number], colour: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}" stroke-width="1.5"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const fill = attributes.includes("fill=") ? "" : ` fill="#24292f"`;
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}${fill}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
