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
  /** Only operations whose number leaves this rest, divided by that; absent = all. */
  readonly part?: readonly [rest: number, of: number];
  /** Only these phases; absent = all. */
  readonly phases?: readonly ("examples" | "coverage" | "fuzzing" | "stateful")[];
}

/** Runs it. @returns its exit code, what it printed, and the lines that the API logged */
export async function fuzzed(
  { examples, seed, part: [rest, of] = [0, 1], phases }: Fuzzing,
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
  const document = await (await fetch(`http://127.0.0.1:${server.address.port}/openapi.json`)).json();
  const wanted = operationsOf(document).filter((_, i) => i % of === rest % of);
  // It leaves what it has learnt in its working folder.
  const folder = await Deno.makeTempDir();
  const { code, stdout } = await new Deno.Command(program("schemathesis")!, {
    args: [
      ...["--config-file", CONFIG, "run", `http://127.0.0.1:${server.address.port}/openapi.json`],
      ...["--header", `Authorization: Bearer ${token}`, "--max-examples", String(examples)],
      // Rules between fields (exactly one of …, at most the interval) stand in descriptions, not in the schema.
      ...["--checks", "all", "--exclude-checks", "positive_data_acceptance"],
      ...wanted.flatMap((operation) => ["--include-operation-id", operation]),
      ...phases === undefined ? [] : ["--phases", phases.join(",")],
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

/** Names of all operations but of the stream of events, which has no end. */
function operationsOf(document: { readonly paths: Record<string, Record<string, unknown>> }): string[] {
  return Object.values(document.paths)
    .flatMap((path) =>
      Object.values(path).flatMap((each) => (each as { operationId?: string }).operationId ?? [])
    )
    .filter((name) => name !== "listEvents");
}
