/**
 * A resolver on the loopback that says what it is told to say; its packets are made by another program's encoder.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import dnsPacket from "dns-packet";
import type { SocketAddress } from "../../src/ip.ts";

/** What the resolver says of a name. */
export type Says =
  | {
    readonly a?: readonly string[];
    readonly aaaa?: readonly string[];
    /** Seconds. */
    readonly ttl?: number;
    /** The addresses are this name's, to which the one asked for is an alias. */
    readonly alias?: string;
  }
  | "NXDOMAIN"
  | "SERVFAIL"
  | "nothing at all";

/** Answers over UDP until it is disposed; names that nobody spoke of don't exist. */
export class LoopbackResolver implements AsyncDisposable {
  readonly address: SocketAddress;
  /** What is said, by name; may be changed at any time. */
  readonly says: Record<string, Says>;
  /** Names and types asked for, in their order. */
  readonly asked: string[] = [];
  readonly #socket: Deno.DatagramConn;
  readonly #serving: Promise<void>;
  readonly #onAsked: (question: string) => void;

  constructor(says: Readonly<Record<string, Says>>, onAsked: (question: string) => void = () => {}) {
    this.says = { ...says };
    this.#onAsked = onAsked;
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = this.#socket.addr as Deno.NetAddr;
    this.address = { hostname, port };
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    for await (const [bytes, client] of this.#socket) {
      const answer = this.#answer(dnsPacket.decode(Buffer.from(bytes)));
      if (answer) await this.#socket.send(answer, client);
    }
  }

  #answer({ id, questions }: dnsPacket.DecodedPacket): Uint8Array | null {
    const { name, type } = questions![0]!;
    this.asked.push(`${name} ${type}`);
    this.#onAsked(`${name} ${type}`);
    const says = this.says[name] ?? "NXDOMAIN";
    if (says === "nothing at all") return null;
    const rcode = says === "NXDOMAIN" ? 3 : says === "SERVFAIL" ? 2 : 0;
    const { a = [], aaaa = [], ttl = 60, alias } = typeof says === "string" ? {} : says;
    const data = type === "A" ? a : type === "AAAA" ? aaaa : [];
    const answers = data.map((data) => ({ name: alias ?? name, type: type as "A", ttl, data }));
    return new Uint8Array(dnsPacket.encode({
      type: "response",
      id: id!,
      flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | rcode,
      questions: questions!,
      answers: alias ? [{ name, type: "CNAME", ttl, data: alias }, ...answers] : answers,
      authorities: answers.length === 0 && rcode !== 2
        ? [{
          name: "example.net",
          type: "SOA",
          ttl,
          data: { mname: "ns.example.net", rname: "h.example.net", minimum: ttl, serial: 1 },
        }]
        : [],
    }));
  }
}
