/**
 * The pages under test: their links, their headings and their fenced blocks, and a shell in which the blocks that are
 * marked as runnable are typed.
 *
 * Marks stand behind the language of a fence, where forges show nothing of them: `sh run` is typed into the page's
 * shell and must succeed (`sh run exit=1`: must fail so); `text output` right behind it is what it prints. In there a
 * line of `…` alone stands for any lines, and what differs from run to run (ids, times, ports) is masked.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { ROOT } from "../scripts/process.ts";
import { freePort } from "./free_port.ts";
import { TOOLS_FOLDER } from "./programs.ts";

/** A fenced block of a page. */
export interface Block {
  /** Language and marks, such as `sh run`. */
  readonly info: string;
  readonly text: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
}

/** A page. */
export interface Page {
  /** Path from the root of the repository. */
  readonly file: string;
  readonly blocks: readonly Block[];
  /** Anchors of its headings, as forges make them. */
  readonly anchors: ReadonlySet<string>;
  /** Link targets with their lines; not those inside of code. */
  readonly links: readonly { readonly target: string; readonly line: number }[];
}

/** Every page of the repository that people read. */
export async function pages(): Promise<Page[]> {
  const files = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "packaging/README.md"];
  for (const folder of ["docs", "docs/decisions", "docs/diagrams"]) {
    for await (const { name } of Deno.readDir(`${ROOT}/${folder}`)) {
      if (name.endsWith(".md")) files.push(`${folder}/${name}`);
    }
  }
  return files.sort().map(readPage);
}

/** Reads a page. */
export function readPage(file: string): Page {
  const blocks: Block[] = [];
  const links: { target: string; line: number }[] = [];
  const anchors = new Set<string>();
  let open: { readonly info: string; readonly line: number; readonly lines: string[] } | null = null;
  for (const [i, line] of Deno.readTextFileSync(`${ROOT}/${file}`).split("\n").entries()) {
    if (line.startsWith("```")) {
      if (open) blocks.push({ info: open.info, text: open.lines.join("\n"), line: open.line });
      open = open ? null : { info: line.slice(3).trim(), line: i + 1, lines: [] };
    } else if (open) open.lines.push(line);
    else {
      const heading = /^#+ (.*)$/.exec(line)?.[1];
      if (heading !== undefined) anchors.add(anchorOf(heading));
      const prose = line.replaceAll(/`[^`]*`/g, "");
      for (const [, target] of prose.matchAll(/\]\(([^()\s]+)\)/g)) {
        links.push({ target: target!, line: i + 1 });
      }
    }
  }
  return { file, blocks, anchors, links };
}

function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
}

/** What is wrong with the links of these pages: a line for each that leads nowhere. */
export function brokenLinks(all: readonly Page[]): string[] {
  const byFile = new Map(all.map((page) => [page.file, page]));
  return all.flatMap((page) =>
    page.links.filter(({ target }) => !/^(https?|mailto):/.test(target)).flatMap(({ target, line }) => {
      const [path = "", anchor] = target.split("#", 2);
      const file = path === "" ? page.file : normalize(join(dirname(page.file), path));
      const where = `${page.file}:${line}: ${target}`;
      if (!exists(file)) return [`${where}: there is no ${file}`];
      const anchors = byFile.get(file)?.anchors;
      return anchor && anchors && !anchors.has(anchor) ? [`${where}: ${file} has no such heading`] : [];
    })
  );
}

function exists(file: string): boolean {
  try {
    Deno.statSync(`${ROOT}/${file}`);
    return true;
  } catch {
    return false;
  }
}

/** A block that is typed, with what it prints where the page says so. */
export interface Step {
  readonly block: Block;
  readonly exitCode: number;
  readonly output: string | null;
}

/** The runnable blocks of a page, in their order. */
export function stepsOf({ blocks }: Page): Step[] {
  return blocks.flatMap((block, i) => {
    if (!/^sh run\b/.test(block.info)) return [];
    const next = blocks[i + 1];
    const output = next?.info === "text output" ? next.text : null;
    return [{ block, exitCode: Number(/\bexit=(\d+)/.exec(block.info)?.[1] ?? 0), output }];
  });
}

/** What a step came to. */
export interface StepResult {
  readonly exitCode: number;
  /** stdout and stderr, the ports as the pages name them. */
  readonly output: string;
}

/**
 * Types all steps into one shell, in an empty folder. `pleiades` is the executable under test, or the sources; the
 * ports that the pages name (`PORTS`) are replaced by free ones.
 */
export async function typeSteps(steps: readonly Step[], executable: string | null): Promise<StepResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-docs-" });
  try {
    const ports = freePorts();
    await Deno.mkdir(`${folder}/bin`);
    await Deno.mkdir(`${folder}/out`);
    await Deno.mkdir(`${folder}/here`);
    await Deno.writeTextFile(`${folder}/bin/pleiades`, shim(executable, ports), { mode: 0o755 });
    await Deno.writeTextFile(`${folder}/session.sh`, session(steps, { folder, ports }));
    const { success, stderr } = await new Deno.Command("bash", {
      args: [`${folder}/session.sh`],
      cwd: `${folder}/here`,
      env: {
        PATH: `${folder}/bin:${Deno.env.get("PATH")}:${TOOLS_FOLDER}`,
        PLEIADES_DNS_PORT: ports["5353"],
        PLEIADES_API_PORT: ports["8080"],
        PLEIADES_API_URL: `http://127.0.0.1:${ports["8080"]}`,
        NO_COLOR: "1",
        // Who types: changes carry the name.
        ...{ USER: "anna", SUDO_USER: "" },
      },
      stdin: "null",
      signal: AbortSignal.timeout(SESSION_MS_MAX),
    }).output();
    if (!success) {
      throw new Error(`The shell ended early: ${new TextDecoder().decode(stderr)}${lastWords(folder)}`);
    }
    return steps.map((_, i) => ({
      exitCode: Number(Deno.readTextFileSync(`${folder}/out/${i}.code`)),
      output: asWritten(Deno.readTextFileSync(`${folder}/out/${i}.text`), ports),
    }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What the last step of a session that ended early had printed by then, and the ends of the logs beside it. */
function lastWords(folder: string): string {
  const begun = [...Deno.readDirSync(`${folder}/out`)].filter(({ name }) => name.endsWith(".text")).length;
  const logs = [...Deno.readDirSync(`${folder}/here`)].filter(({ name }) => name.endsWith(".log"));
  const files = [`out/${begun - 1}.text`, ...logs.map(({ name }) => `here/${name}`)];
  return files.filter((file) => existsSync(`${folder}/${file}`))
    .map((file) => `\n${file}: ${Deno.readTextFileSync(`${folder}/${file}`).slice(-LAST_WORDS_MAX)}`).join(
      "",
    );
}

const LAST_WORDS_MAX = 1_000;
/** A session that takes longer hangs; one of fifty commands takes ten seconds, and a minute on a busy machine. */
const SESSION_MS_MAX = 300_000;

/** Of DNS, the API, DNS over TLS and over HTTPS, a second and a third node's DNS and API, NATS, and discovery. */
const PORTS = ["5353", "8080", "8853", "8443", "5354", "8081", "5355", "8082", "4222", "5959"] as const;
const ANY_PORT = new RegExp(`\\b(?:${PORTS.join("|")})\\b`, "g");

type Ports = Readonly<Record<typeof PORTS[number], string>>;

function freePorts(): Ports {
  const free = new Set<string>();
  while (free.size < PORTS.length) free.add(String(freePort()));
  // Every port that pages name has one of its own.
  return Object.fromEntries(PORTS.map((written, i) => [written, [...free][i]])) as Ports;
}

/** Runs Pleiades; `query` asks the node of this session where the page relies on the default port. */
function shim(executable: string | null, ports: Ports): string {
  const command = executable ?? `${Deno.execPath()} run -A --unstable-net ${ROOT}/main.ts`;
  return `#!/bin/sh
case "$1 $*" in
  query*@*) ;;
  query*) set -- "$@" @127.0.0.1:${ports["5353"]} ;;
esac
exec ${command} "$@"
`;
}

/** One script for all steps, so that variables, folders and background jobs go from one to the next. */
function session(steps: readonly Step[], { folder, ports }: { folder: string; ports: Ports }): string {
  const parts = steps.map(({ block: { text } }, i) =>
    [
      "failed=0",
      "{",
      text.replaceAll(ANY_PORT, (port) => ports[port as keyof Ports])
        // A page's reader waits a second for a node to start; a machine with other work may need more.
        .replaceAll(/^sleep 1$/gm, WAIT_UNTIL_READY)
        // And two for the first checks of its members.
        .replaceAll(/^sleep 2$/gm, WAIT_UNTIL_CHECKED),
      `} > ${folder}/out/${i}.text 2>&1`,
      `echo $failed > ${folder}/out/${i}.code`,
      ...(/&$/.test(text.trim()) ? [WAIT_UNTIL_READY] : []),
    ].join("\n")
  );
  return [
    `trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT`,
    `trap 'failed=$?' ERR`,
    ...parts,
    "exit 0",
  ].join("\n");
}

/**
 * People need longer than this to type the next line. The shell looks for the port, and then asks what `curl` can be told: asking by
 * `pleiades`, for where that is refused, takes a third of the processor time that the start of the node takes, each time.
 */
const WAIT_UNTIL_READY =
  "for turn in $(seq 600); do if (: <>/dev/tcp/127.0.0.1/$PLEIADES_API_PORT) 2>/dev/null; then break; fi; sleep 0.1; done; " +
  "for turn in $(seq 200); do if curl -fso /dev/null http://127.0.0.1:$PLEIADES_API_PORT/readyz || " +
  "pleiades status >/dev/null 2>&1; then break; fi; sleep 0.3; done";

/** Until a member is healthy and one behind it isn't. */
const WAIT_UNTIL_CHECKED = "for turn in $(seq 200); do " +
  "if pleiades members list | tr -d '\\n' | grep -q ' healthy .* unhealthy '; then break; fi; sleep 0.3; done";

function asWritten(text: string, ports: Ports): string {
  // As a word: an id and a time have the same digits now and then.
  return Object.entries(ports).reduce(
    (all, [written, port]) => all.replaceAll(new RegExp(`\\b${port}\\b`, "g"), written),
    text,
  );
}

/** Whether the output is what the page shows, but for what differs from run to run. */
export function shows(page: string, output: string): boolean {
  const pattern = masked(page).split("\n").map((line) =>
    line.trim() === "…" ? "(?:.*\n)*?" : `${line.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}\n`
  ).join("");
  return new RegExp(`^${pattern}$`).test(`${masked(output)}\n`);
}

/** Lines without what differs from run to run, and without padding, which follows from it. */
function masked(text: string): string {
  return MASKS.reduce((all, [pattern, mask]) => all.replaceAll(pattern, mask), text).trim();
}

const MASKS: readonly [RegExp, string][] = [
  [/\b[0-9a-f]{32}\b/g, "<id>"],
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>"],
  [/\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?\b/g, "<time>"],
  [/\b\d{16}\b/g, "<event>"],
  [/\b\d\d:\d\d:\d\d(\.\d+)?\b/g, "<time>"],
  [/\b\d{13}\b/g, "<time>"],
  [/\bid: \d+/g, "id: <n>"],
  [/\b\d+(\.\d+)? (msec|ms|s|min|KiB|MiB|kB|MB)\b/g, "<n> $2"],
  // How an address where nobody is stays silent is up to the network of the machine.
  [/timeout after <n> ms|no route to host|network is unreachable/g, "<silent>"],
  [/[ \t]+/g, " "],
  [/ $/gm, ""],
];
