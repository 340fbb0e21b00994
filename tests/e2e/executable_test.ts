/**
 * The single executable, alone in an empty folder with an empty environment: what a user gets who copies one file.
 *
 * @module
 */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { runQuery } from "../../src/dns_client.ts";
import { formatSocketAddress } from "../../src/ip.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { nestedRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { program, testWith } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

/** A folder of its own, the executable in it; gone at the end. */
async function installed(test: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const executable = `${folder}/pleiades`;
    // A hundred megabytes, which another name for them spares the disk.
    await Deno.link(program("pleiades")!, executable).catch(() =>
      Deno.copyFile(program("pleiades")!, executable)
    );
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

testWith(
  ["pleiades"],
  "the executable takes the place of the one that runs, by the permissions that it was compiled with",
  async () => {
    await installed(async (place) => {
      await using node = await serve(place);
      equal((await pleiades(place, "pools", "create", "web", ...apiOf(node))).code, 0);
      await using next = await serve(place, "--replace");
      equal((await node.ended()).code, 0);
      deepEqual([next.dns, next.api], [node.dns, node.api]);
      ok(next.lines.some((line) => line.includes('"Took over"')));
      const { stdout } = await pleiades(place, "pools", "list", "-o", "json", ...apiOf(next));
      deepEqual(JSON.parse(stdout).map(({ name }: { name: string }) => name), ["web"]);
      deepEqual(
        [...node.lines, ...next.lines].filter((line) => /"level":"(warn|error)"|Uncaught/.test(line)),
        [],
      );
      next.kill("SIGTERM");
      equal((await next.ended()).code, 0);
      const left = [...Deno.readDirSync(place.folder)].map(({ name }) => name).sort();
      deepEqual(left, ["pleiades", "pleiades.db", "pleiades.db.lock"]);
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

testWith(["pleiades"], "the executable answers by place and by map file", async () => {
  await installed(async (place) => {
    await using node = await serveSteered(place);
    // Twice each, since answers that nothing steers alternate.
    for (const [client, near, mapped] of [["203.0.113.0/24", 1, 3], ["198.51.100.0/24", 2, 4]] as const) {
      for (const _ of ["first", "second"]) {
        equal(await shortAnswer(place, node, "near.example.org", client), `192.0.2.${near}\n`);
        equal(await shortAnswer(place, node, "mapped.example.org", client), `192.0.2.${mapped}\n`);
      }
    }
    deepEqual(node.lines.filter((line) => /"level":"(warn|error)"|Uncaught/.test(line)), []);
  });
});

testWith(["pleiades"], "a map file replaced by a broken one changes nothing but the log", async () => {
  await installed(async (place) => {
    await using node = await serveSteered(place);
    const path = `${place.folder}/clients.map`;
    const [first, ...others] = (await Deno.readTextFile(path)).trimEnd().split("\n");
    const good = [first!.replace("192.0.2.3", "192.0.2.4"), ...others];
    const logged = node.nextLine((line) => line.includes("Map file not loaded"));
    await Deno.writeTextFile(path, `${good.join("\n")}\n203.0.113.0/33 192.0.2.4\n`);
    ok((await logged).includes(`clients.map:${good.length + 1}:12: `), await logged);
    for (const _ of ["first", "second"]) {
      equal(await shortAnswer(place, node, "mapped.example.org", "203.0.113.0/24"), "192.0.2.3\n");
    }
    const reloaded = node.nextLine((line) => line.includes("Reloaded the settings"));
    await Deno.writeTextFile(path, `${good.join("\n")}\n`);
    node.kill("SIGHUP");
    await reloaded;
    for (const _ of ["first", "second"]) {
      equal(await shortAnswer(place, node, "mapped.example.org", "203.0.113.0/24"), "192.0.2.4\n");
    }
  });
});

testWith(["pleiades"], "the executable explains, budgets and overrides", async () => {
  await installed(async (place) => {
    await using node = await serveSteered(place);
    const ask = async (...args: string[]) => {
      const { code, stdout, stderr } = await pleiades(place, ...args, ...apiOf(node));
      equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    match(await ask("explain", "near.example.org", "--ecs", "203.0.113.0/24"), /192\.0\.2\.1:443 .* nearest/);
    match(
      await ask("explain", "mapped.example.org", "--client", "203.0.113.7"),
      /line 1 of the map file covers it/,
    );
    match(await ask("budget", "near.example.org"), /pool near: no health check, so a fault is never seen/);
    const why = ["--for", "10m", "--reason", "kernel upgrade", "--owner", "alice"];
    match(await ask("drain", "region:west", "--over", "1ms", ...why), /region:west +drain/);
    match(await ask("overrides", "list"), /region:west .* alice +kernel upgrade/);
    match(
      await ask("explain", "near.example.org", "--ecs", "203.0.113.0/24"),
      /by alice( \(created by \S+\))?: kernel upgrade/,
    );
    notEqual(await shortAnswer(place, node, "near.example.org", "203.0.113.0/24"), "192.0.2.1\n");
    await ask("undo", "region:west");
    equal(await shortAnswer(place, node, "near.example.org", "203.0.113.0/24"), "192.0.2.1\n");
    match(await ask("failback", "near/192.0.2.1:443", "--reason", "looked at it"), /192\.0\.2\.1:443 /);
  });
});

/** A node with a database of places and a map file, and a service that is answered by each of them. */
async function serveSteered(place: Place): Promise<ServeProcess> {
  const { folder } = place;
  await Deno.writeFile(
    `${folder}/city.mmdb`,
    writeMmdb({
      networks: [
        ["203.0.113.0/24", nestedRecord({ latitude: 40.7, longitude: -74, country: "US", continent: "NA" })],
        ["198.51.100.0/24", nestedRecord({ latitude: 50.1, longitude: 8.7, country: "DE", continent: "EU" })],
      ],
    }),
  );
  const map = ["203.0.113.0/24 192.0.2.3", "198.51.100.0/24 192.0.2.4", ...FILLING];
  await Deno.writeTextFile(`${folder}/clients.map`, `${map.join("\n")}\n`);
  await Deno.writeTextFile(
    `${folder}/pleiades.yaml`,
    "geoip: { database: city.mmdb }\nmapFile: { path: clients.map }\n",
  );
  const node = await serve(place, "-c", "pleiades.yaml");
  const members = [
    { ipAddress: "192.0.2.1", port: 443, latitude: 40, longitude: -75, region: "west" },
    { ipAddress: "192.0.2.2", port: 443, latitude: 50, longitude: 9, region: "east" },
  ];
  const named = ["192.0.2.3", "192.0.2.4"].map((ipAddress) => ({ ipAddress, port: 443 }));
  await call(node.api, {
    method: "POST",
    path: "/apply",
    json: {
      pools: [
        { name: "near", algorithm: "geoip", maxAnswers: 1, failback: "manual", members },
        { name: "mapped", algorithm: "map-file", maxAnswers: 1, members: named },
      ],
      services: [
        { domain: "near.example.org", pool: "near" },
        { domain: "mapped.example.org", pool: "mapped" },
      ],
    },
  });
  return node;
}

/** Makes a map file so large (300 KB) that it is compiled on a thread. */
const FILLING = Array.from({ length: 12_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${1 + i % 4}`);

async function shortAnswer(place: Place, { dns }: ServeProcess, name: string, ecs: string): Promise<string> {
  const server = `@${formatSocketAddress(dns)}`;
  const { stdout, stderr } = await pleiades(place, "query", name, server, "--ecs", ecs, "-o", "short");
  equal(stderr, "");
  return stdout;
}

const QUESTION = {
  name: "s999.example.org",
  type: TYPE.A,
  class: CLASS.IN,
  ecs: null,
  tcp: false,
  udpSize: 1232,
  timeoutMs: 20_000,
};

function serve({ executable, folder }: Place, ...args: string[]): Promise<ServeProcess> {
  return ServeProcess.start({ args: ["--db", "pleiades.db", ...args], executable, aloneIn: folder });
}

/** The base that `--api` takes. */
function apiOf(node: ServeProcess): string[] {
  return ["--api", node.api];
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
