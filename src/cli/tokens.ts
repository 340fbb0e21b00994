/**
 * What the commands of tokens do: on the API, or on a database with no node, as for the first token.
 *
 * @module
 */
import { isId } from "../model/id.ts";
import { ApiClient, type ClientOptions, type JsonObject, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { authorName } from "./login_name.ts";
import { type Column, isTable, type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { wallTime } from "./wall_time.ts";

/** What the command lines take. */
export interface TokenOptions extends ClientOptions {
  /** Work on this file. */
  readonly db?: string;
  /** Work on the file that these settings name. */
  readonly config?: string;
  /** Of a new token. */
  readonly scope?: string;
  /** How long a new token counts, as it was typed. */
  readonly expireIn?: string;
  /** For the audit. */
  readonly reason?: string;
  /** Only try it. */
  readonly dryRun?: boolean;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Where tokens are kept: behind the API, or in a file. Objects are as the API has them. */
export interface TokenKeeper {
  /** All of them. */
  list(): Promise<readonly JsonObject[]>;
  /** Creates one; with its secret unless it is only tried. */
  create(fields: NewToken): Promise<JsonObject>;
  /** Revokes one. */
  revoke(id: string): Promise<void>;
}

/** What a new token is to be. */
export interface NewToken {
  /** Its name. */
  readonly name: string;
  /** What it allows. */
  readonly scope: string;
  /** A duration; `null` = until it is revoked. */
  readonly expiresIn: string | null;
}

/** The commands, each of which gives its exit code. */
export interface TokenCommands {
  /** Prints all. */
  list(): Promise<ExitCode>;
  /** Prints one. */
  get(reference: string): Promise<ExitCode>;
  /** Creates one, and prints its secret. */
  create(name: string | undefined): Promise<ExitCode>;
  /** Revokes one. */
  revoke(reference: string): Promise<ExitCode>;
}

const COLUMNS: readonly Column[] = [
  textColumn("name"),
  textColumn("scope"),
  textColumn("state"),
  { title: "expires", cell: ({ expiresAt }) => timeOr(expiresAt, "never") },
  { title: "last used", cell: ({ lastUsedAt }) => timeOr(lastUsedAt, "never") },
  { title: "created", cell: ({ createdAt }) => wallTime(createdAt), isWide: true },
  { title: "by", cell: textColumn("createdBy").cell, isWide: true },
  { ...textColumn("id"), isWide: true },
];

/** The commands on the API, or on the database that the options name. */
export async function tokensOf(options: TokenOptions, terminal: Terminal): Promise<TokenCommands> {
  const keeper = await keeperOf(options, terminal);
  const { output, dryRun = false } = options;
  const find = async (reference: string) => foundIn(await keeper.list(), reference);
  const print = async (rows: readonly JsonObject[]) => {
    await printRows(rows, { columns: COLUMNS, output, fits: true }, terminal);
    return 0 as const;
  };
  return {
    list: async () => {
      const rows = await keeper.list();
      if (rows.length > 0 || !isTable(output)) return await print(rows);
      terminal.err("There is no token: a loopback API asks for none (pleiades tokens create --scope admin)");
      return 0;
    },
    get: async (reference) => {
      await printObject(await find(reference), output, terminal);
      return 0;
    },
    create: async (given) => {
      const name = given ?? authorName(terminal) ??
        raise(wrongUsage("Cannot tell who you are (give a name)"));
      const { scope = "", expireIn = null } = options;
      const made = await keeper.create({ name, scope, expiresIn: expireIn });
      if (dryRun || !isTable(output)) {
        await printObject(made, output, terminal);
        return 0;
      }
      const until = made["expiresAt"] === null
        ? "until it is revoked"
        : `until ${wallTime(made["expiresAt"])}`;
      terminal.err(`created the token "${name}" (${scope}, ${until}); it is shown this once:`);
      terminal.out(String(made["token"]));
      return 0;
    },
    revoke: async (reference) => {
      const { id, name } = await find(reference);
      await keeper.revoke(String(id));
      terminal.out(dryRun ? `would revoke the token "${name}"` : `revoked the token "${name}"`);
      return 0;
    },
  };
}

async function keeperOf(options: TokenOptions, terminal: Terminal): Promise<TokenKeeper> {
  const { db, config, api, dryRun, reason } = options;
  if (db !== undefined || config !== undefined) {
    if (api !== undefined) throw wrongUsage("Give --api, or --db or --config, not both");
    return (await import("./offline_tokens.ts")).offlineTokens(options, terminal);
  }
  const client = new ApiClient(options, terminal);
  const query = writeQuery({ dryRun, reason });
  return {
    list: () => client.list("/tokens"),
    create: async (json) => await client.send("POST", `/tokens${query}`, { json }) ?? {},
    revoke: async (id) => void await client.send("DELETE", `/tokens/${id}${query}`),
  };
}

/** By its id, or by the name of one that isn't revoked, or of the last one that had it. */
function foundIn(all: readonly JsonObject[], reference: string): JsonObject {
  const named = all.filter(({ id, name }) => isId(reference) ? id === reference : name === reference);
  const found = named.find(({ state }) => state !== "revoked") ?? named.at(-1);
  return found ??
    raise(new CommandFailed(`No token is called "${reference}" ("pleiades tokens list" shows all)`));
}

function raise(error: Error): never {
  throw error;
}

function timeOr(value: unknown, otherwise: string): string {
  return value === null || value === undefined ? otherwise : wallTime(value);
}
