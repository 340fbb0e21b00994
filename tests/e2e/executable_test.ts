/**
 * The single executable, alone in an empty folder with an empty environment: what a user gets who copies one file.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { runQuery } from "../../src/dns_client.ts";
import { formatSocketAddress } from "../../src/ip.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { program, testWith } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";

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
      const client = apiOf(node);
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
      const answer = await pleiades(
        place,
        "query",
        "www.example.org",
        `@${formatSocketAddress(node.dns)}`,
        "-o",
        "short",
      );
      equal(answer.stdout, "192.0.2.1\n", answer.stderr);
      equal((await pleiades(place, "status", ...client)).code, 0);
      node.kill("SIGTERM");
      equal((await node.ended()).code, 0);
    });
  },
);

testWith(["pleiades"], "after kill -9 everything is there again", async () => {
  await installed(async (place) => {
    {
      await using node = await serve(place);
      const client = apiOf(node);
      equal((await pleiades(place, "pools", "create", "web", ...client)).code, 0);
      node.kill("SIGKILL");
      await node.ended();
    }
    await using node = await serve(place);
    const { stdout } = await pleiades(place, "pools", "list", "-o", "json", ...apiOf(node));
    deepEqual(JSON.parse(stdout).map(({ name }: { name: string }) => name), ["web"]);
  });
});

testWith(
  ["pleiades"],
  "a node with 1,000 services answers from them as soon as it has started again",
  async () => {
    await installed(async (place) => {
      {
        await using node = await serve(place);
        const members = [{ ipAddress: "192.0.2.1", port: 443 }];
        const services = Array.from(
          { length: 1_000 },
          (_, i) => ({ domain: `s${i}.example.org`, pool: "web" }),
        );
        const response = await fetch(`${node.api}/apply`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ pools: [{ name: "web", members }], services }),
        });
        equal(response.status, 200, await response.text());
      }
      await using node = await serve(place);
      const { message } = await runQuery({ ...QUESTION, server: node.dns });
      deepEqual(message.answers.map(({ data }) => data), ["192.0.2.1"]);
    });
  },
);

const QUESTION = {
  name: "s999.example.org",
  type: TYPE.A,
  class: CLASS.IN,
  ecs: null,
  tcp: false,
  udpSize: 1232,
  timeoutMs: 2_000,
};

function serve({ executable, folder }: Place): Promise<ServeProcess> {
  return ServeProcess.start({ args: ["--db", "pleiades.db"], executable, aloneIn: folder });
}

/** The base that `--api` takes. */
function apiOf(node: ServeProcess): string[] {
  return ["--api", node.api];
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
