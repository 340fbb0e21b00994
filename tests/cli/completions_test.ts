/** @module Tests of the completion scripts: bash's by running it, the others by what they say. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { testWith } from "../programs.ts";
import { capturedTerminal } from "./captured_terminal.ts";
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
  deepEqual(await offered("pleiades undo target=pool:", ["pool:web"]), ["web"]);
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
};
for (
  const [kind, names] of [
    ["pool", ["web"]],
    ["member", ["web/192.0.2.1:443", "web/[2001:db8::1]:443"]],
    ["service", ["www.example.com"]],
    ["zone", ["example.org"]],
    ["generation", ["12", "11"]],
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

Deno.test("the fish script offers every noun at the top and its verbs below", async () => {
  const text = await script("fish");
  match(text, /^complete -c pleiades -n '__pleiades_at pleiades' -a 'geo-rules' -d /m);
  match(text, /^complete -c pleiades -n '__pleiades_at pleiades geo-rules' -a 'delete' -d /m);
  match(text, /-n '__pleiades_at pleiades pools create' -l algorithm -x -a 'round-robin /);
  match(text, /^complete -c pleiades -f$/m);
  match(text, /-n '__pleiades_at pleiades config apply' -F$/m);
  match(text, /-n '__pleiades_at pleiades serve' -s c -l config -r -F /);
  match(text, /-n '__pleiades_at pleiades undo' -a '\(pleiades __names target 2> \/dev\/null\)'$/m);
});

Deno.test("the zsh script describes what it offers", async () => {
  const text = await script("zsh");
  match(text, /^#compdef pleiades\n/);
  match(text, /'pools:sets of interchangeable members'/);
  match(text, /_describe command commands/);
  equal(text.includes("_describe -o"), false, "commands aren't options");
  match(text, /'pleiades serve -c'\|'pleiades serve --config'\) _files; return ;;/);
  match(text, /'pleiades members list --pool'\) _pleiades_names pool; return ;;/);
});
