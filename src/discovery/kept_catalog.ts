/**
 * What was read last, in a file for the next run: until that has read its registries itself, it answers by this.
 *
 * ```text
 * {"format":1,"savedAt":1764000000000}                                      then, for each zone that is read here:
 * {"kind":"zone","zone":"gg","staleMs":0,"servers":[…]}
 * {"kind":"instance","id":"web1/a","address":"http.web.prod.shop.gg",…}     of the zone above
 * {"kind":"end","lines":3}                                                  without it the file isn't whole
 * ```
 *
 * It is a help and nothing else: a file that can't be read, or isn't one of these, is passed over. It is written a piece at a time,
 * since 10,000 instances have two megabytes, and never on this thread: a disk that is busy keeps whoever writes waiting, and above
 * all who puts a file in another's place. It is written again every minute: by its date is known how old it is.
 *
 * @module
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { expectRegular } from "../input/regular_file.ts";
import type { Logger } from "../telemetry/log.ts";
import { formatAddress, parseAddress } from "./address.ts";
import type { Instance, NameServer } from "./catalog.ts";
import { createFile } from "./created_file.ts";

/** A zone as it was read last. */
export interface KeptZone {
  /** Its name. */
  readonly zone: string;
  /** For how long it could not be read, milliseconds. */
  readonly staleMs: number;
  /** Its name servers. */
  readonly servers: readonly NameServer[];
  /** What was registered. */
  readonly instances: readonly Instance[];
}

/** What a keeper is made of. */
export interface KeptCatalogOptions {
  /** The file; `.partial` behind it is ours as well. */
  readonly path: string;
  /** What there is to keep at this moment. */
  readonly zones: () => readonly KeptZone[];
  /** Dates the file, and says when it is written. */
  readonly clock: Clock;
  /** Hears of files that can't be read or written. */
  readonly log: Logger;
}

/** How often what has changed is written. */
const WRITE_MS = 10_000;
/** How often it is written although nothing has changed, so that its date is a recent one. */
const DATE_MS = 60_000;
/** A larger file isn't read: some 400,000 instances. */
const FILE_BYTES_MAX = 128 << 20;
/** Bytes that are written at a time: the text of them takes half a millisecond. */
const PIECE = 64 << 10;
const FORMAT = 1;

/** Keeps what is read. */
export class KeptCatalog implements AsyncDisposable {
  readonly #options: KeptCatalogOptions;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #isChanged = false;
  #writtenMs: number;
  /** Why it couldn't be written last; `null` = it could. */
  #fault: string | null = null;

  /** Begins to write what changes. */
  constructor(options: KeptCatalogOptions) {
    this.#options = options;
    this.#writtenMs = options.clock.monotonicMs();
    this.#running = this.#run();
  }

  /** Something is another than what was written. */
  note(): void {
    this.#isChanged = true;
  }

  /** Writes what there is, and no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    try {
      await this.#write();
    } catch (error) {
      this.#say(error);
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    for (;;) {
      await clock.sleep(WRITE_MS, signal);
      if (signal.aborted) return;
      if (!this.#isChanged && clock.monotonicMs() - this.#writtenMs < DATE_MS) continue;
      this.#isChanged = false;
      this.#writtenMs = clock.monotonicMs();
      try {
        await this.#write(signal);
        this.#fault = null;
      } catch (error) {
        if (signal.aborted) return;
        this.#isChanged = true;
        this.#say(error);
      }
    }
  }

  async #write(signal?: AbortSignal): Promise<void> {
    const { path, zones, clock } = this.#options;
    const all = zones();
    // Nothing was ever read: what the file says is all there is.
    if (all.length > 0) await writeKept(path, all, { unixMs: clock.unixMs(), signal });
  }

  #say(error: unknown): void {
    if (String(error) === this.#fault) return;
    this.#fault = String(error);
    this.#options.log.warn("Cannot keep what is registered for the next start", {
      file: this.#options.path,
      error,
    });
  }
}

/**
 * Writes a file (mode 0600), whole or not at all; others have their turn between its pieces.
 *
 * @throws what the file system says, and the signal's reason when it is aborted
 */
export async function writeKept(
  path: string,
  zones: readonly KeptZone[],
  { unixMs, signal }: { readonly unixMs: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const partial = `${path}.partial`;
  {
    using file = await createFile(partial, 0o600);
    const encoder = new TextEncoder();
    let text = "";
    for (const line of linesOf(zones, unixMs)) {
      text += `${JSON.stringify(line)}\n`;
      if (text.length < PIECE) continue;
      await writeAll(file, encoder.encode(text));
      text = "";
      signal?.throwIfAborted();
    }
    await writeAll(file, encoder.encode(text));
  }
  await Deno.rename(partial, path);
}

function* linesOf(zones: readonly KeptZone[], savedAt: number): Generator<object> {
  let lines = 0;
  yield { format: FORMAT, savedAt };
  for (const { zone, staleMs, servers, instances } of zones) {
    yield { kind: "zone", zone, staleMs, servers };
    for (const { address, ...rest } of instances) {
      yield { kind: "instance", address: formatAddress(address), ...rest };
    }
    lines += 1 + instances.length;
  }
  yield { kind: "end", lines };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

const port = z.int().min(1).max(65_535);
const number = z.int().min(0).max(65_535);
const texts = z.array(z.string());
const HEADER = z.object({ format: z.literal(FORMAT), savedAt: z.number() });
const LINE = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("zone"),
    zone: z.string().regex(/^[0-9a-z]{2}$/),
    staleMs: z.number().min(0),
    servers: z.array(z.object({ host: z.string(), ips: texts })),
  }),
  z.object({
    ...{ kind: z.literal("instance"), id: z.string(), provider: z.string(), address: z.string() },
    ...{ node: z.string(), ips: texts, port, priority: number, weight: number },
  }),
  z.object({ kind: z.literal("end"), lines: z.number() }),
]);

/**
 * Reads a file. What it says is as old as it said then, and the time since.
 *
 * @returns empty where there is no file
 * @throws {Error} when it can't be read, or isn't whole
 */
export function readKept(path: string, unixMs: number): readonly KeptZone[] {
  let text: string;
  try {
    expectRegular(Deno.statSync(path), FILE_BYTES_MAX);
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return [];
    throw cause;
  }
  const [first = "", ...lines] = text.trimEnd().split("\n");
  const sinceMs = Math.max(0, unixMs - HEADER.parse(JSON.parse(first)).savedAt);
  const zones: { zone: string; staleMs: number; servers: NameServer[]; instances: Instance[] }[] = [];
  for (const [count, each] of lines.entries()) {
    const line = LINE.parse(JSON.parse(each));
    switch (line.kind) {
      case "zone": {
        const { zone, staleMs, servers } = line;
        zones.push({ zone, staleMs: staleMs + sinceMs, servers, instances: [] });
        break;
      }
      case "instance": {
        const { kind: _, address, ...rest } = line;
        const last = zones.at(-1);
        if (last === undefined) throw new SyntaxError("an instance stands before its zone");
        last.instances.push({ ...rest, address: parseAddress(address) });
        break;
      }
      case "end":
        if (line.lines !== count || count !== lines.length - 1) throw new SyntaxError("it isn't whole");
        return zones;
    }
  }
  throw new SyntaxError("it isn't whole");
}
