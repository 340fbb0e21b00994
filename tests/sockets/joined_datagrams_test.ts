/**
 * Datagrams that go to the kernel as one: what is joined, that all come as they were queued, and what is done where the kernel
 * takes none.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { parseIp } from "../../src/ip.ts";
import { openLibc } from "../../src/libc.ts";
import { type BatchSocket, BatchSockets, type Readiness } from "../../src/sockets/batch_socket.ts";
import { SEGMENT_MAX } from "../../src/sockets/joined_datagrams.ts";
import { BATCH, C } from "../../src/sockets/message_memory.ts";
import { runs } from "../property_runs.ts";

const SO_NO_CHECK = 11;
const UDP_GRO = 104;
const SIZE_MAX = 1400;
const WAIT_MS = 10_000;

/** Some sockets, of which the first sends. */
class Scene implements Disposable {
  readonly sender: BatchSocket;
  readonly receivers: readonly Receiver[];
  readonly #sockets = new BatchSockets();

  constructor({ hostname = "127.0.0.1", receivers = 1, areWhole = false } = {}) {
    const bind = (hostname: string, receiveMax: number) =>
      this.#sockets.bind({ hostname, port: 0 }, { reusePort: false, receiveMax, sendMax: SIZE_MAX });
    this.sender = bind(hostname, SIZE_MAX);
    this.receivers = Array.from({ length: receivers }, () => {
      const socket = bind("127.0.0.1", 65_536);
      if (areWhole) setOption(socket, C.SOL_UDP, UDP_GRO);
      return new Receiver(socket, this.#sockets.readiness([socket]));
    });
  }

  /** Queues a text for a receiver, from an address of ours where there are several. */
  queue(text: string, to = 0, from: string | null = null): void {
    const peer = this.sender.createPeer();
    peer.set(parseIp("127.0.0.1")!, this.receivers[to]!.socket.port, from === null ? null : parseIp(from));
    this.sender.queue(peer, new TextEncoder().encode(text));
  }

  [Symbol.dispose](): void {
    for (const { socket, readiness } of this.receivers) {
      readiness[Symbol.dispose]();
      socket[Symbol.dispose]();
    }
    this.sender[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
  }
}

class Receiver {
  constructor(readonly socket: BatchSocket, readonly readiness: Readiness) {}

  /** So many datagrams, each with the address that it was sent from. */
  receive(count: number): { readonly text: string; readonly from: string }[] {
    const all: { text: string; from: string }[] = [];
    const { socket } = this;
    while (all.length < count && this.readiness.nap(WAIT_MS)) {
      const some = socket.receive();
      for (let slot = 0; slot < some; slot++) {
        const text = new TextDecoder().decode(socket.packet(slot).subarray(0, socket.lengthOf(slot)));
        all.push({ text, from: socket.peer(slot).address().join(".") });
      }
    }
    equal(all.length, count);
    equal(socket.receive(), 0, "nothing twice");
    return all;
  }

  texts(count: number): string[] {
    return this.receive(count).map(({ text }) => text);
  }
}

function setOption({ fd }: BatchSocket, level: number, option: number, value = 1): void {
  using libc = openLibc({
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  });
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  equal(libc.symbols.setsockopt(fd, level, option, bytes, bytes.length), 0);
}

const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "those of one size to one peer go as one message, others by themselves",
  ignore,
  fn() {
    using scene = new Scene({ receivers: 2, areWhole: true });
    for (const text of ["aaaa", "bb", "AAAA", "c", "BB", "aAaA"]) scene.queue(text);
    for (const text of ["dddd", "eeee"]) scene.queue(text, 1);
    equal(scene.sender.flush(), 0);
    deepEqual(scene.receivers[0]!.texts(3), ["aaaaAAAAaAaA", "bbBB", "c"]);
    deepEqual(scene.receivers[1]!.texts(1), ["ddddeeee"]);
  },
});

Deno.test({
  name: "empty datagrams are as many as were queued",
  ignore,
  fn() {
    using scene = new Scene();
    for (const text of ["", "", "x", "y", ""]) scene.queue(text);
    equal(scene.sender.flush(), 0);
    deepEqual(scene.receivers[0]!.texts(5).toSorted(), ["", "", "", "x", "y"]);
  },
});

Deno.test({
  name: "a peer gets them one by one, from the address of ours that was asked",
  ignore,
  fn() {
    for (const hostname of ["0.0.0.0", "::"]) {
      using scene = new Scene({ hostname });
      const sent = ["127.0.0.1", "127.0.0.3", "127.1.2.3"].flatMap((from) =>
        ["one", "two", "six"].map((text) => ({ text, from }))
      );
      for (const { text, from } of sent) scene.queue(text, 0, from);
      equal(scene.sender.flush(), 0);
      deepEqual(scene.receivers[0]!.receive(sent.length), sent);
    }
  },
});

Deno.test({
  name: "those of one address of ours aren't joined with those of another",
  ignore,
  fn() {
    using scene = new Scene({ hostname: "0.0.0.0", areWhole: true });
    for (const from of ["127.0.0.1", "127.0.0.1", "127.0.0.3", "127.0.0.3"]) scene.queue("same", 0, from);
    equal(scene.sender.flush(), 0);
    deepEqual(scene.receivers[0]!.receive(2), [
      { text: "samesame", from: "127.0.0.1" },
      { text: "samesame", from: "127.0.0.3" },
    ]);
  },
});

Deno.test({
  name: "a message is as long as a datagram may be, and what ways may fragment isn't joined",
  ignore,
  fn() {
    using scene = new Scene({ areWhole: true });
    for (let i = 0; i < BATCH; i++) scene.queue("x".repeat(SEGMENT_MAX));
    equal(scene.sender.flush(), 0);
    const lengths = scene.receivers[0]!.texts(2).map(({ length }) => length);
    equal(lengths[0]! + lengths[1]!, BATCH * SEGMENT_MAX);
    for (let i = 0; i < 2; i++) scene.queue("x".repeat(SEGMENT_MAX + 1));
    equal(scene.sender.flush(), 0);
    deepEqual(scene.receivers[0]!.texts(2).map(({ length }) => length), [SEGMENT_MAX + 1, SEGMENT_MAX + 1]);
  },
});

Deno.test({
  name: "where the kernel refuses joined ones they go by themselves, and are joined again later",
  ignore,
  fn() {
    using scene = new Scene({ areWhole: true });
    // The kernel lets only devices cut messages up, which make the checksums.
    setOption(scene.sender, C.SOL_SOCKET, SO_NO_CHECK);
    for (const text of ["aa", "bbb", "AA"]) scene.queue(text);
    deepEqual([scene.sender.flush(), scene.sender.wasRefused], [0, true]);
    deepEqual(scene.receivers[0]!.texts(3).toSorted(), ["AA", "aa", "bbb"]);
    setOption(scene.sender, C.SOL_SOCKET, SO_NO_CHECK, 0);
    let [batches, messages] = [0, 0];
    for (; messages !== 1 && batches < 2000; batches++) {
      for (const text of ["aa", "AA"]) scene.queue(text);
      equal(scene.sender.flush(), 0);
      messages = scene.receivers[0]!.socket.receive();
    }
    ok(batches > 500 && batches < 2000, `after ${batches} batches`);
  },
});

Deno.test({
  name: "what can't be sent at all is counted each, and the rest goes, joined as ever",
  ignore,
  fn() {
    using scene = new Scene({ areWhole: true });
    const nowhere = scene.sender.createPeer();
    nowhere.set(parseIp("127.0.0.1")!, 0);
    const never = new TextEncoder().encode("never");
    for (const text of ["first", "other"]) {
      scene.queue(text);
      scene.sender.queue(nowhere, never);
    }
    scene.sender.queue(nowhere, never);
    deepEqual([scene.sender.flush(), scene.sender.flush()], [3, 0]);
    deepEqual(scene.receivers[0]!.texts(1), ["firstother"]);
    for (const text of ["third", "other"]) scene.queue(text);
    deepEqual([scene.sender.flush(), scene.sender.wasRefused], [0, false]);
    deepEqual(scene.receivers[0]!.texts(1), ["thirdother"]);
  },
});

Deno.test({
  name: "every datagram comes once, as it was, in the order of those of its size",
  ignore,
  fn() {
    // Few sizes for much that is joined, and many for such as come to one place of the table.
    const size = fc.oneof(fc.integer({ min: 4, max: 7 }), fc.integer({ min: 4, max: SEGMENT_MAX }));
    const datagram = fc.record({ size, to: fc.nat(2) });
    const batch = fc.array(datagram, { minLength: 1, maxLength: 2 * BATCH, size: "max" });
    fc.assert(
      fc.property(batch, (all) => {
        // A socket that has found nothing to be joined doesn't look at once again.
        using scene = new Scene({ receivers: 3 });
        const sent = all.map(({ size, to }, i) => ({ to, text: String(i).padStart(size, "0") }));
        for (const { text, to } of sent) scene.queue(text, to);
        equal(scene.sender.flush(), 0);
        const inOrder = (texts: readonly string[]) => texts.toSorted((a, b) => a.length - b.length);
        for (const [to, receiver] of scene.receivers.entries()) {
          const due = sent.filter((each) => each.to === to).map(({ text }) => text);
          deepEqual(inOrder(receiver.texts(due.length)), inOrder(due));
        }
      }),
      { numRuns: runs(40) },
    );
  },
});
