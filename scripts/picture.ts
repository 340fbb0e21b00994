/**
 * `deno run -A scripts/picture.ts`: draws `docs/images/demo.svg`, the terminal of a real `deno task demo`.
 *
 * The demo runs in tmux, which keeps what a terminal shows; while it waits for its backend to die the script asks it a
 * few times, so that there are answers to tell. What stands on the screen when the backend is back becomes one SVG
 * text element per run of equal style, each at its own column, so that a viewer's font can't shift the table.
 *
 * @module
 */
import { ROOT } from "./process.ts";

const COLUMNS = 100;
const ROWS = 48;
const CELL_WIDTH = 7.8;
const LINE_HEIGHT = 18;
const FONT_SIZE = 13;
const MARGIN = 16;
const SESSION = `pleiades-picture-${Deno.pid}`;
/** The whole story takes some 25 s. */
const STORY_MS_MAX = 60_000;

/** What a terminal looks like. */
export interface Palette {
  /** SGR colour → what it looks like on the ground. */
  readonly colours: Readonly<Record<number, string>>;
  readonly ground: string;
  readonly plain: string;
  readonly quiet: string;
}

/** With a dark ground. */
export const DARK: Palette = {
  colours: { 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 36: "#79c0ff" },
  ground: "#0d1117",
  plain: "#e6edf3",
  quiet: "#8b949e",
};

/** With a light one. */
export const LIGHT: Palette = {
  colours: { 31: "#cf222e", 32: "#116329", 33: "#7d4e00", 36: "#0550ae" },
  ground: "#ffffff",
  plain: "#1f2328",
  quiet: "#6e7781",
};

interface Style {
  /** Of SGR; `null` = plain. */
  readonly colour: number | null;
  readonly bold: boolean;
  readonly quiet: boolean;
  readonly inverse: boolean;
}

const USUAL: Style = { colour: null, bold: false, quiet: false, inverse: false };

interface Run {
  readonly column: number;
  readonly text: string;
  readonly style: Style;
}

/** What a terminal shows when a backend of the demo has gone and come back, with colours as SGR sequences. */
async function captureDemo(): Promise<string> {
  const start = `${Deno.execPath()} task -q demo`;
  await tmux(
    "new-session",
    "-d",
    "-s",
    SESSION,
    "-x",
    String(COLUMNS),
    "-y",
    String(ROWS),
    "-c",
    ROOT,
    start,
  );
  try {
    const intro = await screenWith(/must|asking/);
    const server = /^ *DNS +(\S+)/m.exec(intro)?.[1] ?? "";
    for (const name of ["www.demo.test", "www.demo.test", "shop.demo.test"]) await ask(name, server);
    await screenWith(/GONE/);
    await ask("shop.demo.test", server);
    return await screenWith(/From here on/, ["-e"]);
  } finally {
    await tmux("send-keys", "-t", SESSION, "q");
    await screenGone();
  }
}

async function ask(name: string, server: string): Promise<void> {
  const args = ["run", "-A", "--unstable-net", "main.ts", "query", name, `@${server}`, "-o", "short"];
  await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "null" }).output();
}

/** The screen as soon as it shows the pattern. */
async function screenWith(pattern: RegExp, flags: readonly string[] = []): Promise<string> {
  const deadline = performance.now() + STORY_MS_MAX;
  while (performance.now() < deadline) {
    if (pattern.test(await tmux("capture-pane", "-p", "-t", SESSION))) {
      return await tmux("capture-pane", "-p", ...flags, "-t", SESSION);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`The demo never showed ${pattern}`);
}

/** Waits for the demo to end by itself; the session ends with it. */
async function screenGone(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) {
    const { success } = await new Deno.Command("tmux", { args: ["has-session", "-t", SESSION] }).output();
    if (!success) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await tmux("kill-session", "-t", SESSION);
}

async function tmux(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("tmux", { args }).output();
  if (!success) throw new Error(`tmux ${args[0]}: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout);
}

/** What a picture is of. */
export interface Picture {
  /** For those who can't see it. */
  readonly title: string;
  /** Of the terminal. */
  readonly columns: number;
  /** How it looks. */
  readonly palette: Palette;
}

const DEMO: Picture = {
  title: "pleiades demo: a backend dies, leaves the answers, and comes back",
  columns: COLUMNS,
  palette: DARK,
};

/** An SVG of a screen. */
export function drawing(screen: string, { title, columns, palette }: Picture = DEMO): string {
  const lines = linesOf(screen);
  const width = Math.round(columns * CELL_WIDTH + 2 * MARGIN);
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN;
  const texts = lines.flatMap((runs, row) => runs.map((run) => textElement(run, row, palette)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${title}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="${palette.ground}"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}" xml:space="preserve">`,
    ...texts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function textElement({ column, text, style }: Run, row: number, palette: Palette): string {
  const left = (MARGIN + column * CELL_WIDTH).toFixed(1);
  const y = MARGIN + row * LINE_HEIGHT + FONT_SIZE;
  const length = ([...text].length * CELL_WIDTH).toFixed(1);
  const weight = style.bold ? ' font-weight="bold"' : "";
  const { colours, plain, quiet, ground } = palette;
  const ink = style.quiet ? quiet : style.colour === null ? plain : colours[style.colour] ?? plain;
  const top = y - FONT_SIZE - 1;
  const mark = style.inverse
    ? `<rect x="${left}" y="${top}" width="${length}" height="${LINE_HEIGHT}" fill="${ink}"/>`
    : "";
  return `${mark}<text x="${left}" y="${y}" textLength="${length}" fill="${
    style.inverse ? ground : ink
  }"${weight}>${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** tmux names a style only where it changes, so a line may begin in the one that the line before ended in. */
function linesOf(screen: string): Run[][] {
  let style = USUAL;
  return screen.trimEnd().split("\n").map((line) => {
    const { runs, last } = runsOf(line, style);
    style = last;
    return runs;
  });
}

/** Splits a line at its SGR sequences; blanks at the ends of runs are left to the columns. */
function runsOf(line: string, first: Style): { readonly runs: Run[]; readonly last: Style } {
  const runs: Run[] = [];
  let style = first;
  let column = 0;
  for (const part of line.split(SGR_SEQUENCE)) {
    const codes = CODES.exec(part)?.[1];
    if (codes !== undefined) {
      style = codes.split(";").reduce(styleAfter, style);
      continue;
    }
    // A mark is as long as it is, blanks and all.
    const text = style.inverse ? part : part.trim();
    const at = style.inverse ? column : column + [...part].length - [...part.trimStart()].length;
    if (text !== "") runs.push({ column: at, text, style });
    column += [...part].length;
  }
  return { runs, last: style };
}

const ESCAPE = String.fromCharCode(0x1b);
const SGR_SEQUENCE = new RegExp(`(${ESCAPE}\\[[0-9;]*m)`);
const CODES = new RegExp(`^${ESCAPE}\\[([0-9;]*)m$`);

function styleAfter(style: Style, code: string): Style {
  const number = Number(code);
  if (number === 0) return USUAL;
  if (number === 1) return { ...style, bold: true };
  if (number === 2) return { ...style, quiet: true };
  if (number === 7) return { ...style, inverse: true };
  if (number === 22) return { ...style, bold: false, quiet: false };
  if (number === 27) return { ...style, inverse: false };
  // The ground is nowhere another one.
  if (number === 49) return style;
  return { ...style, colour: number === 39 ? null : number };
}

if (import.meta.main) {
  const screen = await captureDemo();
  const path = `${ROOT}/docs/images/demo.svg`;
  Deno.writeTextFileSync(path, drawing(screen));
  console.log(`docs/images/demo.svg (${screen.split("\n").length} lines)`);
}
