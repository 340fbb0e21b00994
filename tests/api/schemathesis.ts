/**
 * A run of schemathesis against the API, as a stranger's fuzzer reads its description.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { createApi } from "../../src/api/api.ts";
import { HttpServer } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import { program } from "../programs.ts";
import { apiWorld } from "./api_world.ts";

const CONFIG = fileURLToPath(new URL("schemathesis.toml", import.meta.url));

/** How far a run goes. */
export interface Fuzzing {
  /** Cases per operation and phase. */
  readonly examples: number;
  /** By which they are drawn. */
  readonly seed: number;
}

/** Runs it. @returns its exit code, what it printed, and the lines that the API logged */
export async function fuzzed(
  { examples, seed }: Fuzzing,
): Promise<{ readonly code: number; readonly output: string; readonly logged: readonly string[] }> {
  const token = "schemathesis";
  using world = apiWorld({ auth: { tokens: [token], loopback: false }, clock: systemClock });
  const server = HttpServer.bind({
    address: { hostname: "127.0.0.1", port: 0 },
    choice: "--api ADDR:PORT",
    tls: null,
    limits: { maxConnections: 256, maxConnectionsPerClient: 256 },
    log: world.parts.log,
    clock: systemClock,
  });
  server.serve(createApi(world.parts));
  // It leaves what it has learnt in its working folder.
  const folder = await Deno.makeTempDir();
  const { code, stdout } = await new Deno.Command(program("schemathesis")!, {
    args: [
      ...["--config-file", CONFIG, "run", `http://127.0.0.1:${server.address.port}/openapi.json`],
      ...["--header", `Authorization: Bearer ${token}`, "--max-examples", String(examples)],
      // Rules between fields (exactly one of …, at most the interval) stand in descriptions, not in the schema.
      ...["--checks", "all", "--exclude-checks", "positive_data_acceptance"],
      // A stream of events has no end.
      ...["--exclude-operation-id", "listEvents"],
      ...["--seed", String(seed), "--continue-on-failure", "--no-color"],
    ],
    cwd: folder,
    stdout: "piped",
    stderr: "inherit",
  }).output();
  await server.close();
  await Deno.remove(folder, { recursive: true });
  return { code, output: new TextDecoder().decode(stdout), logged: world.logged };
}
