/**
 * `pleiades query`: one question to one server, for machines that have no `dig`.
 *
 * @module
 */
import { type QueryOptions, type QueryResult, runQuery } from "../dns_client.ts";
import {
  formatPrefix,
  formatSocketAddress,
  parsePrefix,
  parseSocketAddress,
  type SocketAddress,
} from "../ip.ts";
import { formatMessage, type ResourceRecord } from "../wire/message.ts";
import { nameToWire } from "../wire/name.ts";
import { CLASS, className, classNumber, rcodeName, TYPE, typeName, typeNumber } from "../wire/record_type.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of `pleiades query`, as commander hands them over. */
export interface QueryFlags {
  /** A prefix in text. */
  readonly ecs?: string;
  /** Whether UDP is left out. */
  readonly tcp?: boolean;
  /** Bytes; 0 = no EDNS. */
  readonly bufsize: number;
  /** Milliseconds. */
  readonly timeout: number;
  /** How the answer is printed. */
  readonly output: "text" | "json" | "short";
}

/** Asks and prints. The words are name, type, class and `@server` in any order. */
export async function query(
  words: readonly string[],
  flags: QueryFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const options = readOptions(words, flags);
  const result = await runQuery(options).catch((error) => {
    throw new CommandFailed(faultOf(error, options), 1, { cause: error });
  });
  const text = FORMATS[flags.output](result, options);
  if (text !== "") terminal.out(text);
  return 0;
}

/** Where a node listens that runs on defaults, INTERFACES §2. */
const DEFAULT_SERVER: SocketAddress = { hostname: "127.0.0.1", port: 5353 };

function readOptions(words: readonly string[], flags: QueryFlags): QueryOptions {
  const ecs = flags.ecs === undefined ? null : orWrongUsage(() => parsePrefix(flags.ecs!));
  if (ecs && flags.bufsize === 0) throw wrongUsage("--ecs needs EDNS; leave --bufsize 0 out");
  return {
    ...readWords(words),
    ecs,
    tcp: flags.tcp ?? false,
    udpSize: flags.bufsize,
    timeoutMs: flags.timeout,
  };
}

/** Sorts the words; a type or class is the name if nothing else can be. */
function readWords(words: readonly string[]): Pick<QueryOptions, "server" | "name" | "type" | "class"> {
  const dashed = words.find((word) => word.startsWith("+"));
  if (dashed) throw wrongUsage(`"${dashed}" isn't known here; flags begin with --, as in --tcp or -o short`);
  const servers = words.filter((word) => word.startsWith("@"));
  const others = words.filter((word) => !word.startsWith("@"));
  const isName = (word: string) => typeNumber(word) === null && classNumber(word) === null;
  const nameIndex = Math.max(0, others.findIndex(isName));
  const name = others[nameIndex];
  if (name === undefined) throw wrongUsage("which name? write one, such as www.example.com");
  orWrongUsage(() => nameToWire(name));
  const rest = others.filter((_, i) => i !== nameIndex);
  const types = rest.filter((word) => typeNumber(word) !== null);
  const classes = rest.filter((word) => typeNumber(word) === null && classNumber(word) !== null);
  const unknown = rest.find(isName);
  if (unknown) throw wrongUsage(`"${unknown}" is no record type, and ${name} is the name already`);
  for (const [what, found] of [["server", servers], ["type", types], ["class", classes]] as const) {
    if (found.length > 1) throw wrongUsage(`there are two ${what} words, ${found.join(" and ")}; keep one`);
  }
  const [server, type, queryClass] = [servers[0], types[0], classes[0]];
  return {
    server: server === undefined
      ? DEFAULT_SERVER
      : orWrongUsage(() => parseSocketAddress(server.slice(1), 53)),
    name,
    type: type === undefined ? TYPE.A : typeNumber(type)!,
    class: queryClass === undefined ? CLASS.IN : classNumber(queryClass)!,
  };
}

function orWrongUsage<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw wrongUsage(messageOf(error));
  }
}

function faultOf(error: unknown, { server }: QueryOptions): string {
  const address = formatSocketAddress(server);
  if (error instanceof Deno.errors.TimedOut) return `${error.message}; does the server run there?`;
  if (error instanceof SyntaxError) return `${address} sent a malformed answer: ${error.message}`;
  return `Cannot ask ${address}: ${messageOf(error)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const FORMATS: Readonly<
  Record<QueryFlags["output"], (result: QueryResult, options: QueryOptions) => string>
> = {
  text: formatText,
  json: (result, options) => JSON.stringify(describe(result, options), null, 2),
  short: ({ message }) => message.answers.map(({ data }) => data).join("\n"),
};

function formatText(
  { message, bytes, elapsedMs, transport }: QueryResult,
  { server, tcp }: QueryOptions,
): string {
  const isRetry = transport === "tcp" && !tcp;
  return `${isRetry ? ";; Truncated over UDP, asked again over TCP\n" : ""}${formatMessage(message)}
;; Query time: ${Math.round(elapsedMs)} msec
;; SERVER: ${server.hostname}#${server.port} (${transport.toUpperCase()})
;; MSG SIZE  rcvd: ${bytes.length}`;
}

/** The answer as an object for scripts: names instead of numbers, data in presentation form. */
function describe({ message, bytes, elapsedMs, transport }: QueryResult, { server }: QueryOptions): unknown {
  const { id, rcode, flags, questions, answers, authorities, additionals, edns } = message;
  return {
    id,
    status: rcodeName(rcode),
    flags: Object.entries(flags).filter(([, isSet]) => isSet).map(([name]) => name),
    question: questions.map(({ name, type, class: number }) => ({
      name,
      class: className(number),
      type: typeName(type),
    })),
    answer: answers.map(describeRecord),
    authority: authorities.map(describeRecord),
    additional: additionals.map(describeRecord),
    edns: edns && {
      udpSize: edns.udpSize,
      version: edns.version,
      do: edns.do,
      clientSubnet: edns.ecs && { prefix: formatPrefix(edns.ecs.prefix), scope: edns.ecs.scope },
      nsid: edns.nsid && edns.nsid.toHex(),
    },
    server: formatSocketAddress(server),
    transport,
    elapsedMs: Math.round(elapsedMs * 1000) / 1000,
    size: bytes.length,
  };
}

function describeRecord({ name, ttl, class: number, type, data }: ResourceRecord): unknown {
  return { name, ttl, class: className(number), type: typeName(type), data };
}
