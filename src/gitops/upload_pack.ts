/**
 * The fetching half of Git's protocol: asks for branches and tags, and for packs.
 *
 * Version 2 where the other side speaks it (each server of the last years), else version 0, which `sshd` without
 * `AcceptEnv GIT_PROTOCOL` leads to. The two differ in how they begin; what is asked for and how a pack comes is nearly alike. One round is
 * enough for each pack: what is here already is told at once. Differences from it are wanted: only then does the other side leave out
 * files that are here, when it is told to leave out history as well.
 *
 * Sources: Documentation/gitprotocol-v2.txt, gitprotocol-pack.txt, gitprotocol-http.txt of Git.
 *
 * @module
 */
import { VERSION } from "../version.ts";
import type { HashName } from "./pack.ts";
import { ID_BYTES } from "./pack.ts";
import { DELIMITER, FLUSH, packetLine, type PacketReader, textOf } from "./pkt_line.ts";
import { RepositoryError } from "./repository.ts";

/** A way to a repository. */
export interface Transport {
  /** Whether each request stands alone: what is known of the server then needn't be asked for again. */
  readonly isStateless: boolean;
  /** Begins a conversation; whatever waits ends with the signal. */
  open(signal: AbortSignal): Connection;
}

/** A conversation over a transport. */
export interface Connection extends AsyncDisposable {
  /** What the server says before it is asked. */
  greeting(): Promise<PacketReader>;
  /** Sends a request; the reader of the answer. */
  request(body: string): Promise<PacketReader>;
}

/** A branch or a tag of the other side. */
export interface Ref {
  /** Its full name, `refs/heads/main`. */
  readonly name: string;
  /** The object that it names. */
  readonly id: string;
  /** Of an annotated tag: the object that it finally points at. */
  readonly peeled: string | null;
}

/** What is wanted of the other side. */
export interface PackRequest {
  /** Ids of what is wanted. */
  readonly wants: readonly string[];
  /** Commits that are here with all their files, but without their ancestors. */
  readonly haves: readonly string[];
  /** How many commits of history. */
  readonly depth: number;
  /** Whether commits are enough, where the other side can leave files out. */
  readonly isHistoryOnly: boolean;
}

/** What a server said of itself. */
interface Greeting {
  readonly version: 0 | 2;
  readonly hash: HashName;
  /** Words of the capabilities. */
  readonly words: ReadonlySet<string>;
  /** Of version 0: all it has. */
  readonly refs: readonly Ref[];
}

const AGENT = `agent=git/Pleiades-${VERSION}`;
/** Bands of an answer that brings a pack. */
const [PACK_BAND, PROGRESS_BAND, ERROR_BAND] = [1, 2, 3];

/** A server, over any transport. */
export class UploadPack {
  readonly #transport: Transport;
  readonly #refBytes: number;
  #greeting: Greeting | null = null;

  /**
   * Talks to nothing yet.
   *
   * @param refBytes bytes that a list of branches and tags may have
   */
  constructor(transport: Transport, refBytes: number) {
    this.#transport = transport;
    this.#refBytes = refBytes;
  }

  /** Begins a conversation: a list of refs, and one pack. */
  async talk(signal: AbortSignal): Promise<Conversation> {
    const connection = this.#transport.open(signal);
    try {
      if (!this.#transport.isStateless || this.#greeting?.version !== 2) {
        this.#greeting = await readGreeting(await connection.greeting(), this.#refBytes);
      }
      return new Conversation(connection, this.#greeting, this.#refBytes);
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Asks the server what it can at the next conversation: it may be another one since. */
  forget(): void {
    this.#greeting = null;
  }
}

/** One conversation with a server. */
export class Conversation implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #greeting: Greeting;
  readonly #refBytes: number;

  /** Goes on after the greeting. */
  constructor(connection: Connection, greeting: Greeting, refBytes: number) {
    this.#connection = connection;
    this.#greeting = greeting;
    this.#refBytes = refBytes;
  }

  /** The hash that names objects there. */
  get hash(): HashName {
    return this.#greeting.hash;
  }

  /**
   * Branches and tags whose names begin so.
   *
   * @throws {RepositoryError} `bound`: the list is too long
   */
  async refs(prefix: string): Promise<readonly Ref[]> {
    if (this.#greeting.version === 0) {
      return this.#greeting.refs.filter(({ name }) => name.startsWith(prefix));
    }
    const reader = await this.#connection.request([
      packetLine("command=ls-refs"),
      ...this.#capabilities(),
      DELIMITER,
      packetLine("peel"),
      packetLine(`ref-prefix ${prefix}`),
      FLUSH,
    ].join(""));
    const lines = await readLines(reader, this.#refBytes);
    return lines.map((line) => this.#refOf(line)).filter(({ name }) => name.startsWith(prefix));
  }

  /** `OID NAME [peeled:OID] …`; the id of a branch without commits is the word `unborn`. */
  #refOf(line: string): Ref {
    const [id = "", name = "", ...attributes] = line.split(" ");
    const peeled = attributes.find((word) => word.startsWith("peeled:"))?.slice("peeled:".length) ?? null;
    for (const each of peeled === null ? [id] : [id, peeled]) mustBeId(each, this.hash);
    return { name, id, peeled };
  }

  /**
   * A pack of what is wanted, in pieces as they come.
   *
   * @throws {RepositoryError} what the server says is wrong
   */
  async *pack(request: PackRequest): AsyncIterable<Uint8Array> {
    const reader = await this.#connection.request(
      this.#greeting.version === 2 ? this.#secondRequest(request) : this.#firstRequest(request),
    );
    let hasBegun = false;
    for (;;) {
      const packet = await reader.next();
      if (packet.kind !== "data") {
        if (packet.kind === "flush" && hasBegun) return;
        continue;
      }
      const { bytes } = packet;
      if (!hasBegun && (bytes[0] ?? 0) > ERROR_BAND!) {
        // Before the pack: which history is cut off, what both have, titles of sections.
        refuseError(textOf(bytes));
        continue;
      }
      hasBegun = true;
      if (bytes[0] === PACK_BAND) yield bytes.subarray(1);
      else if (bytes[0] === ERROR_BAND) throw serverError(textOf(bytes.subarray(1)));
      else if (bytes[0] !== PROGRESS_BAND) throw unexpected();
    }
  }

  #secondRequest({ wants, depth, ...request }: PackRequest): string {
    const { haves, filter } = this.#leftOut(request, "fetch=filter");
    return [
      packetLine("command=fetch"),
      ...this.#capabilities(),
      DELIMITER,
      packetLine("no-progress"),
      packetLine("ofs-delta"),
      packetLine("thin-pack"),
      ...wants.map((id) => packetLine(`want ${id}`)),
      ...haves.map((id) => packetLine(`shallow ${id}`)),
      packetLine(`deepen ${depth}`),
      ...filter,
      ...haves.map((id) => packetLine(`have ${id}`)),
      packetLine("done"),
      FLUSH,
    ].join("");
  }

  #firstRequest({ wants, depth, ...request }: PackRequest): string {
    const { words } = this.#greeting;
    for (const needed of ["side-band-64k", "shallow"]) {
      if (!words.has(needed)) {
        throw new RepositoryError(
          "unreachable",
          `The Git server is too old: it hasn't the capability ${needed}`,
        );
      }
    }
    const { haves, filter } = this.#leftOut(request, "filter");
    const capabilities = [
      ...["side-band-64k", "ofs-delta", "thin-pack", "no-progress", AGENT],
      ...words.has("object-format") ? [`object-format=${this.hash}`] : [],
      ...filter.length > 0 ? ["filter"] : [],
    ];
    return [
      ...wants.map((id, index) => packetLine(`want ${id}${index === 0 ? ` ${capabilities.join(" ")}` : ""}`)),
      ...haves.map((id) => packetLine(`shallow ${id}`)),
      packetLine(`deepen ${depth}`),
      ...filter,
      FLUSH,
      ...haves.map((id) => packetLine(`have ${id}`)),
      packetLine("done"),
    ].join("");
  }

  /** What the other side needn't send: all files where it can filter, else what is here. */
  #leftOut(
    { haves, isHistoryOnly }: Pick<PackRequest, "haves" | "isHistoryOnly">,
    capability: string,
  ): { readonly haves: readonly string[]; readonly filter: readonly string[] } {
    if (!isHistoryOnly || !this.#greeting.words.has(capability)) return { haves, filter: [] };
    return { haves: [], filter: [packetLine("filter tree:0")] };
  }

  #capabilities(): string[] {
    const format = this.#greeting.words.has("object-format")
      ? [packetLine(`object-format=${this.hash}`)]
      : [];
    return [packetLine(AGENT), ...format];
  }

  /** Says goodbye. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

/** What the server says first: `version 2` and what it can, or, of version 0, all refs, with what it can beside the first. */
async function readGreeting(reader: PacketReader, bytesMax: number): Promise<Greeting> {
  let lines = await readLines(reader, bytesMax);
  // Over HTTP the service is named first, in a message of its own.
  if (lines.length === 1 && lines[0]!.startsWith("# service=")) lines = await readLines(reader, bytesMax);
  if (lines[0] === "version 2") {
    const words = wordsOf(lines.slice(1));
    return { version: 2, hash: hashOf(words), words, refs: [] };
  }
  const [first = "", capabilities = ""] = (lines[0] ?? "").split("\0", 2);
  const words = wordsOf(capabilities.split(" "));
  const hash = hashOf(words);
  const peeled = new Map<string, string>();
  const refs: Ref[] = [];
  for (const line of [first, ...lines.slice(1)]) {
    const [id = "", name = ""] = line.split(" ");
    if (line === "" || id === "shallow" || name === "capabilities^{}") continue;
    mustBeId(id, hash);
    if (name.endsWith("^{}")) peeled.set(name.slice(0, -"^{}".length), id);
    else refs.push({ name, id, peeled: null });
  }
  return {
    version: 0,
    hash,
    words,
    refs: refs.map((ref) => ({ ...ref, peeled: peeled.get(ref.name) ?? null })),
  };
}

/** Each capability as a word; of one with values also each of them, as `fetch=filter`. */
function wordsOf(capabilities: readonly string[]): Set<string> {
  return new Set(capabilities.flatMap((capability) => {
    const [name = "", values = ""] = capability.split("=", 2);
    return [name, ...values.split(" ").map((value) => `${name}=${value}`)];
  }));
}

function hashOf(words: ReadonlySet<string>): HashName {
  if (words.has("object-format=sha256")) return "sha256";
  return "sha1";
}

/** The lines of one message. */
async function readLines(reader: PacketReader, bytesMax: number): Promise<string[]> {
  const lines: string[] = [];
  let bytes = 0;
  for (;;) {
    const packet = await reader.next();
    if (packet.kind !== "data") return lines;
    bytes += packet.bytes.length;
    if (bytes > bytesMax) {
      throw new RepositoryError(
        "bound",
        `The repository has too many branches or tags: their list exceeds ${bytesMax} bytes (refBytes)`,
      );
    }
    const line = textOf(packet.bytes);
    refuseError(line);
    lines.push(line);
  }
}

function mustBeId(id: string, hash: HashName): void {
  if (id.length !== 2 * ID_BYTES[hash] || !/^[0-9a-f]+$/.test(id)) throw unexpected();
}

function unexpected(): RepositoryError {
  return new RepositoryError("damaged", "The answer isn't one that a Git server would give");
}

function refuseError(line: string): void {
  if (line.startsWith("ERR ")) throw serverError(line.slice("ERR ".length));
}

/** What the server says is wrong, in its own words. */
function serverError(words: string): RepositoryError {
  const isMissing = /not found|does not (?:exist|appear)|no such|not our ref|isn't a git/i.test(words);
  const isDenied = /denied|not allowed|permission|authoriz/i.test(words);
  const isDamaged = /corrupt|bad object|bad tree/i.test(words);
  const reason = isDamaged ? "damaged" : isMissing ? "missing" : isDenied ? "denied" : "unreachable";
  return new RepositoryError(reason, `The Git server says: ${plainWords(words)}`);
}

/** Words of others, fit for a log: one line, without control characters, not long. */
export function plainWords(words: string): string {
  return words.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim().slice(0, 300);
}
