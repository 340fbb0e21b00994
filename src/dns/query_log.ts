/**
 * The query log: sampled exchanges as lines, in the node's log or in a file of their own.
 *
 * Workers choose which exchanges and copy them (`samples.ts`); packets are decoded here, on the main thread, so an answer
 * costs nothing more. Everything on the way is bounded, and what finds no room is counted.
 *
 * @module
 */
import { type Clock, rfc3339 } from "../clock.ts";
import { formatPrefix } from "../ip.ts";
import { Port } from "../port.ts";
import { LineFile } from "../telemetry/line_file.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { decodeMessage, type Message } from "../wire/message.ts";
import { rcodeName, typeName } from "../wire/record_type.ts";
import type { Sample } from "./samples.ts";
import type { Transport } from "./transport.ts";

/** What a log is kept with. */
export interface QueryLogOptions {
  /** Lines a second at most, over all workers. */
  readonly maxPerSecond: number;
  /** The file; empty = `log`. */
  readonly path: string;
  /** Gets the lines, or hears why the file can't be written. */
  readonly log: Logger;
  /** Times the seconds. */
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Counts lines. */
  readonly registry: Registry;
  /** Exchanges that the workers were to sample since the start, and had no share or no room for. */
  readonly missed: () => { readonly overRate: number; readonly overSize: number };
}

/** Where a node's is offered, to what answers DNS beside its workers. */
export const QUERY_LOG: Port<Pick<QueryLog, "take" | "miss">> = new Port("query log");

/** One line. */
export interface QueryRecord {
  /** The client's address. */
  readonly client: string;
  /** How it came. */
  readonly protocol: Transport;
  /** As it was asked for, without a final dot; absent = the query has no question that could be read. */
  readonly name?: string;
  /** Record type. */
  readonly type?: string;
  /** Of the answer. */
  readonly rcode: string;
  /** Data of the answer section's records, the first `ANSWERS_MAX` of them. */
  readonly answers: readonly string[];
  /** Client subnet that the query carried. */
  readonly ecs?: string;
  /** Bits of it for which the answer holds. */
  readonly scope?: number;
  /** Of the answer. */
  readonly bytes: number;
}

/** Records of an answer that a line shows at most. */
export const ANSWERS_MAX = 16;

/** Writes lines of sampled exchanges. */
export class QueryLog implements AsyncDisposable {
  readonly #options: QueryLogOptions;
  readonly #file: LineFile | null;
  readonly #records;
  #secondMs = -Infinity;
  #left = 0;
  #overRate = 0;
  #overSize = 0;
  #unwritten = 0;

  /** Opens nothing before the first line. */
  constructor(options: QueryLogOptions) {
    this.#options = options;
    const { registry, missed, path } = options;
    this.#records = registry.counter("pleiades_query_log_records_total", "Queries logged.").labels();
    const dropped = registry.counter(
      "pleiades_query_log_dropped_total",
      "Sampled queries that were not logged.",
      ["reason"],
    );
    registry.onCollect(() => {
      const { overRate, overSize } = missed();
      dropped.labels("rate").mirror(overRate + this.#overRate);
      dropped.labels("buffer").mirror(overSize + this.#overSize);
      dropped.labels("file").mirror(this.#unwritten);
    });
    this.#file = path === "" ? null : this.#openFile();
  }

  /** Logs an exchange, unless this second has had its share. */
  take(sample: Sample): void {
    if (!this.#mayWrite()) this.#overRate++;
    else if (this.#file === null) {
      this.#options.log.info("Query", { ...recordOf(sample) });
      this.#records.inc();
    } else if (!this.#file.append(lineOf(sample))) this.#overSize++;
  }

  /** Counts exchanges that were to be logged and found no room. */
  miss({ overRate, overSize }: { readonly overRate: number; readonly overSize: number }): void {
    this.#overRate += overRate;
    this.#overSize += overSize;
  }

  /** Writes the last lines. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
  }

  #mayWrite(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#secondMs >= 1000) {
      this.#secondMs = nowMs;
      this.#left = this.#options.maxPerSecond;
    }
    return this.#left > 0 && this.#left-- > 0;
  }

  #openFile(): LineFile {
    const { path, log } = this.#options;
    return new LineFile({
      path,
      onWritten: (lines) => this.#records.inc(lines),
      onLost: (lines) => this.#unwritten += lines,
      onFault: (error) =>
        log.error(`Cannot write the query log ${path}: ${error.message} (fix it, or change queryLog.path)`),
      onMended: () => log.info(`The query log ${path} can be written again`),
    });
  }
}

/** What a line says of an exchange. */
export function recordOf({ client, transport, query, answer }: Sample): QueryRecord {
  const asked = decoded(query);
  const given = decoded(answer);
  const question = (given?.questions ?? asked?.questions)?.[0];
  const ecs = asked?.edns?.ecs;
  const scope = given?.edns?.ecs?.scope;
  return {
    client,
    protocol: transport,
    ...(question && { name: question.name, type: typeName(question.type) }),
    rcode: rcodeName(given?.rcode ?? answer[3]! & 15),
    answers: (given?.answers ?? []).slice(0, ANSWERS_MAX).map(({ data }) => data),
    ...(ecs && { ecs: formatPrefix(ecs.prefix) }),
    ...(scope !== undefined && { scope }),
    bytes: answer.length,
  };
}

function lineOf(sample: Sample): string {
  return JSON.stringify({ time: rfc3339(sample.unixMs), ...recordOf(sample) });
}

/** What came over the wire may be anything; `null` = it can't be read. */
function decoded(packet: Uint8Array): Message | null {
  try {
    return decodeMessage(packet);
  } catch {
    return null;
  }
}
