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

/** SGR colour → what it looks like on the picture's dark ground. */
const COLOURS: Readonly<Record<number, string>> = {
  31: "#ff7b72",
  32: "#7ee787",
  33: "#e3b341",
  36: "#79c0ff",
};
const GROUND = "#0d1117";
const PLAIN = "#e6edf3";
const QUIET = "#8b949e";

interface Style {
  readonly colour: string;
  readonly bold: boolean;
  readonly quiet: boolean;
}

const USUAL: Style = { colour: PLAIN, bold: false, quiet: false };

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

/** An SVG of a screen. */
export function drawing(screen: string): string {
  const lines = linesOf(screen);
  const width = Math.round(COLUMNS * CELL_WIDTH + 2 * MARGIN);
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN;
  const texts = lines.flatMap((runs, row) => runs.map((run) => textElement(run, row)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    "<title>pleiades demo: a backend dies, leaves the answers, and comes back</title>",
    `<rect width="${width}" height="${height}" rx="8" fill="${GROUND}"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}" xml:space="preserve">`,
    ...texts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function textElement({ column, text, style }: Run, row: number): string {
  const x = (MARGIN + column * CELL_WIDTH).toFixed(1);
  const y = MARGIN + row * LINE_HEIGHT + FONT_SIZE;
  const length = ([...text].length * CELL_WIDTH).toFixed(1);
  const weight = style.bold ? ' font-weight="bold"' : "";
  return `<text x="${x}" y="${y}" textLength="${length}" fill="${
    style.quiet ? QUIET : style.colour
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
    const text = part.trim();
    const at = column + [...part].length - [...part.trimStart()].length;
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
  if (number === 22) return { ...style, bold: false, quiet: false };
  return { ...style, colour: COLOURS[number] ?? PLAIN };
}

if (import.meta.main) {
  const screen = await captureDemo();
  const path = `${ROOT}/docs/images/demo.svg`;
  Deno.writeTextFileSync(path, drawing(screen));
  console.log(`docs/images/demo.svg (${screen.split("\n").length} lines)`);
}
