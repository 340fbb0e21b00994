/** @module Tests of the completion scripts: in each shell at a terminal, and what bash offers where there is a choice. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { testWith } from "../programs.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { InteractiveShell } from "./interactive_shell.ts";
import { scriptedApi } from "./scripted_api.ts";

async function script(shell: string): Promise<string> {
  const terminal = capturedTerminal();
  equal(await run(["completions", shell], terminal), 0);
  return terminal.stdout();
}

/** What bash offers for the last word of a line; words end at colons, too, as they do for bash. */
async function offered(line: string, names: readonly string[] = []): Promise<string[]> {
  const words = line.split(/ |(?=:)|(?<=:)/).map((word) => `'${word}'`).join(" ");
  const program = `${await script("bash")}
pleiades() { [[ "$1" == __names ]] && printf '%s\\n' ${names.map((name) => `"$2=${name}"`).join(" ")}; }
COMP_LINE='${line}'
COMP_POINT=\${#COMP_LINE}
COMP_WORDS=(${words})
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_pleiades
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await new Deno.Command("bash", { args: ["-c", program] }).output();
  equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).split("\n").filter((word) => word !== "");
}

testWith(["bash"], "bash completes commands, subcommands, flags and values", async () => {
  deepEqual(await offered("pleiades poo"), ["pools"]);
  deepEqual(await offered("pleiades pools cr"), ["create"]);
  deepEqual(await offered("pleiades pools create web --max"), ["--max-answers"]);
  deepEqual(await offered("pleiades pools create --algorithm wei"), ["weighted-round-robin"]);
  deepEqual(await offered("pleiades completions f"), ["fish"]);
  deepEqual(await offered("pleiades pools list -o wi"), ["wide"]);
});

testWith(["bash"], "bash leaves the value of a flag to files where it knows nothing better", async () => {
  deepEqual(await offered("pleiades serve -c "), []);
  deepEqual(await offered("pleiades pools create web --max-answers "), []);
  deepEqual(await offered("pleiades config apply "), []);
});

testWith(["bash"], "bash asks the node for names of pools, members, services and targets", async () => {
  deepEqual(await offered("pleiades pools get ", ["web"]), ["pool=web"]);
  deepEqual(await offered("pleiades members list --pool pool=w", ["web"]), ["pool=web"]);
  deepEqual(await offered("pleiades explain ", ["www.example.com"]), ["service=www.example.com"]);
  deepEqual(
    await offered("pleiades pools create ", ["web"]).then((words) => words.includes("pool=web")),
    false,
  );
  deepEqual(await offered("pleiades drain target=web/192.0.2.1:4", ["web/192.0.2.1:443"]), ["443"]);
  deepEqual(await offered("pleiades undo override=pool:", ["pool:web"]), ["web"]);
});

testWith(["bash"], "bash asks the node for generations, and leaves models to files", async () => {
  for (const command of ["history", "diff 11", "rollback", "config rollback", "config export --generation"]) {
    deepEqual(await offered(`pleiades ${command} `, ["12"]), ["generation=12"], command);
  }
  deepEqual(await offered("pleiades plan "), []);
  deepEqual(await offered("pleiades config pl"), ["plan"]);
  deepEqual(await offered("pleiades rollback --ye"), ["--yes"]);
});

const WORLD = {
  "GET /pools": [{ id: "p1", name: "web" }],
  "GET /pools/p1/members": [
    { id: "m1", poolId: "p1", ipAddress: "192.0.2.1", port: 443, region: "fra" },
    { id: "m2", poolId: "p1", ipAddress: "2001:db8::1", port: 443, region: "fra" },
  ],
  "GET /services": [{ id: "s1", domain: "www.example.com" }],
  "GET /zones": [{ domain: "example.org" }],
  "GET /history?limit=50": [{ generation: 12 }, { generation: 11 }],
  "GET /overrides": [{ target: "region:fra" }, { target: "region:fra" }, { target: "pool:web" }],
  "GET /tokens": [{ name: "anna", revokedAt: null }, { name: "old", revokedAt: "2026-11-01T00:00:00Z" }],
  "GET /pools/p1/geo-rules": [{ cidr: "192.0.2.0/24" }, { cidr: null, country: "DE" }, {
    cidr: null,
    country: null,
    continent: null,
    asn: 64500,
  }],
};
for (
  const [kind, names] of [
    ["pool", ["web"]],
    ["member", ["web/192.0.2.1:443", "web/[2001:db8::1]:443"]],
    ["service", ["www.example.com"]],
    ["zone", ["example.org"]],
    ["generation", ["12", "11"]],
    ["override", ["region:fra", "pool:web"]],
    ["token", ["anna"]],
    ["geo-rule", ["192.0.2.0/24", "DE", "64500"]],
    ["target", ["pool:web", "region:fra", "web/192.0.2.1:443", "web/[2001:db8::1]:443"]],
  ] as const
) {
  Deno.test(`the names of a ${kind} are those that the node knows`, async () => {
    await using api = scriptedApi(WORLD);
    const terminal = capturedTerminal({ PLEIADES_API_URL: api.url });
    equal(await run(["__names", kind], terminal), 0);
    deepEqual(terminal.stdout().trimEnd().split("\n"), names);
  });
}

Deno.test("where nobody answers there are no names, and no word about it", async () => {
  const terminal = capturedTerminal({ PLEIADES_API_URL: "http://127.0.0.1:1" });
  equal(await run(["__names", "pool"], terminal), 0);
  equal(terminal.stdout() + terminal.stderr(), "");
});

Deno.test("what the scripts ask with isn't offered, nor in the help", async () => {
  for (const shell of ["bash", "zsh", "fish"]) equal(/['\s]__names['"]/.test(await script(shell)), false);
  const terminal = capturedTerminal();
  await run(["--help"], terminal);
  equal(terminal.stdout().includes("__names"), false);
});

const PEOPLE: readonly (readonly [typed: string, started: string])[] = [
  ["poo", "pools"],
  ["help bud", "help budget"],
  ["pools cr", "pools create"],
  ["pools create web --max", "pools create web --max-answers"],
  ["pools create web --algorithm wei", "pools create web --algorithm weighted-round-robin"],
  ["pools create web --algorithm=wei", "pools create web --algorithm=weighted-round-robin"],
  [
    "pools create --on-all-down all web --algorithm wei",
    "pools create --on-all-down all web --algorithm weighted-round-robin",
  ],
  ["pools list -o wi", "pools list -o wide"],
  ["completions fi", "completions fish"],
  ["explain www.example.com --type AAA", "explain www.example.com --type AAAA"],
  ["pools get w", "pools get web"],
  ["pools get web w", "pools get web w"],
  ["members list --pool w", "members list --pool web"],
  ["members list --pool=w", "members list --pool=web"],
  ["members list --pool list --ap", "members list --pool list --api"],
  ["drain web/192.0.2.1:4", "drain web/192.0.2.1:443"],
  ["down pool:w", "down pool:web"],
  ["undo region:", "undo region:fra"],
  ["diff 11 1", "diff 11 12"],
  ["doc", "doctor"],
  ["tokens create ci --scope op", "tokens create ci --scope operate"],
  ["tokens revoke an", "tokens revoke anna"],
  ["tokens delete an", "tokens delete anna"],
  ["geo-rules get 192", "geo-rules get 192.0.2.0/24"],
  ["zones create exa", "zones create example.org"],
  ["zones put example.org sett", "zones put example.org settings.yaml"],
  ["serve -c sett", "serve -c settings.yaml"],
  ["config apply --file=sett", "config apply --file=settings.yaml"],
  ["config validate sett", "config validate settings.yaml"],
  ["config validate settings.yaml sett", "config validate settings.yaml settings.yaml"],
];

for (
  const [shell, needs] of [
    ["bash", ["bash", "script"]],
    ["zsh", ["zsh", "script"]],
    ["fish", ["fish", "script"]],
  ] as const
) {
  testWith(
    needs,
    `${shell} at a terminal completes commands, flags, values, files and live names`,
    async () => {
      await using api = scriptedApi({
        ...WORLD,
        "GET /history?limit=50": [{ generation: 12 }],
        "GET /overrides": [{ target: "region:fra" }],
      });
      await using other = scriptedApi({ "GET /pools": [{ id: "p9", name: "there" }] });
      await using person = await InteractiveShell.start(shell, await script(shell), api.url);
      const results: string[] = [];
      for (const [typed] of PEOPLE) results.push((await person.completed(`pleiades ${typed}`)).join(" "));
      deepEqual(results, PEOPLE.map(([, started]) => started));
      const elsewhere = `pools get --api ${other.url}`;
      equal((await person.completed(`pleiades ${elsewhere} th`)).join(" "), `${elsewhere} there`);
    },
  );
}

testWith(["bash"], "bash offers no name that a shell would read as more than a word", async () => {
  deepEqual(await offered("pleiades pools get ", ["\\$(id)", "a;b", "\\`id\\`", "web"]), ["pool=web"]);
});

Deno.test("hidden opposites of flags are offered, and help", async () => {
  const text = await script("fish");
  match(text, /__pleiades_at pleiades members update' -l no-enabled /);
  match(text, /__pleiades_at pleiades members update' -s h -l help /);
});
