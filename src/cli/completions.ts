/**
 * Shell completion scripts, generated from the tree of commands, so that they can't fall behind it.
 *
 * Each shell gets the same three facts per command: the names of its subcommands, its flags, and the values of
 * those flags that take one of a few. Everything else completes as a file name.
 *
 * @module
 */
import type { Command } from "commander";
import type { ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** The shells that have a script. */
export type Shell = "bash" | "zsh" | "fish";

/** Prints the script of a shell; `root` is the whole tree. */
export function completions(shell: Shell, root: Command, terminal: Terminal): ExitCode {
  terminal.out(SCRIPTS[shell](root.name(), describe(root, root.name())));
  return 0;
}

const SCRIPTS: Readonly<Record<Shell, (program: string, nodes: readonly Node[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

interface Flag {
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

interface Node {
  /** The words that lead here, such as `pleiades pools create`. */
  readonly path: string;
  readonly words: readonly { readonly name: string; readonly description: string }[];
  readonly flags: readonly Flag[];
}

function describe(command: Command, path: string): Node[] {
  const children = command.commands.filter((child) => child.name() !== "help");
  const words = children.map((child) => ({ name: child.name(), description: child.description() }));
  for (const argument of command.registeredArguments) {
    for (const choice of argument.argChoices ?? []) {
      words.push({ name: choice, description: argument.description });
    }
  }
  const flags = command.options.filter((option) => !option.hidden).map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  }));
  return [
    { path, words, flags },
    ...children.flatMap((child) => describe(child, `${path} ${child.name()}`)),
  ];
}

function bashScript(program: string, nodes: readonly Node[]): string {
  const cases = nodes.flatMap((node) => [
    `    ${quote(node.path)})`,
    `      words=${
      quote([...node.words.map((word) => word.name), ...node.flags.flatMap(({ names }) => names)].join(" "))
    } ;;`,
  ]);
  const values = valueCases(nodes, (choices) => `COMPREPLY=($(compgen -W ${quote(choices)} -- "$current"))`);
  return [
    `# ${program} completion for bash: source <(${program} completions bash)`,
    `_${program}() {`,
    `  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"`,
    `  local path=${quote(program)} words="" index`,
    `  COMPREPLY=()`,
    `  for ((index = 1; index < COMP_CWORD; index++)); do`,
    `    case "$path \${COMP_WORDS[index]}" in`,
    `      ${
      nodes.slice(1).map((node) => quote(node.path)).join("|")
    }) path="$path \${COMP_WORDS[index]}" ;;`,
    `    esac`,
    `  done`,
    `  case "$path $previous" in`,
    ...values,
    `  esac`,
    `  case "$path" in`,
    ...cases,
    `  esac`,
    `  COMPREPLY=($(compgen -W "$words" -- "$current"))`,
    `}`,
    `complete -o default -F _${program} ${program}`,
  ].join("\n");
}

function zshScript(program: string, nodes: readonly Node[]): string {
  const cases = nodes.flatMap((node) => [
    `    ${quote(node.path)})`,
    `      candidates=(${
      [
        ...node.words.map((word) => quote(`${colonFree(word.name)}:${word.description}`)),
        ...node.flags.flatMap((flag) => flag.names.map((name) => quote(`${name}:${flag.description}`))),
      ].join(" ")
    }) ;;`,
  ]);
  const values = valueCases(nodes, (choices) => `compadd -- ${choices}`);
  return [
    `#compdef ${program}`,
    `# ${program} completion for zsh: source <(${program} completions zsh)`,
    `_${program}() {`,
    `  local route=${quote(program)} word`,
    `  local -a candidates`,
    `  for word in "\${(@)words[2,CURRENT-1]}"; do`,
    `    case "$route $word" in`,
    `      ${nodes.slice(1).map((node) => quote(node.path)).join("|")}) route="$route $word" ;;`,
    `    esac`,
    `  done`,
    `  case "$route \${words[CURRENT-1]}" in`,
    ...values,
    `  esac`,
    `  case "$route" in`,
    ...cases,
    `  esac`,
    `  _describe -o ${quote(program)} candidates || _files`,
    `}`,
    `compdef _${program} ${program}`,
  ].join("\n");
}

function fishScript(program: string, nodes: readonly Node[]): string {
  const lines = nodes.flatMap((node) => {
    const here = `-n ${quote(`__${program}_at ${node.path}`)}`;
    const words = node.words.map((word) =>
      `complete -c ${program} ${here} -a ${quote(word.name)} -d ${quote(word.description)}`
    );
    const flags = node.flags.map((flag) =>
      [
        `complete -c ${program} ${here}`,
        ...flag.names.map((name) => name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`),
        ...(flag.choices.length > 0
          ? [`-x -a ${quote(flag.choices.join(" "))}`]
          : flag.takesValue
          ? ["-r"]
          : []),
        `-d ${quote(flag.description)}`,
      ].join(" ")
    );
    return [...words, ...flags];
  });
  return [
    `# ${program} completion for fish: ${program} completions fish | source`,
    `function __${program}_at`,
    `  set -l route ${program}`,
    `  for word in (commandline -opc)[2..]`,
    `    contains -- "$route $word" ${nodes.slice(1).map((node) => quote(node.path)).join(" ")}`,
    `    and set route "$route $word"`,
    `  end`,
    `  test "$route" = "$argv"`,
    `end`,
    ...lines,
  ].join("\n");
}

/** One `case` line per flag that takes one of a few values. */
function valueCases(nodes: readonly Node[], offer: (choices: string) => string): string[] {
  return nodes.flatMap((node) =>
    node.flags.filter((flag) => flag.choices.length > 0).map((flag) =>
      `    ${flag.names.map((name) => quote(`${node.path} ${name}`)).join("|")}) ${
        offer(flag.choices.join(" "))
      }; return ;;`
    )
  );
}

const colonFree = (word: string): string => word.replaceAll(":", "\\:");

/** Single-quotes for all three shells; a quote inside ends, escapes and reopens, which each of them reads. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
