/**
 * The API against its own description, as a stranger's fuzzer reads it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { createApi } from "../../src/api/api.ts";
import { HttpServer } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import { program, testWith } from "../programs.ts";
import { apiWorld } from "./api_world.ts";

const CONFIG = fileURLToPath(new URL("schemathesis.toml", import.meta.url));

/** Cases per operation and phase; a complete run takes its time. */
const EXAMPLES = Deno.env.get("PLEIADES_TEST_ALL") === "1" ? "25" : "10";

testWith(
  ["schemathesis"],
  "schemathesis finds no 5xx, no answer and no status that the document doesn't have",
  async () => {
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
        ...["--header", `Authorization: Bearer ${token}`, "--max-examples", EXAMPLES],
        // Rules between fields (exactly one of …, at most the interval) stand in descriptions, not in the schema.
        ...["--checks", "all", "--exclude-checks", "positive_data_acceptance"],
        // A stream of events has no end.
        ...["--exclude-operation-id", "listEvents"],
        ...["--seed", "1", "--continue-on-failure", "--no-color"],
      ],
      cwd: folder,
      stdout: "piped",
      stderr: "inherit",
    }).output();
    await server.close();
    await Deno.remove(folder, { recursive: true });
    assert.equal(code, 0, new TextDecoder().decode(stdout));
    assert.deepEqual(world.logged, []);
  },
);
