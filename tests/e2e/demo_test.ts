/**
 * The demo as people run it, and its promise on real sockets: a stopped backend leaves the answers within
 * interval × fall + timeout + 100 ms, and returns after rise.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { delimiter } from "node:path";
import { type Backend, startBackends } from "../../src/demo/backends.ts";
import { CHECK, sampleEdits } from "../../src/demo/sample.ts";
import { newId } from "../../src/model/id.ts";
import { pause } from "../clock.ts";
import { executableOrSources, program, testWith } from "../programs.ts";
import { askFor, startTestNode, type TestNode } from "../test_node.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const BOUND_MS = CHECK.intervalMs * CHECK.fall + CHECK.timeoutMs + 100;
/** What a busy machine adds; what the promise is worth to the millisecond is for `prove failover`. */
const SLACK_MS = 10_000;
const NAME = "www.demo.test";

/** Gives the test a node that serves the samples, with every backend probed. */
async function onStage(
  test: (node: TestNode, backends: readonly Backend[]) => Promise<void>,
  addresses?: readonly string[],
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const backends = await startBackends(addresses);
  for (const backend of backends) stack.use(backend);
  const node = stack.use(await startTestNode());
  const edits = sampleEdits(backends.map(({ address }) => address), newId);
  const { generation } = node.node.changes.commit(edits, { via: "demo", by: "", reason: "" });
  await node.node.settled(generation);
  await probed(node, backends.length);
  await test(node, backends);
}

/** Resolves when so many targets have been found up or down. */
async function probed({ node: { events } }: TestNode, targets: number): Promise<void> {
  const { signal } = new AbortController();
  const known = new Set<string>();
  for await (const batch of events.follow({ after: events.origin, signal })) {
    for (const { event } of batch.events) if (event.kind === "health") known.add(event.target);
    if (known.size >= targets) return;
  }
}

/** Asks until a whole turn of answers has, or hasn't, the address; gives the milliseconds until that turn began. */
async function untilAnswers(
  node: TestNode,
  { address, is, count }: { readonly address: string; readonly is: "there" | "gone"; readonly count: number },
): Promise<number> {
  const startMs = performance.now();
  for (let turn = 0;; turn++) {
    const sinceMs = performance.now() - startMs;
    const seen: string[] = [];
    for (let i = 0; i < count; i++) seen.push(...await askFor(node, NAME));
    if (seen.includes(address) === (is === "there")) return sinceMs;
    ok(sinceMs < 4 * BOUND_MS + SLACK_MS, `${address} isn't ${is} after ${Math.round(sinceMs)} ms: ${seen}`);
    await pause(turn);
  }
}

Deno.test("a stopped backend leaves the answers in time, stays away, and returns after rise", async () => {
  await onStage(async (node, backends) => {
    const [, backend] = backends;
    const address = backend!.hostname;
    const count = backends.length;
    equal((await askFor(node, NAME)).length, 1);
    await untilAnswers(node, { address, is: "there", count });

    const stopping = backend!.stop();
    const goneMs = await untilAnswers(node, { address, is: "gone", count });
    await stopping;
    console.log(`    gone after ${Math.round(goneMs)} ms (bound ${BOUND_MS} ms)`);
    ok(goneMs <= BOUND_MS + SLACK_MS, `it left after ${goneMs} ms`);
    for (let i = 0; i < 100; i++) {
      ok(!(await askFor(node, NAME)).includes(address), "it came back while down");
    }
    deepEqual(await askFor(node, "shop.demo.test"), [backends.at(-1)!.hostname], "no fail-over");

    await backend!.start();
    const backMs = await untilAnswers(node, { address, is: "there", count });
    console.log(`    back after ${Math.round(backMs)} ms (bound ${BOUND_MS} ms)`);
    ok(backMs <= BOUND_MS + SLACK_MS, `it came back after ${backMs} ms`);
    // Two successes lie at least 95 % of an interval apart; less would mean that rise was ignored.
    ok(backMs >= CHECK.intervalMs * 0.9 * (CHECK.rise - 1), `it came back after ${backMs} ms, before rise`);
    deepEqual(await askFor(node, "shop.demo.test"), [address], "no way back from the fail-over");
  });
});

Deno.test("where loopback has no third address, there is one backend per family", async () => {
  await onStage(async (node, [first, second]) => {
    deepEqual(await askFor(node, NAME, "A"), ["127.0.0.1"]);
    deepEqual(await askFor(node, NAME, "AAAA"), ["::1"]);
    await second!.stop();
    const untilMs = performance.now() + 4 * BOUND_MS + SLACK_MS;
    for (let turn = 0; (await askFor(node, NAME, "AAAA")).length > 0; turn++) {
      ok(performance.now() < untilMs, "::1 is still answered");
      await pause(turn);
    }
    deepEqual(await askFor(node, NAME, "A"), ["127.0.0.1"]);
    equal(first!.isRunning, true);
  }, ["127.0.0.1", "::1"]);
});

/** A demo that takes longer than this to say what is waited for hangs. */
const HANG_MS = 120_000;

/** How the demo is started: the sources or the executable. */
const SOURCES = [Deno.execPath(), "run", "-A", "--unstable-net", MAIN] as const;
const WAYS = [
  { way: "the sources", needs: [], command: SOURCES },
  { way: "the executable", needs: ["pleiades"], command: [program("pleiades") ?? ""] },
] as const;
/** For what is the same either way: the executable takes a third of the time to start. */
const executable = executableOrSources();
const EITHER: readonly [string, ...string[]] = executable === null ? SOURCES : [executable];

/** A folder for everything temporary, so that what is left behind is seen; it has `deno` on its PATH. */
async function inFolder(test: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/bin`);
    await Deno.mkdir(`${folder}/tmp`);
    await Deno.symlink(Deno.execPath(), `${folder}/bin/deno`);
    const path = `${folder}/bin${delimiter}${Deno.env.get("PATH") ?? ""}`;
    await test({ env: { TMPDIR: `${folder}/tmp`, PATH: path, NO_COLOR: "1" }, temporary: `${folder}/tmp` });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Place {
  readonly env: Record<string, string>;
  readonly temporary: string;
}

function leftIn({ temporary }: Place): string[] {
  return [...Deno.readDirSync(temporary)].map(({ name }) => name);
}

/** A demo under way: what it said so far, and a wait for what it will say. */
class Playing implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | null;
  readonly #reading: Promise<void>;
  #waiting: (() => void) | null = null;
  text = "";

  constructor(command: readonly string[], { env }: Place, { types = false } = {}) {
    const [program, ...args] = command;
    this.#child = new Deno.Command(program!, {
      args,
      env,
      stdin: types ? "piped" : "null",
      stdout: "piped",
      stderr: "null",
      signal: AbortSignal.timeout(HANG_MS),
    }).spawn();
    this.#stdin = types ? this.#child.stdin.getWriter() : null;
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#waiting?.();
    }
    this.#waiting?.();
  }

  /** Resolves when it has said this. */
  async says(text: string): Promise<void> {
    const ended = this.#reading.then(() => true);
    while (!this.text.includes(text)) {
      const more = new Promise<boolean>((resolve) => this.#waiting = () => resolve(false));
      const isOver = await Promise.race([more, ended]);
      ok(!isOver || this.text.includes(text), `it ended without "${text}":\n${this.text}`);
    }
  }

  async type(keys: string): Promise<void> {
    await this.#stdin!.write(new TextEncoder().encode(keys));
  }

  async end(signal?: Deno.Signal): Promise<number> {
    if (signal) this.#child.kill(signal);
    await this.#reading;
    await this.#stdin?.close().catch(() => {});
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.end();
  }
}

for (const { way, needs, command } of WAYS) {
  testWith(
    needs,
    `demo --once from ${way} tells the story, judges it and leaves nothing behind`,
    async () => {
      await inFolder(async (place) => {
        const { code, stdout, stderr } = await new Deno.Command(command[0], {
          args: [...command.slice(1), "demo", "--once"],
          env: place.env,
          stdin: "null",
        }).output();
        const text = new TextDecoder().decode(stdout);
        equal(code, 0, text + new TextDecoder().decode(stderr));
        const told = [...text.matchAll(/^[\d:]{8} .*?\b(stopped|started|DOWN|GONE|UP|BACK|LATE)\b/gm)].map((
          [, word],
        ) => word);
        deepEqual(told, ["stopped", "DOWN", "GONE", "started", "UP", "BACK"], text);
        ok(!text.includes("\x1b"), "there is colour under NO_COLOR");
        deepEqual(leftIn(place), []);
      });
    },
  );
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`the demo ends on ${signal} with 0 and leaves nothing behind`, async () => {
    await inFolder(async (place) => {
      await using playing = new Playing([...EITHER, "demo", ...ANY_PORTS], place);
      await playing.says("keep asking");
      equal(await playing.end(signal), 0);
      match(playing.text, /Nothing is left behind/);
      deepEqual(leftIn(place), []);
    });
  });
}

const ANY_PORTS = ["--dns", "127.0.0.1:0", "--api", "127.0.0.1:0"];

testWith(["dig"], "every line that the demo offers works as it stands, and its answer is told", async () => {
  await inFolder(async (place) => {
    await using playing = new Playing([...SOURCES, "demo", ...ANY_PORTS], place);
    await playing.says("keep asking");
    const tries = /Try this in another terminal:\n((?: {2}.+\n)+)/.exec(playing.text)![1]!.trim().split(
      /\n */,
    );
    equal(tries.length, 4, playing.text);
    for (const line of tries) {
      const { code, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", line], env: place.env })
        .output();
      equal(code, 0, `${line}\n${new TextDecoder().decode(stderr)}`);
      match(new TextDecoder().decode(stdout), /127\.0\.0\.1[123]|www\.demo\.test/, line);
    }
    await playing.says("127.0.0.1 asked www.demo.test A → 127.0.0.1");
    match(playing.text, /asked www\.demo\.test A → 127\.0\.0\.1\d · pool web, 3 of 3 up/);
  });
});

testWith(["script"], "in a terminal a key stops a backend, and q ends the demo", async () => {
  await inFolder(async (place) => {
    const line = [...EITHER, "demo", ...ANY_PORTS].join(" ");
    await using playing = new Playing(["script", "-qec", line, "/dev/null"], place, { types: true });
    await playing.says("Keys: 1 2 3");
    await playing.says("keep asking");
    await playing.type("3");
    await playing.says("Backend 3 (127.0.0.13) stopped");
    await playing.says("GONE 127.0.0.13");
    await playing.type("q");
    equal(await playing.end(), 0);
    deepEqual(leftIn(place), []);
  });
});

testWith(["script"], "a terminal that is closed ends the demo, and nothing is left behind", async () => {
  await inFolder(async (place) => {
    const line = [...EITHER, "demo", ...ANY_PORTS].join(" ");
    await using playing = new Playing(["script", "-qec", line, "/dev/null"], place, { types: true });
    await playing.says("keep asking");
    await playing.end("SIGKILL");
    for (const untilMs = performance.now() + 60_000; leftIn(place).length > 0;) {
      ok(performance.now() < untilMs, `left behind: ${leftIn(place)}`);
      await playing.end();
    }
  });
});

testWith(["sh"], "a reader that has seen enough ends the demo, and nothing is left behind", async () => {
  await inFolder(async (place) => {
    const line = [...EITHER, "demo", "--once"].join(" ");
    const { code } = await new Deno.Command("sh", { args: ["-c", `${line} | head -n 1`], env: place.env })
      .output();
    equal(code, 0);
    deepEqual(leftIn(place), []);
  });
});

Deno.test("an address that is taken is one line and exit code 1, and leaves nothing behind", async () => {
  await inFolder(async (place) => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { code, stdout, stderr } = await new Deno.Command(EITHER[0], {
      args: [...EITHER.slice(1), "demo", "--dns", `127.0.0.1:${taken.addr.port}`],
      env: place.env,
      stdin: "null",
    }).output();
    equal(code, 1);
    equal(new TextDecoder().decode(stdout), "");
    match(new TextDecoder().decode(stderr), /\nerror: Cannot listen on 127\.0\.0\.1:\d+: .*--dns.*\n$/);
    deepEqual(leftIn(place), []);
  });
});
