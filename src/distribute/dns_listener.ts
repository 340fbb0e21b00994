/**
 * The primary that a secondary's PowerDNS transfers from: a listener on its own machine that gets what it answers from a
 * provider.
 *
 * SOA and AXFR of a zone are answered, everything else is refused. Where no provider answers, there is silence: an error would
 * have PowerDNS believe that the zone is gone. With DO the SOA record comes with its signatures, from which PowerDNS sees by
 * itself that the primary has signed again, though the serial is the same.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { isOfOneConnection } from "../sockets/listening.ts";
import { decodeMessage, type Message } from "../wire/message.ts";
import { CLASS, RCODE, TYPE, typeName } from "../wire/record_type.ts";
import { encodeResponse, recordSizeMax, type Response, type WireRecord } from "../wire/response.ts";
import { FramedReader } from "./framed_reader.ts";
import { canonicalZone } from "./messages.ts";
import { serialOf } from "./zone_reading.ts";

/** Where zones come from. */
export interface ZoneSource {
  /** The SOA record and, behind it, its signatures; `null` = it can't be had now. @param gone aborted when PowerDNS has gone */
  soa(zone: string, gone: AbortSignal): Promise<readonly WireRecord[] | null>;
  /** The whole zone; `null` = it can't be had now. @param gone aborted when PowerDNS has gone */
  zone(zone: string, gone: AbortSignal): Promise<TransferSource | null>;
}

/** A whole zone: its records, or the messages of a transfer as a primary wrote them. */
export type TransferSource =
  | { readonly soa: WireRecord; readonly records: readonly WireRecord[] }
  | { readonly serial: number; readonly messages: readonly Uint8Array[] };

/** What a listener is made with. */
export interface DnsListenerNeeds {
  /** Of the machine itself. */
  readonly address: SocketAddress;
  /** Where zones come from. */
  readonly source: ZoneSource;
  /** Told of each query by its type, and whether it is one that is answered. */
  readonly onQuery: (qtype: string, isPermitted: boolean) => void;
  /** Told when a transfer begins; what it gives is told the end, with the serial when all of it was sent. */
  readonly onTransfer: (zone: string) => (serial: number | null) => void;
  /** Hears what can't be answered. */
  readonly log: Logger;
}

/** A message of a transfer holds as many records as fit; PowerDNS reads 64 KiB. */
const MESSAGE_SIZE_MAX = 60_000;
/** Of an answer over UDP without EDNS (RFC 1035 §4.2.1). */
const UDP_SIZE = 512;
/** Connections at the same time; PowerDNS has a handful of threads that transfer. */
const CONNECTIONS_MAX = 64;
/** Longest wait for a query on a connection, milliseconds, and until a message was taken. */
const IDLE_MS = 30_000;

/** Listens on UDP and TCP. */
export class DnsListener implements AsyncDisposable {
  readonly #needs: DnsListenerNeeds;
  readonly #tcp: Deno.TcpListener;
  readonly #udp: Deno.DatagramConn;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #under = new Set<Promise<void>>();
  #isEnded = false;

  /** Begins to listen. @throws {Error} when the address can't be had */
  constructor(needs: DnsListenerNeeds) {
    this.#needs = needs;
    const { address } = needs;
    this.#tcp = Deno.listen({ ...address, transport: "tcp" });
    const port = this.#tcp.addr.port;
    try {
      this.#udp = Deno.listenDatagram({ ...address, port, transport: "udp" });
    } catch (error) {
      this.#tcp.close();
      throw error;
    }
    this.#follow(this.#accept());
    this.#follow(this.#receive());
  }

  /** Where it listens. */
  get address(): SocketAddress {
    return { hostname: this.#tcp.addr.hostname, port: this.#tcp.addr.port };
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#tcp.close();
    this.#udp.close();
    for (const conn of this.#open) conn.close();
    this.#open.clear();
    await Promise.all(this.#under);
  }

  #follow(work: Promise<void>): void {
    const under = work.catch((error) => {
      if (!this.#isEnded) this.#needs.log.debug("A query of the local server wasn't answered", { error });
    }).finally(() => this.#under.delete(under));
    this.#under.add(under);
  }

  async #accept(): Promise<void> {
    for (;;) {
      try {
        const conn = await this.#tcp.accept();
        if (this.#open.size >= CONNECTIONS_MAX) conn.close();
        else {
          this.#open.add(conn);
          this.#follow(this.#serve(conn));
        }
      } catch (error) {
        if (this.#isEnded) return;
        if (!isOfOneConnection(error)) throw error;
      }
    }
  }

  async #serve(conn: Deno.TcpConn): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const within = async <Result>(action: Promise<Result>): Promise<Result> => {
      timer = setTimeout(() => this.#close(conn), IDLE_MS);
      return await action.finally(() => clearTimeout(timer));
    };
    try {
      conn.setNoDelay(true);
      const reader = new FramedReader(conn);
      let coming = reader.next();
      for (;;) {
        const query = await within(coming);
        if (query === null) return;
        // It gives up by closing the connection; what a provider is asked then is asked in vain.
        const gone = new AbortController();
        coming = reader.next();
        const end = () => gone.abort("closed");
        coming.then((next) => next ?? end(), end);
        for await (const answer of this.#answers(query, gone.signal)) {
          if (gone.signal.aborted) return;
          await within(writeFramed(conn, answer));
        }
      }
    } finally {
      clearTimeout(timer);
      this.#close(conn);
    }
  }

  #close(conn: Deno.TcpConn): void {
    if (this.#open.delete(conn)) conn.close();
  }

  async #receive(): Promise<void> {
    for await (const [query, from] of this.#udp) this.#follow(this.#answerUdp(query, from));
  }

  async #answerUdp(query: Uint8Array, from: Deno.Addr): Promise<void> {
    for await (const answer of this.#answers(query, null)) {
      if (!this.#isEnded) await this.#udp.send(answer, from);
    }
  }

  /**
   * None = silence: what can't be read isn't answered, nor what no provider knows now.
   *
   * @param gone aborted when the other end has closed the connection; `null` = there is none, it is UDP
   */
  async *#answers(bytes: Uint8Array, gone: AbortSignal | null): AsyncGenerator<Uint8Array> {
    const query = readQuery(bytes);
    if (query === null) return;
    const { message, zone, type } = query;
    const isPermitted = zone !== null && (type === TYPE.SOA || (type === TYPE.AXFR && gone !== null));
    this.#needs.onQuery(typeName(type), isPermitted);
    if (!isPermitted) {
      yield encodeResponse({ ...headOf(message), aa: false, rcode: RCODE.REFUSED, answers: [] });
    } else if (type === TYPE.SOA) yield* this.#soa(message, zone, gone);
    else yield* this.#transfer(message, zone, gone!);
  }

  async *#soa(message: Message, zone: string, gone: AbortSignal | null): AsyncGenerator<Uint8Array> {
    const records = await this.#needs.source.soa(zone, gone ?? new AbortController().signal);
    if (records === null) return;
    const wanted = message.edns?.do ? records : records.filter(({ type }) => type === TYPE.SOA);
    const answer = encodeResponse({ ...headOf(message), answers: wanted });
    const sizeMax = gone !== null ? 65_535 : Math.max(UDP_SIZE, message.edns?.udpSize ?? UDP_SIZE);
    if (answer.length <= sizeMax) return yield answer;
    const cut = encodeResponse({ ...headOf(message), answers: [] });
    cut[2]! |= 0x02; // TC: the client comes again over TCP
    yield cut;
  }

  async *#transfer(message: Message, zone: string, gone: AbortSignal): AsyncGenerator<Uint8Array> {
    const { source, onTransfer, log } = this.#needs;
    const ended = onTransfer(zone);
    let sent: number | null = null;
    try {
      const found = await source.zone(zone, gone);
      if (found === null) {
        log.warn("No provider gives the zone", { zone });
        throw new Error(`No provider gives ${zone}`);
      }
      if ("messages" in found) {
        for (const each of found.messages) yield withId(each, message.id);
        sent = found.serial;
        return;
      }
      const { soa, records } = found;
      let part: WireRecord[] = [];
      let size = 0;
      // The SOA record stands at both ends, RFC 5936 §2.2.
      for (const record of withEnds(soa, records)) {
        size += recordSizeMax(record);
        if (size > MESSAGE_SIZE_MAX && part.length > 0) {
          yield encodeResponse({ ...headOf(message), answers: part });
          [part, size] = [[], recordSizeMax(record)];
        }
        part.push(record);
      }
      yield encodeResponse({ ...headOf(message), answers: part });
      sent = serialOf(soa.rdata);
    } finally {
      ended(sent);
    }
  }
}

function* withEnds(soa: WireRecord, records: readonly WireRecord[]): Generator<WireRecord> {
  yield soa;
  yield* records;
  yield soa;
}

/** The message as the answer to another query. */
function withId(message: Uint8Array, id: number): Uint8Array {
  const answer = message.slice();
  answer[0] = id >> 8;
  answer[1] = id & 0xff;
  return answer;
}

/** A query of one question; `null` = it is none. `zone` is `null` where the name isn't one of a zone. */
function readQuery(
  bytes: Uint8Array,
): { readonly message: Message; readonly zone: string | null; readonly type: number } | null {
  let message: Message;
  try {
    message = decodeMessage(bytes);
  } catch {
    return null;
  }
  const [question] = message.questions;
  if (message.flags.qr || question === undefined || message.questions.length !== 1) return null;
  const isMeant = message.opcode === 0 && question.class === CLASS.IN;
  return {
    message,
    zone: isMeant ? canonicalZone(`${question.name}.`.replace("..", ".")) : null,
    type: question.type,
  };
}

function headOf({ id, flags, questions, edns }: Message): Omit<Response, "answers"> {
  return {
    ...{ id, rd: flags.rd, aa: true, rcode: RCODE.NOERROR },
    question: questions[0]!,
    edns: edns && { udpSize: 1_232, do: edns.do },
  };
}

async function writeFramed(conn: Deno.TcpConn, message: Uint8Array): Promise<void> {
  const framed = new Uint8Array(message.length + 2);
  new DataView(framed.buffer).setUint16(0, message.length);
  framed.set(message, 2);
  for (let at = 0; at < framed.length;) at += await conn.write(framed.subarray(at));
}
