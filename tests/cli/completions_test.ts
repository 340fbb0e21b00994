/** @module Tests of the completion scripts: bash's by running it, the others by what they say. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { testWith } from "../programs.ts";
import { capturedTerminal } from "./captured_terminal.ts";

async function script(shell: string): Promise<string> {
  const terminal = capturedTerminal();
  equal(await run(["completions", shell], terminal), 0);
  return terminal.stdout();
}

/** What bash offers for the last word of a line. */
async function offered(line: string): Promise<string[]> {
  const words = line.split(" ").map((word) => `'${word}'`).join(" ");
  const program = `${await script("bash")}
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
});

Deno.test("the fish script offers every noun at the top and its verbs below", async () => {
  const text = await script("fish");
  match(text, /^complete -c pleiades -n '__pleiades_at pleiades' -a 'geo-rules' -d /m);
  match(text, /^complete -c pleiades -n '__pleiades_at pleiades geo-rules' -a 'delete' -d /m);
  match(text, /-n '__pleiades_at pleiades pools create' -l algorithm -x -a 'round-robin /);
});

Deno.test("the zsh script describes what it offers", async () => {
  const text = await script("zsh");
  match(text, /^#compdef pleiades\n/);
  match(text, /'pools:sets of interchangeable members'/);
});
