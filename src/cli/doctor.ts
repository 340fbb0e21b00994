/**
 * `pleiades doctor`: examines this machine by the settings that a node would be started with, asks a node that runs for
 * what it finds itself, and says what to do. It changes nothing.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import { type Check, examine } from "../doctor/check.ts";
import { CHECKS_BEFORE_START, CHECKS_BESIDE_NODE, CHECKS_BESIDE_SILENT_NODE } from "../doctor/checks.ts";
import { type Finding, LEVELS, worstFirst } from "../doctor/finding.ts";
import { isServed } from "../doctor/ports.ts";
import { ownRights } from "../doctor/rights.ts";
import { installedUnit, readUnit, type ServiceUnit } from "../doctor/service_unit.ts";
import { countOf } from "../input/count.ts";
import { formatSocketAddress } from "../ip.ts";
import type { FileProblem } from "../input/yaml_source.ts";
import { judgeDatabases } from "../settings/databases.ts";
import { type LoadedSettings, loadSettings, type Settings } from "../settings/settings.ts";
import { DEFAULT_API_URL } from "./api_url.ts";
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { cellText, isTable, type OutputFormat, printRows } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** What the command line says. */
export interface DoctorFlags extends ClientOptions {
  /** The settings file. */
  readonly config?: string;
  /** The unit that starts the node. */
  readonly unit?: string;
  /** `--db`, as `serve` takes it. */
  readonly db?: string;
  /** `--dns`, as `serve` takes it. */
  readonly dns?: readonly string[];
  /** `-o`. */
  readonly output: OutputFormat;
}

/** A finding, and who has it. */
type Told = Finding & { readonly from: "this machine" | "the node" };

/** Longest wait for a node: it takes two seconds for its own checks. */
const NODE_TIMEOUT_MS = 5_000;

/** Examines this machine; 1 when anything is found. */
export async function doctor(flags: DoctorFlags, terminal: Terminal): Promise<ExitCode> {
  const unit = await unitOf(flags);
  const loaded = await settingsOf(flags, unit);
  const node = await askNode(flags, loaded.settings, terminal);
  const { checks, findings, remark: hidden } = await examineHere(loaded, { unit, node });
  const told = worstFirst([
    ...node.findings.map((finding) => ({ ...finding, from: "the node" as const })),
    ...findings.filter((finding) => !node.findings.some((other) => isSame(finding, other)))
      .map((finding) => ({ ...finding, from: "this machine" as const })),
  ]);
  await print(told, flags.output, terminal);
  const done = told.length === 0 ? whatWasDone(checks, node) : null;
  for (const remark of [node.remark, hidden, done]) if (remark !== null) terminal.err(remark);
  return told.length === 0 ? 0 : 1;
}

/** A node on this machine sees some of the same files. */
function isSame(a: Finding, b: Finding): boolean {
  return a.check === b.check && a.subject === b.subject;
}

function whatWasDone(checks: number, node: AskedNode): string {
  return `nothing to fix: ${countOf(checks, "check")} here` +
    (node.state === "answered" ? `, ${countOf(node.checks, "check")} by the node at ${node.url}` : "");
}

/** The unit that starts the node, unless flags say how it would be started. */
async function unitOf({ unit, config, db, dns }: DoctorFlags): Promise<ServiceUnit | null> {
  if (unit === undefined) return config ?? db ?? dns ? null : await installedUnit();
  if (config ?? db ?? dns) {
    throw wrongUsage("--unit says how the node is started, so -c, --db and --dns can't");
  }
  try {
    return await readUnit(unit);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`Cannot read the unit ${unit}: ${cause.message}`, 1, { cause });
  }
}

function settingsOf({ config, db, dns }: DoctorFlags, unit: ServiceUnit | null): Promise<LoadedSettings> {
  const file = unit === null ? config : unit.config;
  return judgeDatabases(loadSettings({
    ...(file !== undefined && { file }),
    env: unit === null ? Deno.env.toObject() : unit.env,
    flags: unit?.flags ?? { ...(db !== undefined && { db }), ...(dns !== undefined && { dns }) },
  }));
}

/** A node that was asked. */
interface AskedNode {
  /** none runs there · it didn't tell · it did. */
  readonly state: "none" | "silent" | "answered";
  readonly url: string;
  readonly findings: readonly Finding[];
  /** How many checks it made. */
  readonly checks: number;
  /** What to say of it besides. */
  readonly remark: string | null;
}

/** Asks the node at the given address, or where one usually is: there it may be that none runs. */
async function askNode(
  flags: DoctorFlags,
  settings: Settings | null,
  terminal: Terminal,
): Promise<AskedNode> {
  const usual = terminal.env("PLEIADES_API_URL") ??
    (settings === null ? DEFAULT_API_URL : apiUrlOf(settings));
  const url = flags.api ?? usual;
  const none: AskedNode = { state: "none", url: url ?? "", findings: [], checks: 0, remark: null };
  if (url === null) return none;
  const api = new ApiClient({ ...flags, api: url }, terminal, { timeoutMs: NODE_TIMEOUT_MS });
  try {
    if (flags.api === undefined && !await isNode(url)) return none;
    return { ...none, state: "answered", ...examinationIn(await api.get("/doctor")) };
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    if (flags.api === undefined) {
      return { ...none, state: "silent", remark: `the node didn't tell: ${error.message}` };
    }
    const finding: Finding = {
      check: "node",
      level: "problem",
      subject: url,
      message: error.message,
      fix: "start the node, or name another address or another token (--api, --token)",
    };
    return { ...none, findings: [finding] };
  }
}

/** Where the API listens; `null` = nowhere that is known. */
function apiUrlOf({ api }: Settings): string | null {
  if (!api.enabled || api.port === 0) return null;
  const hostname = { "0.0.0.0": "127.0.0.1", "::": "::1" }[api.listenAddr] ?? api.listenAddr;
  return `${api.tls.certFile === null ? "http" : "https"}://${
    formatSocketAddress({ hostname, port: api.port })
  }`;
}

/** Whether a node answers there. No token is sent: another program may have the port. */
async function isNode(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, {
      redirect: "error",
      signal: AbortSignal.timeout(NODE_TIMEOUT_MS),
    });
    const body: unknown = await response.json();
    return isJsonObject(body) && body["status"] === "ok";
  } catch {
    return false;
  }
}

/** What a node found; a newer one may have other levels, which count as warnings. */
function examinationIn({ checks, findings }: JsonObject): Pick<AskedNode, "checks" | "findings"> {
  return {
    checks: Array.isArray(checks) ? checks.length : 0,
    findings: (Array.isArray(findings) ? findings.filter(isJsonObject) : []).map((finding) => ({
      check: cellText(finding["check"]),
      level: LEVELS.find((level) => level === finding["level"]) ?? "warning",
      subject: cellText(finding["subject"]),
      message: cellText(finding["message"]),
      fix: cellText(finding["fix"]),
    })),
  };
}

interface Around {
  readonly unit: ServiceUnit | null;
  readonly node: AskedNode;
}

/** What was seen from here. */
interface Seen {
  /** How many checks there were, that of the settings included. */
  readonly checks: number;
  readonly findings: readonly Finding[];
  /** What couldn't be looked at, and needn't. */
  readonly remark: string | null;
}

/** The settings first, and with them the machine. */
async function examineHere(loaded: LoadedSettings, { unit, node }: Around): Promise<Seen> {
  const hidden = [
    ...(unit?.unreadable ?? []),
    ...loaded.problems.filter(({ message }) => message.includes(MAY_NOT_READ)).map(({ file }) => file),
  ];
  if (hidden.length > 0) return notForThisUser(hidden, node);
  const { settings, notes, secretFiles } = loaded;
  const ofSettings = [
    ...loaded.problems.map((problem) => settingsFinding(problem, "problem")),
    ...notes.map((note) => settingsFinding(note, "warning")),
  ];
  if (settings === null) return { checks: 1, findings: ofSettings, remark: null };
  const checks = await checksFor(settings, node);
  const own = ownRights("hard");
  const found = await examine(checks, {
    settings,
    ...{ secretFiles, settingsFile: loaded.file },
    clock: systemClock,
    rights: unit === null ? own : { ...unit.rights, openFiles: unit.rights.openFiles ?? own.openFiles },
    node: null,
  });
  return { checks: checks.length + 1, findings: [...ofSettings, ...found], remark: null };
}

/** How settings say that a file isn't for this user (`fileFault`). */
const MAY_NOT_READ = "this user may not read it";

/** Settings that are for the service and for root: a node that runs by them has told what it finds. */
function notForThisUser(files: readonly string[], { state }: AskedNode): Seen {
  const [file] = files;
  if (state === "answered") {
    return {
      checks: 0,
      findings: [],
      remark: `the settings weren't checked: ${MAY_NOT_READ}: ${file} (run it as root)`,
    };
  }
  const finding: Finding = {
    check: "settings",
    level: "warning",
    subject: file!,
    message:
      `couldn't be checked: ${MAY_NOT_READ}, and nothing is known of what a node would be started with`,
    fix: "run it as root, or as the node's user",
  };
  return { checks: 1, findings: [finding], remark: null };
}

/** Those of a node, and those of an agent where the settings have one. */
async function checksFor(settings: Settings, node: AskedNode): Promise<readonly Check[]> {
  const checks = await nodeChecksFor(settings, node);
  if (settings.agent.fqdn === null) return checks;
  const { agentRecord } = await import("../agent/doctor_check.ts");
  return [...checks, agentRecord];
}

/** A node that runs has bound its ports, and knows its own process better than a shell does. */
async function nodeChecksFor(settings: Settings, { state }: AskedNode): Promise<readonly Check[]> {
  if (state === "answered") return CHECKS_BESIDE_NODE;
  const isThere = state === "silent" || await isServed(settings, AbortSignal.timeout(NODE_TIMEOUT_MS));
  return isThere ? CHECKS_BESIDE_SILENT_NODE : CHECKS_BEFORE_START;
}

/** Problems of settings end with their fix in parentheses. */
function settingsFinding({ file, line, column, message }: FileProblem, level: Finding["level"]): Finding {
  const parts = /^(.*?) \(((?:[^()]|\([^()]*\))+)\)$/s.exec(message);
  return {
    check: "settings",
    level,
    subject: line > 0 ? `${file}:${line}:${column}` : file,
    message: parts?.[1] ?? message,
    fix: parts?.[2] ?? "correct it there; docs/configuration.md has every key",
  };
}

async function print(told: readonly Told[], output: OutputFormat, terminal: Terminal): Promise<void> {
  if (!isTable(output)) {
    return await printRows(told.map((each) => ({ ...each })), { columns: [], output }, terminal);
  }
  if (told.length > 0) terminal.out(tableOf(told, Math.max(WIDTH_MIN, terminal.columns ?? WIDTH)));
}

/** Where the output is no terminal, and where a terminal is narrower than anything fits. */
const WIDTH = 80;
const WIDTH_MIN = 40;

/** A row for each, and below it what is wrong and the fix, on as many lines as they take. */
function tableOf(told: readonly Told[], width: number): string {
  const rows = [{ level: "level", check: "check", subject: "subject" }, ...told];
  const widthOf = (key: "level" | "check") => Math.max(...rows.map((row) => row[key].length));
  const [first, second] = [widthOf("level"), widthOf("check")];
  const row = ({ level, check, subject }: { level: string; check: string; subject: string }) =>
    `${level.padEnd(first)}  ${check.padEnd(second)}  ${cellText(subject)}`;
  return [
    row(rows[0]!),
    ...told.flatMap((each) => [
      row(each),
      ...wrapped(`${each.from === "the node" ? "the node: " : ""}${cellText(each.message)}`, "  ", width),
      ...wrapped(`fix: ${cellText(each.fix)}`, "  ", width),
    ]),
  ].join("\n");
}

/** Lines of at most so many characters, each behind the indent; longer words have a line of their own. */
function wrapped(text: string, indent: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, indent + line];
}
