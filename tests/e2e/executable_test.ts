/**
 * The single executable, alone in an empty folder with an empty environment: what a user gets who copies one file.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { runQuery } from "../../src/cli/query.ts";
import { parseSocketAddress } from "../../src/ip.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { program, testWith } from "../programs.ts";

/** A folder of its own, the executable copied into it; gone at the end. */
async function installed(test: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const executable = `${folder}/pleiades`;
    await Deno.copyFile(program("pleiades")!, executable);
    await test({ folder, executable });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Place {
  readonly folder: string;
  readonly executable: string;
}

async function pleiades(place: Place, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(place.executable, {
    args,
    clearEnv: true,
    cwd: place.folder,
  }).output();
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

testWith(["pleiades"], "the executable starts with no file beside it and leaves none behind", async () => {
  await installed(async (place) => {
    const { code, stdout, stderr } = await pleiades(place, "version");
    equal(code, 0, stderr);
    match(stdout, /^pleiades \d+\.\d+\.\d+ \(/);
    deepEqual([...Deno.readDirSync(place.folder)].map(({ name }) => name), ["pleiades"]);
  });
});

testWith(["pleiades"], "wrong usage of the executable is one line and exit code 2", async () => {
  await installed(async (place) => {
    const { code, stdout, stderr } = await pleiades(place, "serv");
    equal(code, 2);
    equal(stdout, "");
    equal(stderr, "error: unknown command 'serv' (Did you mean serve?)\n");
  });
});

testWith(["pleiades", "bash"], "a reader that has seen enough isn't a failure", async () => {
  await installed(async (place) => {
    const { code, stderr } = await new Deno.Command(program("bash")!, {
      args: ["-c", `set -o pipefail; ./pleiades completions bash | head -n 1`],
      cwd: place.folder,
    }).output();
    equal(decode(stderr), "");
    equal(code, 0);
  });
});

testWith(["pleiades"], "a settings file that doesn't validate is refused with its place", async () => {
  await installed(async (place) => {
    await Deno.writeTextFile(`${place.folder}/pleiades.yaml`, "dns:\n  port: 70000\n");
    const { code, stderr } = await pleiades(place, "serve", "-c", "pleiades.yaml");
    equal(code, 1);
    match(stderr, /^pleiades\.yaml:2:9: .*70000/);
  });
});

testWith(
  ["pleiades"],
  "the executable serves, is changed and asked by itself, and drains on SIGTERM",
  async () => {
    await installed(async (place) => {
      await using node = await serve(place);
      const client = ["--api", node.api];
      for (
        const line of [
          "pools create web",
          "members create --pool web --ip 192.0.2.1 --port 443",
          "services create www.example.org --pool web --ttl 30",
        ]
      ) {
        const { code, stderr } = await pleiades(place, ...line.split(" "), ...client);
        equal(code, 0, stderr);
      }
      const answer = await pleiades(place, "query", "www.example.org", `@${node.dns}`, "-o", "short");
      equal(answer.stdout, "192.0.2.1\n", answer.stderr);
      equal((await pleiades(place, "status", ...client)).code, 0);
      const started = performance.now();
      equal(await node.stop("SIGTERM"), 0);
      ok(performance.now() - started < 5_000, "it drained for longer than 5 s");
    });
  },
);

testWith(["pleiades"], "after kill -9 everything is there again", async () => {
  await installed(async (place) => {
    {
      await using node = await serve(place);
      const client = ["--api", node.api];
      equal((await pleiades(place, "pools", "create", "web", ...client)).code, 0);
      await node.stop("SIGKILL");
    }
    await using node = await serve(place);
    const { stdout } = await pleiades(place, "pools", "list", "-o", "json", "--api", node.api);
    deepEqual(JSON.parse(stdout).map(({ name }: { name: string }) => name), ["web"]);
  });
});

testWith(["pleiades"], "with 1,000 services the first answer comes within 300 ms of the start", async () => {
  await installed(async (place) => {
    {
      await using node = await serve(place);
      const members = [{ ipAddress: "192.0.2.1", port: 443 }];
      const services = Array.from(
        { length: 1_000 },
        (_, i) => ({ domain: `s${i}.example.org`, pool: "web" }),
      );
      const response = await fetch(`${node.api}/api/v1/apply`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ pools: [{ name: "web", members }], services }),
      });
      equal(response.status, 200, await response.text());
      await node.stop("SIGTERM");
    }
    // Other tests' leftovers on a busy machine must not decide: the best of three counts.
    const startsMs: number[] = [];
    for (let i = 0; i < 3; i++) {
      const started = performance.now();
      await using node = await serve(place);
      const server = parseSocketAddress(node.dns);
      const { message } = await runQuery({ ...QUESTION, server });
      startsMs.push(performance.now() - started);
      equal(message.answers.length, 1);
      await node.stop("SIGTERM");
    }
    ok(Math.min(...startsMs) < 300, `first answers came after ${startsMs.map(Math.round).join(", ")} ms`);
  });
});

const QUESTION = {
  name: "s999.example.org",
  type: TYPE.A,
  class: CLASS.IN,
  ecs: null,
  tcp: false,
  udpSize: 1232,
  timeoutMs: 2_000,
};

interface ServingNode extends AsyncDisposable {
  /** URL of the API. */
  readonly api: string;
  /** `ADDR:PORT` of DNS. */
  readonly dns: string;
  /** Sends a signal and gives the exit code. */
  stop(signal: Deno.Signal): Promise<number>;
}

/** Starts `serve` on free ports and reads from its log where it listens. */
async function serve({ executable, folder }: Place): Promise<ServingNode> {
  const child = new Deno.Command(executable, {
    args: ["serve", "--db", "pleiades.db", "--dns", "127.0.0.1:0", "--api", "127.0.0.1:0"],
    clearEnv: true,
    cwd: folder,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const drained = [child.stdout.pipeTo(new WritableStream())];
  const log = lines(child.stderr);
  const listening = await firstWith(log, "dns");
  drained.push(drain(log));
  const stop = async (signal: Deno.Signal) => {
    child.kill(signal);
    const { code } = await child.status;
    await Promise.all(drained);
    return code;
  };
  return {
    api: String(listening["api"]),
    dns: String(listening["dns"]),
    stop,
    [Symbol.asyncDispose]: async () => {
      if (await Promise.race([child.status, null]) === null) await stop("SIGKILL").catch(() => {});
    },
  };
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

async function firstWith(log: AsyncGenerator<string>, field: string): Promise<Record<string, unknown>> {
  const seen: string[] = [];
  for (let next = await log.next(); !next.done; next = await log.next()) {
    seen.push(next.value);
    const entry: unknown = JSON.parse(next.value);
    if (typeof entry === "object" && entry !== null && field in entry) return { ...entry };
  }
  throw new Error(`serve ended without saying where it listens:\n${seen.join("\n")}`);
}

async function drain(log: AsyncGenerator<string>): Promise<void> {
  for await (const _ of log);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
