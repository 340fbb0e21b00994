/** @module What a balancer and a server say to each other: bytes, bounds, and whatever else comes. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import {
  DATAGRAM_MAX,
  FRAME,
  type FrameReader,
  readAnnouncement,
  readFrames,
  writeAnnouncement,
  writeBare,
  writeDatagramHead,
  writeStreamHead,
} from "../../src/wire/balancer_frames.ts";

const V4 = Uint8Array.fromHex("0a4d4d05");
const V6 = Uint8Array.fromHex("20010db8000000000000000000000001");

for (
  const [what, hex, write] of [
    ["a hello", "01000000", (to) => writeBare(to, 0, FRAME.clientHello)],
    ["its answer", "e9030000", (to) => writeBare(to, 0, FRAME.serverHello)],
    ["a heartbeat", "04000000", (to) => writeBare(to, 0, FRAME.clientHeartbeat)],
    ["its answer", "ec030000", (to) => writeBare(to, 0, FRAME.serverHeartbeat)],
    ["the answer to a connection", "eb030000", (to) => writeBare(to, 0, FRAME.inboundTcpOk)],
    [
      "a datagram's head",
      "02000000054d4d0a409c00001d000000",
      (to) => writeDatagramHead(to, 0, { type: FRAME.inboundUdp, address: V4, port: 40_000, size: 29 }),
    ],
    [
      "a connection",
      "03000000054d4d0a409c0000",
      (to) => writeStreamHead(to, 0, { type: FRAME.inboundTcp, address: V4, port: 40_000 }),
    ],
    [
      "an IPv6 datagram's head",
      "0500000020010db8000000000000000000000001409c00001d000000",
      (to) => writeDatagramHead(to, 0, { type: FRAME.inboundUdp6, address: V6, port: 40_000, size: 29 }),
    ],
    [
      "an IPv6 connection",
      "0600000020010db8000000000000000000000001409c0000",
      (to) => writeStreamHead(to, 0, { type: FRAME.inboundTcp6, address: V6, port: 40_000 }),
    ],
    [
      "an announcement",
      "0200000000000000000000000800000050" + "4c445303000000",
      (to) => writeAnnouncement(to, 0, FRAME.inboundUdp, 3),
    ],
  ] as const satisfies readonly (readonly [string, string, (to: Uint8Array) => number])[]
) {
  Deno.test(`${what} is ${hex}`, () => {
    const bytes = new Uint8Array(64);
    equal(bytes.subarray(0, write(bytes)).toHex(), hex);
  });
}

Deno.test("readAnnouncement() takes 8 bytes that begin with PLDS, and nothing else", () => {
  equal(readAnnouncement(Uint8Array.fromHex("504c445303000000")), 3);
  for (const hex of ["", "504c4453030000", "504c44530300000000", "0000000000000000", "504c445403000000"]) {
    equal(readAnnouncement(Uint8Array.fromHex(hex)), null);
  }
});

/** Keeps what it reads as text. */
class Recorder implements FrameReader {
  readonly datagramTypes = [FRAME.outboundUdp, FRAME.outboundUdp6] as const;
  readonly said: string[] = [];

  datagram(address: Uint8Array, port: number, bytes: Uint8Array, at: number, size: number): boolean {
    this.said.push(`${address.toHex()} ${port} ${bytes.subarray(at, at + size).toHex()}`);
    return true;
  }

  bare(type: number): boolean {
    this.said.push(`${type}`);
    return type < 2000;
  }

  tooLong(size: number): void {
    this.said.push(`too long ${size}`);
  }
}

Deno.test("readFrames() reads the same frames however they are cut", () => {
  const whole = Uint8Array.fromHex(
    "e9030000" + "ea030000054d4d0a409c000002000000abcd" + "ec030000" +
      "ed03000020010db8000000000000000000000001409c000001000000ff" + "ea030000054d4d0a409cffff00000000",
  );
  const said = [
    "1001",
    "0a4d4d05 40000 abcd",
    "1004",
    "20010db8000000000000000000000001 40000 ff",
    "0a4d4d05 40000 ",
  ];
  for (let cut = 0; cut <= whole.length; cut++) {
    const reader = new Recorder();
    const at = readFrames(whole.subarray(0, cut), 0, cut, reader);
    ok(at <= cut);
    equal(readFrames(whole, at, whole.length, reader), whole.length);
    deepEqual(reader.said, said);
  }
});

Deno.test("readFrames() stops at an unknown type and at a datagram that is too long, before that has come", () => {
  const refused = (hex: string) => {
    const reader = new Recorder();
    const bytes = Uint8Array.fromHex(hex);
    equal(readFrames(bytes, 0, bytes.length, reader), -1);
    return reader.said;
  };
  deepEqual(refused("e9030000ffffffffe9030000"), ["1001", "4294967295"]);
  deepEqual(refused("ea030000054d4d0a409c0000dd050000"), ["too long 1501"]);
  deepEqual(refused("ea030000054d4d0a409c0000ffffffff"), ["too long 4294967295"]);
});

Deno.test("readFrames() reads random bytes without an error, and never beyond them", () => {
  const rng = seededRng(22);
  const heads = ["e9030000", "ea030000", "eb030000", "ec030000", "ed030000", "ee030000", "02000000"];
  for (let round = 0; round < 20_000; round++) {
    const bytes = new Uint8Array(rng() % 96).map(() => rng() % 4 === 0 ? rng() : 0);
    const head = Uint8Array.fromHex(heads[rng() % heads.length]!);
    if (bytes.length >= 4) bytes.set(head);
    const reader: FrameReader = {
      datagramTypes: [FRAME.outboundUdp, FRAME.outboundUdp6],
      datagram: (_address, port, all, at, size) => {
        ok(size <= DATAGRAM_MAX && at + size <= all.length && port <= 0xffff);
        return true;
      },
      bare: (type) => type > 1000 && type < 1007,
      tooLong: (size) => ok(size > DATAGRAM_MAX),
    };
    const at = readFrames(bytes, 0, bytes.length, reader);
    ok(at >= -1 && at <= bytes.length);
  }
});
