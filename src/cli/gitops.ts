/**
 * `pleiades gitops`: how the model stands to its repository, and a look at it at once.
 *
 * @module
 */
import { countOf } from "../input/count.ts";
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import { fieldAt, type OutputFormat, printObject } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { wallTimeOfSecond } from "./wall_time.ts";

/** Flags of both commands. */
export interface GitopsFlags extends ClientOptions {
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Flags of `sync`. */
export interface SyncFlags extends GitopsFlags {
  /** Whether guards and the rule of fast-forward are passed over. */
  readonly force?: boolean;
  /** Kept in the history. */
  readonly reason?: string;
}

/** Objects of a drift that are printed. */
const DRIFT_MAX = 10;

/** Prints how the model stands to its repository; 1 when it isn't what the head says. */
export async function gitopsStatus(
  { output, ...options }: GitopsFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const status = await new ApiClient(options, terminal).get("/gitops");
  await printObject(output === "table" ? summaryOf(status) : status, output, terminal);
  return status["state"] === "synced" ? 0 : 1;
}

/** Looks at the repository at once. */
export async function gitopsSync(
  { output, force, reason, ...options }: SyncFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  if (force && (reason ?? "").trim() === "") {
    throw new CommandFailed("A sync that is forced asks for a reason (--reason TEXT)", 2);
  }
  const client = new ApiClient(options, terminal);
  const response = await client.request("POST", `/gitops/sync${writeQuery({ force, reason })}`);
  const done: unknown = await response.json();
  if (!isJsonObject(done)) throw new CommandFailed("The API sent no result");
  if (output !== "table") await printObject(done, output, terminal);
  else terminal.out(wordsOf(done));
  return 0;
}

function wordsOf({ result, commit, signer, generation, changed }: JsonObject): string {
  const short = String(commit).slice(0, 12);
  if (result === "unchanged") return `ok: commit ${short} is what the branch has, and is applied`;
  const by = signer === "" ? "" : `, signed by ${String(signer)}`;
  const what = changed === true ? `generation ${String(generation)}` : "nothing differs";
  return `ok: commit ${short} is ${String(result)}${by} (${what})`;
}

/** What an operator wants to know first, in words. */
function summaryOf(status: JsonObject): JsonObject {
  const at = (path: string) => String(fieldAt(status, path) ?? "");
  if (status["state"] === "off") return { state: "off: no repository is set (gitops.repoURL)" };
  const folder = at("pathPrefix") === "" ? "" : `, folder ${at("pathPrefix")}`;
  const applied = status["applied"] === null
    ? "none"
    : `${at("applied.commit")}${
      at("applied.signer") === "" ? "" : `, signed by ${at("applied.signer")}`
    }, generation ${at("applied.generation")} at ${wallTimeOfSecond(fieldAt(status, "applied.at"))}`;
  return {
    state: at("state"),
    repository: `${at("repository")}, branch ${at("branch")}${folder}`,
    applied,
    head: at("head") === "" ? "not seen yet" : at("head"),
    "looked at": status["fetchedAt"] === null ? "not yet" : wallTimeOfSecond(status["fetchedAt"]),
    ...problemOf(status),
    ...driftOf(status),
  };
}

function problemOf(status: JsonObject): JsonObject {
  const problem = status["problem"];
  if (!isJsonObject(problem)) return {};
  const listed = Array.isArray(problem["problems"]) ? problem["problems"].slice(1, DRIFT_MAX) : [];
  return { problem: [String(problem["message"]), ...listed.map(String)].join("; ") };
}

function driftOf(status: JsonObject): JsonObject {
  const count = Number(fieldAt(status, "drift.objects") ?? 0);
  if (count === 0) return {};
  const changes = fieldAt(status, "drift.changes");
  const named = (Array.isArray(changes) ? changes.filter(isJsonObject) : []).slice(0, DRIFT_MAX)
    .map(({ kind, name, action }) => `${String(kind)} ${String(name)} ${String(action)}`);
  const more = fieldAt(status, "drift.more") === true ? " or more" : "";
  return { drift: `${countOf(count, "object")}${more} changed by another way: ${named.join(", ")}` };
}
