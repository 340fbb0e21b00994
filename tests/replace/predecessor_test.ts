/**
 * A hand-over that goes well, and every way in which it doesn't: the process that is there goes on.
 *
 * @module
 */
import assert from "node:assert/strict";
import { controlPathOf, ControlSocket } from "../../src/replace/control_socket.ts";
import type { Ask } from "../../src/replace/conversation.ts";
import { Conversation, PROTOCOL } from "../../src/replace/conversation.ts";
import { type HandOverPatience, type HandsOver, Predecessor } from "../../src/replace/predecessor.ts";
import { NotReplaced, Successor } from "../../src/replace/successor.ts";
import { closeDescriptors, connectLocally } from "../../src/sockets/local_socket.ts";
import { listLogger } from "./list_logger.ts";

/** Longer than anything takes, though the machine has other work. */
const PATIENT_MS = 60_000;
/** With what doesn't come. */
const IMPATIENT_MS = 500;
const PATIENT: HandOverPatience = {
  ...{ helloMs: PATIENT_MS, freezeMs: PATIENT_MS, startMs: PATIENT_MS, stepMs: PATIENT_MS },
};

/** What happened to the node, in order. */
class Node implements HandsOver {
  readonly happened: string[] = [];
  fault: string | null = null;
  isWhole = true;

  whyNot(): string | null {
    return null;
  }

  freeze() {
    this.happened.push("freeze");
    if (this.fault !== null) return Promise.reject(new Error(this.fault));
    const manager = { notifySocket: null, watchdogUsec: null };
    const nowhere = { dns: [], tls: [], https: [], api: null, metrics: null };
    return Promise.resolve({ ...nowhere, cookieSecret: "0a", cluster: null, manager });
  }

  release() {
    this.happened.push("release");
    return Promise.resolve({
      state: {
        tickets: [["www.example.org", 7, 0]] as const,
        fallback: [0, 0] as const,
        metrics: {},
        rates: null,
      },
      sockets: [{ address: { hostname: "127.0.0.1", port: 53 }, fd: 1 }],
    });
  }

  isUnharmed(): boolean {
    return this.isWhole;
  }

  goOn(mayWrite: boolean): void {
    this.happened.push(mayWrite ? "go on" : "go on without writing");
  }
}

interface World {
  readonly node: Node;
  readonly lines: readonly string[];
  readonly predecessor: Predecessor;
  /** What it bears, which a test may change; `PATIENT` at first. */
  readonly patience: { -readonly [Step in keyof HandOverPatience]: number };
  readonly connect: () => Conversation;
  /** Resolves when the log has such a line. */
  readonly logged: (part: string) => Promise<void>;
}

function testWith(name: string, use: (world: World) => Promise<void>): void {
  Deno.test({
    name,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const folder = await Deno.makeTempDir();
      const { log, lines, logged } = listLogger();
      const node = new Node();
      const patience = { ...PATIENT };
      const predecessor = new Predecessor({ node, lock: 0, version: "1", log, patience });
      {
        await using _socket = ControlSocket.open({
          ...{ database: `${folder}/db`, uid: Deno.uid()!, log },
          converse: (conversation) => predecessor.converse(conversation),
        });
        const connect = () => new Conversation(connectLocally(controlPathOf(`${folder}/db`)));
        await use({ node, lines, predecessor, patience, connect, logged });
        predecessor.farewell(null);
      }
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), []);
      await Deno.remove(folder, { recursive: true });
    },
  });
}

testWith(
  "a process takes over step by step, and hears at the end what was counted meanwhile",
  async (world) => {
    const { node, predecessor, connect } = world;
    await using successor = new Successor(connect());
    assert.deepEqual((await successor.greet("2")).whyNot, null);
    assert.equal((await successor.freeze()).cookieSecret, "0a");
    const { state, lock, sockets } = await successor.sockets();
    assert.deepEqual(state.tickets, [["www.example.org", 7, 0]]);
    assert.deepEqual(sockets.map(({ address }) => address.port), [53]);
    closeDescriptors([lock, ...sockets.map(({ fd }) => fd)]);
    await successor.ready();
    const last = successor.done();
    assert.equal(await predecessor.succeeded, "taken over");
    await using late = new Successor(connect());
    await assert.rejects(late.greet("3"), /another process is taking over/);
    predecessor.farewell({ metrics: { pleiades_x_total: [{ labels: "", sums: [3] }] } });
    assert.deepEqual((await last)?.metrics.pleiades_x_total?.[0]?.sums, [3]);
    assert.deepEqual(node.happened, ["freeze", "release"]);
  },
);

const STEPS: readonly Ask[] = [
  { ask: "hello", pleiades: PROTOCOL, version: "2" },
  { ask: "freeze" },
  { ask: "sockets" },
  { ask: "ready" },
];

for (const [count, { ask: last }] of STEPS.entries()) {
  const begun = STEPS.slice(0, count + 1);
  const expected = count === 0 ? [] : count === 1 ? ["freeze", "go on"] : ["freeze", "release", "go on"];

  testWith(
    `a process that ends after "${last}" leaves the other one as it was`,
    async ({ node, connect, logged }) => {
      {
        await using conversation = connect();
        for (const ask of begun) closeDescriptors((await conversation.ask(ask, PATIENT_MS))!.descriptors);
      }
      await logged(count > 0 ? "Not replaced: this process goes on" : "has ended before it did");
      assert.deepEqual(node.happened, expected);
      await takesOver(connect);
    },
  );

  testWith(`a process that says no more after "${last}" is given up`, async (world) => {
    const { node, patience, connect, logged } = world;
    patience[(["freezeMs", "startMs", "stepMs", "stepMs"] as const)[count]!] = IMPATIENT_MS;
    await using conversation = connect();
    for (const ask of begun) closeDescriptors((await conversation.ask(ask, PATIENT_MS))!.descriptors);
    await logged(count > 0 ? "Not replaced: this process goes on" : "Spoke in vain");
    assert.deepEqual(node.happened, expected);
    Object.assign(patience, PATIENT);
    await takesOver(connect);
  });

  testWith(`nonsense after "${last}" leaves the other one as it was`, async ({ node, connect, logged }) => {
    await using conversation = connect();
    for (const ask of begun) closeDescriptors((await conversation.ask(ask, PATIENT_MS))!.descriptors);
    await conversation.ask({ ask: "hello", pleiades: PROTOCOL, version: "2" }, PATIENT_MS).catch(() => {});
    await logged(count > 0 ? "Not replaced: this process goes on" : "Spoke in vain");
    assert.deepEqual(node.happened, expected);
    await takesOver(connect);
  });
}

/** Whether the next one gets it, after whatever happened to those before. */
async function takesOver(connect: () => Conversation): Promise<void> {
  await using successor = new Successor(connect());
  assert.equal((await successor.greet("2")).whyNot, null);
  assert.equal((await successor.freeze()).cookieSecret, "0a");
}

testWith("a reason for giving up is in the log", async ({ connect, logged }) => {
  await using successor = new Successor(connect());
  await successor.greet("2");
  await successor.freeze();
  const given = successor.giveUp("the settings name a file that isn't there");
  await logged("the settings name a file that isn't there");
  await successor[Symbol.asyncDispose]();
  await given;
});

testWith(
  "where the database was brought up to date, the process that goes on writes nothing",
  async (world) => {
    const { node, connect, logged } = world;
    {
      await using successor = new Successor(connect());
      await successor.greet("2");
      await successor.freeze();
      node.isWhole = false;
    }
    await logged("The database was brought up to date for a newer program");
    assert.deepEqual(node.happened, ["freeze", "go on without writing"]);
  },
);

testWith("why nothing can be frozen is told, and nothing has changed", async ({ node, connect }) => {
  node.fault = "a model is being applied";
  await using successor = new Successor(connect());
  await successor.greet("2");
  await assert.rejects(
    successor.freeze(),
    (error) => error instanceof NotReplaced && error.message === "a model is being applied",
  );
  assert.deepEqual(node.happened, ["freeze"]);
});

testWith("one process takes over at a time", async ({ connect }) => {
  await using first = new Successor(connect());
  await first.greet("2");
  await using second = new Successor(connect());
  await assert.rejects(second.greet("2"), /another process is taking over/);
});

testWith("another version of the protocol is refused by name", async ({ connect }) => {
  await using conversation = connect();
  const answer = await conversation.ask({ ask: "hello", pleiades: 99, version: "9" }, PATIENT_MS);
  assert.deepEqual(answer?.message, {
    answer: "refused",
    reason: "this node speaks version 1 of the protocol",
  });
});

testWith(
  "a line of a hundred megabytes is read as far as its bound, and no further",
  async ({ connect, logged }) => {
    const connection = connect();
    const reason = "x".repeat(100 << 20);
    const sent = connection.ask({ ask: "give-up", reason }, 60_000).catch((error) => error);
    await logged("Spoke in vain");
    const fault = await sent;
    assert(
      fault instanceof Deno.errors.BrokenPipe || fault instanceof Deno.errors.ConnectionReset,
      String(fault),
    );
    await connection[Symbol.asyncDispose]();
    await takesOver(connect);
  },
);

testWith("those who say nothing are let go, and those who are too many are refused", async (world) => {
  const { patience, connect, logged } = world;
  patience.helloMs = IMPATIENT_MS;
  const silent = Array.from({ length: 9 }, connect);
  await logged("A process was refused at the control socket");
  await logged("Spoke in vain");
  patience.helloMs = PATIENT_MS;
  for (const each of silent) await each[Symbol.asyncDispose]();
  await takesOver(connect);
});

Deno.test({
  name: "another user can't open the control socket, and is refused and logged where its file lets it in",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o755);
    const { log, lines, logged } = listLogger();
    const path = controlPathOf(`${folder}/db`);
    const isRoot = Deno.uid() === 0;
    {
      await using _socket = ControlSocket.open({
        database: `${folder}/db`,
        // Who isn't root can't become another one, so that here the socket is another's.
        uid: Deno.uid()! + (isRoot ? 0 : 1),
        log,
        converse: () => Promise.reject(new Error("it is spoken with")),
      });
      if (isRoot) assert.throws(() => as(OTHER, () => connectLocally(path)), /Permission denied/);
      await Deno.chmod(path, 0o666);
      const other = new Conversation(isRoot ? as(OTHER, () => connectLocally(path)) : connectLocally(path));
      await logged("A process was refused at the control socket");
      const told = JSON.parse(lines.at(-1)!);
      assert.deepEqual([told.reason, told.uid], ["it is another user's", isRoot ? OTHER : Deno.uid()]);
      const answered = await other.ask(STEPS[0]!, 60_000).catch((error) => error);
      assert(answered === null || answered instanceof Deno.errors.BrokenPipe, String(answered));
      await other[Symbol.asyncDispose]();
    }
    await Deno.remove(folder, { recursive: true });
  },
});

/** The user that is called nobody. */
const OTHER = 65534;

/** Does something as another user, which the kernel takes this thread alone for meanwhile. */
function as<Result>(uid: number, act: () => Result): Result {
  const call = { parameters: ["i64", "i64", "i64", "i64"], result: "i64" } as const;
  using libc = closing(Deno.dlopen("libc.so.6", { syscall: call }));
  const become = (effective: number) => {
    const number = Deno.build.arch === "aarch64" ? 147 : 117; // setresuid
    const failed = libc.symbols.syscall(BigInt(number), -1n, BigInt(effective), -1n);
    if (failed !== 0n) throw new Error(`the user ${effective} can't be had`);
  };
  become(uid);
  try {
    return act();
  } finally {
    become(0);
  }
}

function closing<Library extends { close(): void }>(library: Library): Library & Disposable {
  return Object.assign(library, { [Symbol.dispose]: () => library.close() });
}
