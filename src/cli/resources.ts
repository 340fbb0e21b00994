/**
 * What the noun-verb commands do: find the object that a name means, send the change, print what came of it.
 *
 * Whatever has an id can be named by its name, domain or address as well; a name that fits several objects is
 * refused with their ids.
 *
 * @module
 */
import { fileFault } from "../config/file_fault.ts";
import { isId } from "../config/id.ts";
import { nearest } from "../config/nearest.ts";
import { canonicalIp } from "../ip.ts";
import { ApiClient, type ClientOptions, type JsonObject, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { type Noun, NOUNS } from "./nouns.ts";
import { type Column, type OutputFormat, printObject, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** What is to be done; `put` and `set` replace what is there. */
export type Verb = "list" | "get" | "create" | "update" | "delete" | "put" | "set";

/** One noun-verb command line, read. */
export interface ResourceRequest extends ClientOptions {
  /** The kind of thing. */
  readonly noun: Noun;
  /** What is to be done with it. */
  readonly verb: Verb;
  /** The word after the verb: what the object is, or is to be, called. */
  readonly reference: string | undefined;
  /** The word after that: a zone's file. */
  readonly file: string | undefined;
  /** Fields by their JSON names; references are still as they were typed. */
  readonly fields: JsonObject;
  /** `--pool`, as it was typed. */
  readonly pool: string | undefined;
  /** `-o`. */
  readonly output: OutputFormat;
  /** Check and show, change nothing. */
  readonly dryRun: boolean;
  /** For the history. */
  readonly reason: string | undefined;
}

/** Runs one command line. */
export async function runResource(request: ResourceRequest, terminal: Terminal): Promise<ExitCode> {
  await new Resources(request, terminal).run();
  return 0;
}

class Resources {
  readonly #request: ResourceRequest;
  readonly #terminal: Terminal;
  readonly #api: ApiClient;
  #pools: readonly JsonObject[] | null = null;

  constructor(request: ResourceRequest, terminal: Terminal) {
    this.#request = request;
    this.#terminal = terminal;
    this.#api = new ApiClient(request, terminal);
  }

  run(): Promise<void> {
    switch (this.#request.verb) {
      case "list":
        return this.#list();
      case "get":
        return this.#get();
      case "create":
        return this.#create();
      case "update":
        return this.#update();
      case "delete":
        return this.#delete();
      case "put":
        return this.#putText();
      case "set":
        return this.#set();
    }
  }

  async #list(): Promise<void> {
    await this.#print(await this.#all());
  }

  async #get(): Promise<void> {
    const { noun, output } = this.#request;
    if (noun.shape === "text") {
      return this.#terminal.out((await this.#api.getText(await this.#path())).trimEnd());
    }
    await printObject(await this.#api.get(await this.#path()), output, this.#terminal);
  }

  async #create(): Promise<void> {
    const { noun } = this.#request;
    const named = this.#named();
    const path = noun.shape === "collection"
      ? `/${noun.name}`
      : `/pools/${await this.#ownPoolId()}/${noun.name}`;
    const body = { json: { ...named, ...await this.#resolved() } };
    await this.#done(await this.#api.send("POST", `${path}${writeQuery(this.#request)}`, body), "created");
  }

  /** The field that the word after `create` gives; beside members and geo rules there is a flag for it, too. */
  #named(): JsonObject {
    const { noun: { keys, fields, one }, reference, fields: given } = this.#request;
    const key = keyOf(keys, reference);
    const field = fields.find(({ name }) => name === key)!;
    if (reference !== undefined && given[field.name] !== undefined && given[field.name] !== reference) {
      throw wrongUsage(`"${reference}" and --${field.flag} ${given[field.name]} differ: give one of them`);
    }
    const isNameless = reference === undefined && keys.every((each) => given[each] === undefined);
    if (field.required === true && isNameless) {
      throw wrongUsage(`Which ${one}? (its ${field.flag} as a word, or --${field.flag})`);
    }
    return reference === undefined ? {} : { [field.name]: reference };
  }

  async #update(): Promise<void> {
    const { noun, fields } = this.#request;
    if (Object.keys(fields).length === 0) {
      const flags = noun.fields.map((field) => `--${field.flag}`).join(", ");
      throw wrongUsage(`Nothing to change: give at least one of ${flags}`);
    }
    const path = await this.#path();
    const changes = await this.#resolved();
    const result = noun.patched
      ? await this.#api.send("PATCH", `${path}${writeQuery(this.#request)}`, { json: changes })
      : await this.#replaceWith(path, changes);
    await this.#done(result, "updated");
  }

  /** Sends the whole object with some fields changed, provided it is still the one that was read. */
  async #replaceWith(path: string, changes: JsonObject): Promise<JsonObject | null> {
    const { object, etag } = await this.#api.getTagged(path);
    const writable = this.#request.noun.fields.map(({ name }) => [name, object[name]]);
    const json = { ...Object.fromEntries(writable), ...changes };
    return await this.#api.send("PUT", `${path}${writeQuery(this.#request)}`, { json, ifMatch: etag });
  }

  async #delete(): Promise<void> {
    const path = await this.#path();
    await this.#api.send("DELETE", `${path}${writeQuery(this.#request)}`);
    this.#remark("deleted");
  }

  async #set(): Promise<void> {
    const path = `${await this.#path()}${writeQuery(this.#request)}`;
    await this.#done(await this.#api.send("PUT", path, { json: await this.#resolved() }), "set");
  }

  async #putText(): Promise<void> {
    const { file } = this.#request;
    const body = { text: await readText(file ?? "-"), contentType: "text/dns" };
    await this.#api.send("PUT", `${await this.#path()}${writeQuery(this.#request)}`, body);
    this.#remark("put");
  }

  /** Every object of the noun, or of one pool. */
  async #all(): Promise<JsonObject[]> {
    const { noun, pool } = this.#request;
    if (noun.shape === "collection" || noun.shape === "text") return await this.#api.list(`/${noun.name}`);
    const poolIds = pool === undefined
      ? (await this.#allPools()).map(idOf)
      : [idOf(await this.#poolNamed(pool))];
    const rows: JsonObject[] = [];
    for (const poolId of poolIds) rows.push(...await this.#ofPool(poolId));
    return rows;
  }

  async #ofPool(poolId: string): Promise<JsonObject[]> {
    const { noun } = this.#request;
    if (noun.shape === "in-pool") return await this.#api.list(`/pools/${poolId}/${noun.name}`);
    const check = await this.#api.getIfPresent(`/pools/${poolId}/health-check`);
    return check === null ? [] : [{ poolId, ...check }];
  }

  /** The path of the one object that the request names. */
  async #path(): Promise<string> {
    const { noun, reference = "" } = this.#request;
    switch (noun.shape) {
      case "text":
        return `/${noun.name}/${encodeURIComponent(canonicalName(reference))}`;
      case "one-per-pool":
        return `/pools/${await this.#ownPoolId()}/health-check`;
      default:
        if (isId(reference)) return `/${noun.name}/${reference}`;
        return `/${noun.name}/${idOf(await this.#only(noun, reference))}`;
    }
  }

  async #only(noun: Noun, reference: string): Promise<JsonObject> {
    const rows = await this.#all();
    const candidates = rows.filter((row) => isCalled(row, reference, noun.keys));
    const [first, ...others] = candidates;
    if (first === undefined) throw noSuch(noun, reference, rows);
    if (others.length === 0) return first;
    const places = await Promise.all(
      candidates.map(async (row) => `${idOf(row)} in pool ${await this.#poolName(row["poolId"])}`),
    );
    throw new CommandFailed(
      `"${reference}" is the name of ${candidates.length}: ${places.join(", ")} (give the id)`,
    );
  }

  /** The pool of an object that lives in one: `--pool`, or the word after the verb where that names the pool. */
  async #ownPoolId(): Promise<string> {
    const { noun, pool, reference } = this.#request;
    const given = noun.shape === "one-per-pool" ? reference ?? pool : pool;
    if (given === undefined) throw wrongUsage("Which pool? (--pool NAME)");
    return isId(given) ? given : idOf(await this.#poolNamed(given));
  }

  /** The fields with names turned into ids. */
  async #resolved(): Promise<JsonObject> {
    const { noun, fields } = this.#request;
    const kinds = new Map(noun.fields.map(({ name, kind }) => [name, kind]));
    const entries = Object.entries(fields).map(async ([name, value]) => {
      if (typeof value !== "string" || isId(value)) return [name, value] as const;
      if (kinds.get(name) === "pool") return [name, idOf(await this.#poolNamed(value))] as const;
      if (kinds.get(name) === "member") return [name, idOf(await this.#memberNamed(value))] as const;
      return [name, value] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  async #poolNamed(reference: string): Promise<JsonObject> {
    const pool = (await this.#allPools()).find((each) =>
      idOf(each) === reference || each["name"] === reference
    );
    if (pool === undefined) throw noSuch(POOLS, reference, await this.#allPools());
    return pool;
  }

  async #memberNamed(reference: string): Promise<JsonObject> {
    const poolId = await this.#poolOfObject();
    const members = await this.#api.list(`/pools/${poolId}/members`);
    const found = members.filter((member) => isCalled(member, reference, ["ipAddress", "target"]));
    if (found.length === 1) return found[0]!;
    const reason = found.length === 0
      ? "no member of the pool has it"
      : "several members have it: give the id";
    throw new CommandFailed(`Cannot use "${reference}" as a member: ${reason}`);
  }

  /** The pool of the object in hand, given by `--pool` or looked up. */
  async #poolOfObject(): Promise<string> {
    if (this.#request.pool !== undefined) return await this.#ownPoolId();
    const object = await this.#api.get(await this.#path());
    return String(object["poolId"]);
  }

  async #poolName(id: unknown): Promise<string> {
    if (typeof id !== "string") return "";
    const pool = (await this.#allPools()).find((each) => idOf(each) === id);
    return String(pool?.["name"] ?? id);
  }

  async #allPools(): Promise<readonly JsonObject[]> {
    return this.#pools ??= await this.#api.list("/pools");
  }

  async #done(result: JsonObject | null, what: string): Promise<void> {
    if (result !== null && this.#request.output !== "table") {
      return await printObject(result, this.#request.output, this.#terminal);
    }
    if (result !== null) await this.#print([await this.#withPool(result)]);
    if (this.#request.dryRun) this.#remark(what);
  }

  /** What there is one of per pool doesn't say whose it is. */
  async #withPool(result: JsonObject): Promise<JsonObject> {
    return this.#request.noun.shape === "one-per-pool"
      ? { poolId: await this.#ownPoolId(), ...result }
      : result;
  }

  /** A word on stderr for what has no result to print. */
  #remark(what: string): void {
    const { noun, reference, dryRun } = this.#request;
    const dry = dryRun ? " (dry run: nothing was changed)" : "";
    this.#terminal.err(`${what}: ${noun.one}${reference === undefined ? "" : ` ${reference}`}${dry}`);
  }

  async #print(rows: readonly JsonObject[]): Promise<void> {
    const { noun, output } = this.#request;
    const columns = await Promise.all(noun.columns.map((name) => this.#column(name, rows)));
    await printRows(rows, { columns, output }, this.#terminal);
  }

  /** The column of a field; ids of pools and members show as what they are called. */
  async #column(name: string, rows: readonly JsonObject[]): Promise<Column> {
    if (name === "address") return { title: name, cell: addressOf };
    if (name !== "pool" && name !== "member") return textColumn(name);
    if (this.#request.output !== "table" || rows.length === 0) return { title: name, cell: () => "" };
    const names = name === "pool" ? await this.#poolNames() : await this.#memberAddresses(rows);
    return {
      title: name,
      cell: (row) => names.get(String(row[`${name}Id`])) ?? String(row[`${name}Id`] ?? ""),
    };
  }

  async #poolNames(): Promise<Map<string, string>> {
    return new Map((await this.#allPools()).map((pool) => [idOf(pool), String(pool["name"])]));
  }

  async #memberAddresses(rows: readonly JsonObject[]): Promise<Map<string, string>> {
    const addresses = new Map<string, string>();
    for (const poolId of new Set(rows.map((row) => String(row["poolId"])))) {
      for (const member of await this.#api.list(`/pools/${poolId}/members`)) {
        addresses.set(idOf(member), addressOf(member));
      }
    }
    return addresses;
  }
}

const POOLS = NOUNS.find(({ name }) => name === "pools")!;

/** The failure of a name that nothing has, with the one that was probably meant. */
function noSuch(noun: Noun, reference: string, rows: readonly JsonObject[]): CommandFailed {
  const names = rows.flatMap((row) => noun.keys.map((key) => row[key]))
    .filter((name) => typeof name === "string");
  const near = nearest(reference, names);
  const mend = near === null ? `"pleiades ${noun.name} list" shows them` : `did you mean "${near}"?`;
  return new CommandFailed(`No ${noun.one} is called "${reference}" (${mend})`);
}

/** Whether a reference is one of the object's names; a member also goes by `ADDRESS:PORT`. */
function isCalled(row: JsonObject, reference: string, keys: readonly string[]): boolean {
  const wanted = canonicalName(reference);
  const names = keys.map((key) => row[key] ?? null).filter((name) => name !== null);
  if (names.map((name) => canonicalName(String(name))).includes(wanted)) return true;
  const address = addressOf(row);
  const host = address.includes(":") ? `[${address}]` : address;
  return keys.includes("ipAddress") && wanted === `${host}:${row["port"]}`;
}

/** Which of the keys the word after `create` is: of a member its address where it is one, else its host name. */
function keyOf(keys: readonly string[], reference = ""): string | undefined {
  return keys[0] === "ipAddress" && canonicalIp(reference) === null && reference !== "" &&
      !isNumeric(reference)
    ? "target"
    : keys[0];
}

/** Whether it looks like an address, be it one or not: then what is wrong with it is to be said of an address. */
function isNumeric(reference: string): boolean {
  return /^[\d.]+$|:/.test(reference);
}

/** What a member is called. */
function addressOf(row: JsonObject): string {
  return String(row["ipAddress"] ?? row["target"] ?? "");
}

/** Names are compared as the API stores them: lower-case, no final dot, addresses in canonical form. */
function canonicalName(name: string): string {
  return canonicalIp(name) ?? name.toLowerCase().replace(/(?<=.)\.$/, "");
}

function idOf(row: JsonObject): string {
  return String(row["id"]);
}

async function readText(file: string): Promise<string> {
  try {
    if (file !== "-") return await Deno.readTextFile(file);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`Cannot read "${file}": ${fileFault(cause)}`, 1, { cause });
  }
  return await new Response(Deno.stdin.readable).text();
}
