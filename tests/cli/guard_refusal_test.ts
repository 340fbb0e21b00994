/** @module What guards refuse, from every command that changes something: exit code 3, the names, and what to do next. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { guarded, problem, type Script, scriptedApi } from "./scripted_api.ts";

const ID = "11111111111111111111111111111111";
const EMPTY = {
  guard: "empties-live-name",
  message: "www.example.com would have no address left",
  names: ["www.example.com"],
};

async function pleiades(script: Script, line: string) {
  await using api = scriptedApi(script);
  const terminal = capturedTerminal({ PLEIADES_API_URL: api.url, USER: "alice" });
  const exitCode = await run(line.split(" "), terminal);
  return {
    exitCode,
    stdout: terminal.stdout(),
    stderr: terminal.stderr(),
    lines: api.asked.map(({ line }) => line),
  };
}

const WRITES: readonly (readonly [command: string, request: string, known?: Script])[] = [
  [`pools delete ${ID}`, `DELETE /pools/${ID}`],
  [`pools update ${ID} --max-answers 2`, `PATCH /pools/${ID}`],
  ["pools create web", "POST /pools"],
  [`members update ${ID} --no-enabled`, `PATCH /members/${ID}`],
  [`members create 192.0.2.1:443 --pool ${ID}`, `POST /pools/${ID}/members`],
  [`services update ${ID} --no-pool`, `PATCH /services/${ID}`],
  [`health-checks set ${ID} --port 9`, `PUT /pools/${ID}/health-check`],
  [`health-checks delete ${ID}`, `DELETE /pools/${ID}/health-check`],
  [`geo-rules delete ${ID}`, `DELETE /geo-rules/${ID}`],
  ["zones put example.com /dev/null", "PUT /zones/example.com"],
  ["zones delete example.com", "DELETE /zones/example.com"],
  ["fallback delete", "DELETE /fallback"],
  [`overrides delete ${ID}`, `DELETE /overrides/${ID}`, { [`GET /overrides/${ID}`]: { id: ID } }],
  ["undo pool:web", `DELETE /overrides/${ID}`, { "GET /overrides?target=pool%3Aweb": [{ id: ID }] }],
];

for (const [command, request, known] of WRITES) {
  Deno.test(`${command}: refused by a guard is exit code 3, and --force goes with a reason`, async () => {
    const refused = await pleiades({ ...known, [request]: guarded(EMPTY) }, command);
    equal(refused.exitCode, 3);
    equal(refused.stdout, "");
    equal(
      refused.stderr,
      "error: www.example.com would have no address left [empties-live-name] " +
        "(see what it moves with --dry-run; do it all the same with --force --reason TEXT)\n",
    );
    const query = "?force=true&reason=planned";
    const forced = await pleiades(
      { ...known, [`${request}${query}`]: problem(500, "as far as it goes") },
      `${command} --force --reason planned`,
    );
    equal(forced.lines.at(-1), `${request}${query}`);
  });

  Deno.test(`${command}: --force without a reason is wrong usage, and nothing is sent`, async () => {
    for (const reason of ["", " --reason="]) {
      const { exitCode, stderr, lines } = await pleiades({}, `${command} --force${reason}`);
      deepEqual([exitCode, lines], [2, []]);
      equal(stderr, "error: --force needs --reason TEXT, which the history keeps\n");
    }
  });
}

for (const command of ["down", "drain", "up", "overrides create --state down"]) {
  Deno.test(`${command} is guarded too, and is forced for the reason that it has anyway`, async () => {
    const line = `${command} pool:web --for 1h --reason why`;
    const { exitCode, stderr } = await pleiades({ "POST /overrides?reason=why": guarded(EMPTY) }, line);
    equal(exitCode, 3);
    match(stderr, /no address left \[empties-live-name\] \(see what it moves/);
    const { lines } = await pleiades({}, `${line} --force`);
    deepEqual(lines, ["POST /overrides?force=true&reason=why"]);
  });
}

Deno.test("each guard has a line, with the names that its sentence lacks, and not all of very many", async () => {
  const many = Array.from({ length: 12 }, (_, i) => `n${i}.example.com`);
  const { stderr } = await pleiades(
    {
      [`DELETE /pools/${ID}`]: guarded(
        { guard: "moved-share", message: "40 % of all answers would move", names: many },
        { guard: "deleted-share", message: "web\x1b[2J and shop would go", names: ["web", "shop", "api"] },
      ),
    },
    `pools delete ${ID}`,
  );
  const [first, second, ...others] = stderr.trimEnd().split("\n");
  equal(
    first,
    "error: 40 % of all answers would move [moved-share]: n0.example.com, n1.example.com, n2.example.com, " +
      "n3.example.com, n4.example.com, n5.example.com, n6.example.com, n7.example.com, n8.example.com, " +
      "n9.example.com and 2 more",
  );
  match(second!, /^error: web \[2J and shop would go \[deleted-share\]: api \(see what it moves /);
  deepEqual(others, []);
});

Deno.test("a conflict that no guard found is exit code 1, as ever", async () => {
  const { exitCode, stderr } = await pleiades(
    { "POST /pools": problem(409, "A pool is called web already") },
    "pools create web",
  );
  deepEqual([exitCode, stderr], [1, "error: A pool is called web already\n"]);
});
