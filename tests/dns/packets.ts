/**
 * Packets for tests, made and read by dns-packet: an implementation that shares nothing with ours.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import untyped from "dns-packet";

/** A decoded record; OPT has its own fields. */
interface PacketRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly data: unknown;
  readonly udpPayloadSize: number;
  readonly extendedRcode: number;
  readonly flag_do: boolean;
  readonly options: readonly { readonly code: number; readonly data?: Uint8Array }[];
}

/** As much of the package, which has no types, as is used here. */
interface DnsPacket {
  readonly RECURSION_DESIRED: number;
  readonly DNSSEC_OK: number;
  encode(message: object): Uint8Array;
  decode(bytes: Uint8Array): {
    readonly flags: number;
    readonly rcode: string;
    readonly answers: readonly PacketRecord[];
    readonly authorities: readonly PacketRecord[];
    readonly additionals: readonly PacketRecord[];
  };
}
const dnsPacket = untyped as DnsPacket;

/** What a query may carry. */
export interface Asked {
  readonly udpSize?: number;
  readonly dnssecOk?: boolean;
  readonly ednsVersion?: number;
  /** As `192.0.2.0/24`. */
  readonly ecs?: string;
  readonly nsid?: boolean;
  readonly class?: string;
  readonly id?: number;
}

/** A query for one name; EDNS is there when any of its fields is given. */
export function query(name: string, type: string, asked: Asked = {}): Uint8Array {
  const options: unknown[] = [];
  if (asked.ecs !== undefined) {
    const [ip, length] = asked.ecs.split("/");
    options.push({
      code: "CLIENT_SUBNET",
      ip,
      sourcePrefixLength: Number(length),
      family: ip!.includes(":") ? 2 : 1,
    });
  }
  if (asked.nsid) options.push({ code: 3, data: Buffer.alloc(0) });
  const edns = asked.udpSize !== undefined || asked.dnssecOk || asked.ednsVersion !== undefined ||
    options.length > 0;
  const packet = dnsPacket.encode({
    type: "query",
    id: asked.id ?? 1,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type, class: asked.class ?? "IN" }],
    additionals: edns
      ? [{
        name: ".",
        type: "OPT",
        udpPayloadSize: asked.udpSize ?? 1232,
        extendedRcode: 0,
        ednsVersion: asked.ednsVersion ?? 0,
        flags: asked.dnssecOk ? dnsPacket.DNSSEC_OK : 0,
        flag_do: asked.dnssecOk ?? false,
        options,
      }]
      : [],
  });
  return new Uint8Array(packet);
}

/** An answer in one readable line a record: `flags RCODE`, then sections marked `an`, `ns`, `ar`. */
export function show(answer: Uint8Array | null): string {
  if (answer === null) return "nothing";
  const { flags, rcode, answers, authorities, additionals } = dnsPacket.decode(
    Buffer.from(answer),
  );
  const names = [flags & 0x0400 ? "aa" : "", flags & 0x0200 ? "tc" : ""].filter(Boolean);
  const lines = [[rcode, ...names].join(" ")];
  for (const [section, records] of [["an", answers], ["ns", authorities], ["ar", additionals]] as const) {
    for (const record of records) lines.push(`${section} ${showRecord(record)}`);
  }
  return lines.join("\n");
}

function showRecord(record: PacketRecord): string {
  if (record.type === "OPT") {
    const options = record.options.map((option) =>
      ` ${option.code}:${Buffer.from(option.data ?? []).toString("hex")}`
    );
    return `OPT ${record.udpPayloadSize} rcode+${record.extendedRcode}${record.flag_do ? " do" : ""}${
      options.join("")
    }`;
  }
  const { name, type, ttl, data } = record;
  const text = typeof data === "string"
    ? data
    : Array.isArray(data)
    ? JSON.stringify(data.map((part) => new TextDecoder().decode(part)))
    : type === "SOA"
    ? (data as { mname: string; serial: number; minimum: number }).mname + " " +
      (data as { serial: number }).serial
    : type === "MX"
    ? Object.values(data as object).join(" ")
    : JSON.stringify(data);
  return `${name} ${ttl} ${type} ${text}`;
}

/** Addresses of the answer section, in order. */
export function addresses(answer: Uint8Array | null): string[] {
  const { answers } = dnsPacket.decode(Buffer.from(answer!));
  return answers.filter((record) => record.type === "A" || record.type === "AAAA").map((record) =>
    record.data as string
  );
}
