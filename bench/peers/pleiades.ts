/**
 * Ours: the DNS fleet alone, over each of its transports; and the whole node, from the sources and as the executable,
 * with a database that was filled by `config apply`.
 *
 * @module
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "../../scripts/process.ts";
import { V8_FLAGS } from "../../scripts/v8_flags.ts";
import { end, start } from "../dns/child.ts";
import { LOAD_CORE } from "../dns/load.ts";
import { geoDatabase, modelLines, type Workload, ZONE, zoneHead } from "../dns/workloads.ts";
import type { Command, Peer, Place } from "./peer.ts";
import { freePort } from "../../tests/free_port.ts";

const NODE = [
  Deno.execPath(),
  "run",
  "-A",
  "--unstable-net",
  "--no-check",
  V8_FLAGS,
  `${ROOT}/main.ts`,
] as const;

/** The one that counts first. */
export const pleiades: Peer = fleet("pleiades", "linux");

/** All of ours. */
export const OURS: readonly Peer[] = [
  pleiades,
  fleet("pleiades-portable", "portable"),
  {
    name: "pleiades-sources",
    program: Deno.execPath(),
    install: "https://deno.com",
    answers: true,
    steersByPlace: true,
    prepare: (place) => prepareNode(NODE, place),
  },
  {
    name: "pleiades-executable",
    program: Deno.env.get("PLEIADES_EXECUTABLE") || `${ROOT}/dist/pleiades`,
    install: "deno task compile",
    answers: true,
    steersByPlace: true,
    version: ["version"],
    prepare: (place) => prepareNode([place.program], place),
  },
];

function fleet(name: string, transport: string): Peer {
  return {
    name,
    program: Deno.execPath(),
    install: "https://deno.com",
    answers: true,
    steersByPlace: true,
    async prepare({ program, folder, port, workload }) {
      const script = fileURLToPath(new URL("../dns/server.ts", import.meta.url));
      const flags = ["run", "-A", "--unstable-net", "--no-check", V8_FLAGS];
      const database = `${folder}/city.mmdb`;
      if (workload.byPlace) await Deno.writeFile(database, geoDatabase().bytes);
      return [program, ...flags, script, transport, workload.id, String(port), database];
    },
  };
}

/** How long a node may take to take in a million services. */
const FILL_MS_MAX = 300_000;
const ASK_AGAIN_MS = 50;

async function prepareNode(node: Command, { folder, port, workload, zoneFile }: Place): Promise<Command> {
  const filled = `${dirname(zoneFile)}/pleiades-${workload.id}`;
  if (!await Deno.stat(filled).then(() => true, () => false)) await fill(node, filled, workload);
  for (const { name } of Deno.readDirSync(filled)) {
    if (/^(pleiades\.db|zone|config\.yaml|city\.mmdb)$/.test(name)) {
      await Deno.copyFile(`${filled}/${name}`, `${folder}/${name}`);
    }
  }
  const [program, ...args] = node;
  return [program, ...args, ...serveFlags(folder, { port, api: "127.0.0.1:0" })];
}

function serveFlags(
  folder: string,
  { port, api }: { readonly port: number; readonly api: string },
): string[] {
  const dns = `127.0.0.1:${port}`;
  return [
    "serve",
    "-c",
    `${folder}/config.yaml`,
    "--db",
    `${folder}/pleiades.db`,
    "--dns",
    dns,
    "--api",
    api,
    "--workers",
    "1",
  ];
}

/** Makes a database with the workload's services, as an operator would. */
async function fill([program, ...args]: Command, folder: string, workload: Workload): Promise<void> {
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/zone`, zoneHead());
  const settings = [`dns: { zones: [{ domain: ${ZONE}, file: zone }] }`];
  if (workload.byPlace) {
    await Deno.writeFile(`${folder}/city.mmdb`, geoDatabase().bytes);
    settings.push("geoip: { database: city.mmdb }");
  }
  await Deno.writeTextFile(`${folder}/config.yaml`, `${settings.join("\n")}\n`);
  const lines = ReadableStream.from(modelLines(workload)).pipeThrough(new TextEncoderStream());
  await Deno.writeFile(`${folder}/model.ndjson`, lines);
  const api = `127.0.0.1:${freePort()}`;
  const child = start([program, ...args, ...serveFlags(folder, { port: 0, api })], {
    folder,
    core: LOAD_CORE,
    log: `${folder}/log`,
  });
  try {
    await untilReady(`http://${api}/readyz`);
    const { success, stderr } = await new Deno.Command(program, {
      args: [...args, "config", "apply", `${folder}/model.ndjson`, "--api", `http://${api}`],
      signal: AbortSignal.timeout(FILL_MS_MAX),
    }).output();
    if (!success) throw new Error(`Cannot fill a database: ${new TextDecoder().decode(stderr)}`);
  } finally {
    await end(child);
  }
}

async function untilReady(url: string): Promise<void> {
  for (const untilMs = performance.now() + 10_000;;) {
    const ready = await fetch(url).then(async (response) => {
      await response.body?.cancel();
      return response.ok;
    }, () => false);
    if (ready) return;
    if (performance.now() > untilMs) throw new Error(`Cannot fill a database: ${url} isn't ready after 10 s`);
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}
