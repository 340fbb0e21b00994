/**
 * What the noun-verb commands do: find the object that a name means, send the change, print what came of it.
 *
 * Whatever has an id can be named by its name, domain or address as well; a name that fits several objects is
 * refused with their ids.
 *
 * @module
 */
import { formatDuration } from "../input/duration.ts";
import { fileFault } from "../input/file_fault.ts";
import { isId } from "../model/id.ts";
import { canonicalIp } from "../ip.ts";
import { ApiRefusal, GuardRefusal } from "./api_refusal.ts";
import { ApiClient, type ClientOptions, type JsonObject, writeQuery } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import type { ColumnName, Noun } from "./nouns.ts";
import { addressOf, canonicalName, idOf, noSuch, ObjectNames, placeOf } from "./object_names.ts";
import { printPlan, WITHOUT_DRY_RUN } from "./plan_output.ts";
import {
  cellText,
  type Column,
  fieldAt,
  isTable,
  type OutputFormat,
  printObject,
  printRows,
  textColumn,
} from "./table.ts";
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
  /** Do it even where a guard would refuse it. */
  readonly force: boolean;
  /** For the history. */
  readonly reason: string | undefined;
}

/** Runs one command line. */
export async function runResource(request: ResourceRequest, terminal: Terminal): Promise<ExitCode> {
  try {
    await new Resources(request, terminal).run();
  } catch (error) {
    // A guard speaks of names and answers, not of fields.
    if (error instanceof ApiRefusal && !(error instanceof GuardRefusal)) {
      throw new CommandFailed(asTyped(error.message, request), 1, { cause: error });
    }
    throw error;
  }
  return 0;
}

/**
 * A refusal with flags in place of JSON names, durations with their units, and with what wasn't typed called a default.
 * What was typed as a word has no flag to be named by.
 */
function asTyped(refusal: string, { noun, fields, verb, reference }: ResourceRequest): string {
  const words = noun.fields.filter(({ name }) =>
    reference !== undefined && noun.keys.includes(name) && fields[name] === undefined
  );
  const message = refusal.split("\n").map((line) => {
    const word = words.find(({ name }) => line.startsWith(`${name}: `));
    if (word) return line.slice(word.name.length + 2);
    const isDuration = noun.fields.some(({ name, kind }) =>
      kind === "duration" && line.startsWith(`${name} `)
    );
    return isDuration ? line.replaceAll(/\b\d+\b/g, (ms) => formatDuration(Number(ms))) : line;
  }).join("\n");
  const renamed = noun.fields.filter(({ name, flag }) => name !== flag);
  return renamed.reduce((text, { name, flag, byDefault }) => {
    const isDefault = verb !== "update" && byDefault !== undefined && fields[name] === undefined;
    return text.replaceAll(new RegExp(`\\b${name}\\b`, "g"), `--${flag}${isDefault ? " (by default)" : ""}`);
  }, message);
}

class Resources {
  readonly #request: ResourceRequest;
  readonly #terminal: Terminal;
  readonly #api: ApiClient;
  readonly #names: ObjectNames;

  constructor(request: ResourceRequest, terminal: Terminal) {
    this.#request = request;
    this.#terminal = terminal;
    this.#api = new ApiClient(request, terminal);
    this.#names = new ObjectNames(this.#api);
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
    await this.#done(await this.#api.send("POST", `${path}${writeQuery(this.#request)}`, body));
  }

  /** The fields that the word after `create` gives; beside members and geo rules there is a flag for it, too. */
  #named(): JsonObject {
    const { noun: { keys, fields, one, name }, reference: word, fields: given } = this.#request;
    const { reference, port } = name === "members" ? splitPort(word) : { reference: word, port: undefined };
    const key = keyOf(keys, reference);
    const field = fields.find(({ name }) => name === key)!;
    if (reference !== undefined && given[field.name] !== undefined && given[field.name] !== reference) {
      throw wrongUsage(`"${reference}" and --${field.flag} ${given[field.name]} differ: give one of them`);
    }
    const isNameless = reference === undefined && keys.every((each) => given[each] === undefined);
    if (field.required === true && isNameless) {
      throw wrongUsage(`Which ${one}? (its ${field.flag} as a word, or --${field.flag})`);
    }
    if (port !== undefined && given["port"] !== undefined && given["port"] !== port) {
      throw wrongUsage(`"${word}" and --port ${given["port"]} differ: give one of them`);
    }
    if (name === "members" && port === undefined && given["port"] === undefined) {
      throw wrongUsage("required option '--port <n>' not specified (or ADDRESS:PORT)");
    }
    return {
      ...(reference !== undefined && { [field.name]: reference }),
      ...(port !== undefined && { port }),
    };
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
    await this.#done(result);
  }

  /** Sends the whole object with some fields changed, provided it is still the one that was read. */
  async #replaceWith(path: string, changes: JsonObject): Promise<JsonObject | null> {
    const { object, etag } = await this.#api.getTagged(path);
    const writable = this.#request.noun.fields.map(({ name, atMost }) => {
      const [value, bound] = [object[name], changes[atMost ?? ""]];
      // As when it is made: what wasn't typed fits what was.
      const fitting = typeof value === "number" && typeof bound === "number" ? Math.min(value, bound) : value;
      return [name, fitting];
    });
    const json = { ...Object.fromEntries(writable), ...changes };
    return await this.#api.send("PUT", `${path}${writeQuery(this.#request)}`, { json, ifMatch: etag });
  }

  async #delete(): Promise<void> {
    const path = await this.#path();
    const answer = await this.#api.send("DELETE", `${path}${writeQuery(this.#request)}`);
    await this.#doneUnseen(answer, "deleted");
  }

  async #set(): Promise<void> {
    const path = `${await this.#path()}${writeQuery(this.#request)}`;
    await this.#done(await this.#api.send("PUT", path, { json: await this.#resolved() }));
  }

  async #putText(): Promise<void> {
    const { file } = this.#request;
    const body = { text: await readText(file ?? "-"), contentType: "text/dns" };
    const path = `${await this.#path()}${writeQuery(this.#request)}`;
    await this.#doneUnseen(await this.#api.send("PUT", path, body), "put");
  }

  /** Every object of the noun, or of one pool. */
  async #all(): Promise<JsonObject[]> {
    const { noun, pool } = this.#request;
    if (noun.shape === "collection" || noun.shape === "text") return await this.#api.list(`/${noun.name}`);
    const poolIds = pool === undefined
      ? (await this.#names.pools()).map(idOf)
      : [idOf(await this.#names.pool(pool))];
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
      case "single":
        return `/${noun.name}`;
      case "one-per-pool":
        return `/pools/${await this.#ownPoolId()}/health-check`;
      default:
        if (noun.name === "members") {
          return `/members/${await this.#names.memberId(reference, await this.#givenPoolId())}`;
        }
        if (isId(reference)) return `/${noun.name}/${reference}`;
        return `/${noun.name}/${idOf(await this.#only(noun, reference))}`;
    }
  }

  async #only(noun: Noun, reference: string): Promise<JsonObject> {
    const rows = await this.#all();
    const candidates = rows.filter((row) => isCalled(row, reference, noun.keys));
    const [first, ...others] = candidates;
    if (first === undefined) {
      const known = rows.flatMap((row) => noun.keys.map((key) => row[key]));
      throw noSuch({ one: noun.one, list: `${noun.name} list` }, reference, known);
    }
    if (others.length === 0) return first;
    const places = await Promise.all(
      candidates.map(async (row) => `${idOf(row)} in pool ${await this.#names.poolName(row["poolId"])}`),
    );
    throw new CommandFailed(
      `"${reference}" is the name of ${candidates.length}: ${places.join(", ")} (give the id, or --pool)`,
    );
  }

  /** The pool that `--pool` names; `null` = it isn't given. */
  async #givenPoolId(): Promise<string | null> {
    const { pool } = this.#request;
    if (pool === undefined) return null;
    return isId(pool) ? pool : idOf(await this.#names.pool(pool));
  }

  /** The pool of an object that lives in one: `--pool`, or the word after the verb where that names the pool. */
  async #ownPoolId(): Promise<string> {
    const { noun, pool, reference } = this.#request;
    const given = noun.shape === "one-per-pool" ? reference ?? pool : pool;
    if (given === undefined) throw wrongUsage("Which pool? (--pool NAME)");
    return isId(given) ? given : idOf(await this.#names.pool(given));
  }

  /** The fields with names turned into ids. */
  async #resolved(): Promise<JsonObject> {
    const { noun, fields } = this.#request;
    const kinds = new Map(noun.fields.map(({ name, kind }) => [name, kind]));
    const entries = Object.entries(fields).map(async ([name, value]) => {
      if (typeof value !== "string" || isId(value)) return [name, value] as const;
      if (kinds.get(name) === "pool") return [name, idOf(await this.#names.pool(value))] as const;
      if (kinds.get(name) === "member") {
        return [name, await this.#names.memberId(value, await this.#poolOfObject())] as const;
      }
      return [name, value] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  /** The pool of the object in hand, given by `--pool` or looked up. */
  async #poolOfObject(): Promise<string> {
    if (this.#request.pool !== undefined) return await this.#ownPoolId();
    const object = await this.#api.get(await this.#path());
    return String(object["poolId"]);
  }

  /** Prints what a change has made of the object; of a dry run, the plan. */
  async #done(result: JsonObject | null): Promise<void> {
    if (this.#request.dryRun) return await this.#printPlan(result);
    if (result !== null && !isTable(this.#request.output)) {
      return await printObject(result, this.#request.output, this.#terminal);
    }
    if (result !== null) await this.#print([await this.#withPool(result)]);
  }

  /** A word on stderr for what has no result to print; of a dry run, the plan. */
  async #doneUnseen(answer: JsonObject | null, what: string): Promise<void> {
    const { noun, reference, dryRun } = this.#request;
    if (dryRun) return await this.#printPlan(answer);
    this.#terminal.err(`${what}: ${noun.one}${reference === undefined ? "" : ` ${reference}`}`);
  }

  async #printPlan(answer: JsonObject | null): Promise<void> {
    const { output } = this.#request;
    await printPlan(answer, { output, next: WITHOUT_DRY_RUN }, { api: this.#api, terminal: this.#terminal });
  }

  /** What there is one of per pool doesn't say whose it is. */
  async #withPool(result: JsonObject): Promise<JsonObject> {
    return this.#request.noun.shape === "one-per-pool"
      ? { poolId: await this.#ownPoolId(), ...result }
      : result;
  }

  async #print(rows: readonly JsonObject[]): Promise<void> {
    const { noun: { columns, wideColumns }, output } = this.#request;
    if (!isTable(output)) return await printRows(rows, { columns: [], output }, this.#terminal);
    const shown: Column[] = [];
    for (const name of columns) shown.push(...await this.#columns(name, rows));
    for (const name of wideColumns) {
      for (const column of await this.#columns(name, rows)) shown.push({ ...column, isWide: true });
    }
    await printRows(rows, { columns: shown, output, fits: true }, this.#terminal);
  }

  /** What a column's name stands for; none where nothing is known of these rows. */
  async #columns(name: ColumnName, rows: readonly JsonObject[]): Promise<readonly Column[]> {
    switch (name) {
      case "pool": {
        const names = rows.length === 0 ? new Map() : await this.#poolNames();
        const cell = ({ poolId }: JsonObject) => names.get(String(poolId)) ?? String(poolId ?? "");
        return [{ title: "pool", cell }];
      }
      case "member": {
        const names = await this.#memberPlaces(rows);
        return [{ title: "member", cell: ({ memberId }) => names.get(String(memberId)) ?? String(memberId) }];
      }
      case "healthy":
        return this.#request.verb === "list" ? [await this.#healthyColumn(rows)] : [];
      case "address":
        return [{ title: name, cell: addressOf }];
      case "answered":
        return [await this.#answeredColumn(rows)];
      case "why":
        return [{ title: name, cell: whyCell }];
      case "clients":
        return [{ title: name, cell: clientsOf }];
      default: {
        const { title, path, isDuration } = name;
        const cell = textColumn(path).cell;
        return [{ title, cell: isDuration ? (row) => durationCell(fieldAt(row, path)) : cell }];
      }
    }
  }

  /** How many of the pool's members may be answered: `2/3`. */
  async #healthyColumn(rows: readonly JsonObject[]): Promise<Column> {
    const states = rows.length === 0 ? [] : await this.#api.list("/pool-states");
    const byPool = new Map(states.map(({ poolId, healthy, members }) => [poolId, `${healthy}/${members}`]));
    const isPool = this.#request.noun.name === "pools";
    return { title: "healthy", cell: (row) => byPool.get(row[isPool ? "id" : "poolId"]) ?? "" };
  }

  /** Whether each of these members is answered: by its eligibility, or because its pool answers all while none is up. */
  async #answeredColumn(rows: readonly JsonObject[]): Promise<Column> {
    const states = rows.some(isOut) ? await this.#api.list("/pool-states") : [];
    const answeringAll = new Set(
      states.filter(({ healthy, answersWhenDown }) => healthy === 0 && answersWhenDown === "answering all")
        .map(({ poolId }) => poolId),
    );
    return {
      title: "answered",
      cell: (row) => isOut(row) && answeringAll.has(row["poolId"]) ? "yes, all down" : answeredCell(row),
    };
  }

  async #poolNames(): Promise<Map<string, string>> {
    return new Map((await this.#names.pools()).map((pool) => [idOf(pool), String(pool["name"])]));
  }

  async #memberPlaces(rows: readonly JsonObject[]): Promise<Map<string, string>> {
    const places = new Map<string, string>();
    for (const poolId of new Set(rows.map((row) => String(row["poolId"])))) {
      for (const member of await this.#names.membersOf(poolId)) places.set(idOf(member), placeOf(member));
    }
    return places;
  }
}

/** Whether it isn't answered for what its checks found, as long as another of its pool is up. */
function isOut(row: JsonObject): boolean {
  return answeredCell(row) === "no" && row["enabled"] !== false && fieldAt(row, "override.state") !== "down";
}

/** `yes`, `no`, or that it gives its clients away bit by bit. */
function answeredCell(row: JsonObject): string {
  const forced = fieldAt(row, "override.state");
  if (forced === "up") return "yes";
  if (forced === "drain") return "draining";
  const isOut = forced === "down" || row["enabled"] === false || fieldAt(row, "health.eligible") === false;
  return isOut ? "no" : "yes";
}

/** What makes a member's answers other than one expects. */
function whyCell(row: JsonObject): string {
  const forced = fieldAt(row, "override.state");
  if (typeof forced === "string") {
    const by = cellText(fieldAt(row, "override.owner"));
    return `${forced} by ${by}: ${cellText(fieldAt(row, "override.reason"))}`;
  }
  if (row["enabled"] === false) return "disabled";
  return cellText(fieldAt(row, "health.why") ?? fieldAt(row, "health.lastError"));
}

function durationCell(ms: unknown): string {
  return typeof ms === "number" ? formatDuration(ms) : cellText(ms);
}

/** Whether a reference is one of the object's names. */
function isCalled(row: JsonObject, reference: string, keys: readonly string[]): boolean {
  const wanted = canonicalName(reference);
  return keys.some((key) => (row[key] ?? null) !== null && canonicalName(String(row[key])) === wanted);
}

/** The address or host name of a new member, and its port where it stands behind. */
function splitPort(word: string | undefined): { reference: string | undefined; port: number | undefined } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(word ?? "") ?? [];
  if (port === undefined) return { reference: word, port: undefined };
  return { reference: bracketed ?? plain, port: Number(port) };
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

async function readText(file: string): Promise<string> {
  try {
    if (file !== "-") return await Deno.readTextFile(file);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`Cannot read "${file}": ${fileFault(cause)}`, 1, { cause });
  }
  return await new Response(Deno.stdin.readable).text();
}

/** The clients of a geo rule. */
function clientsOf({ cidr, country, continent, asn }: JsonObject): string {
  if (typeof cidr === "string") return cidr;
  if (typeof country === "string") return `country ${country}`;
  return typeof continent === "string" ? `continent ${continent}` : `AS${asn ?? ""}`;
}
