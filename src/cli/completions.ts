/**
 * Shell completion scripts, generated from the tree of commands, so that they can't fall behind it.
 *
 * Each shell gets the same facts per command: the names of its subcommands, its flags, the values of those flags that
 * take one of a few, and which words are names that the node is asked for (`pleiades __names KIND`).
 *
 * @module
 */
import type { Command } from "commander";
import { argumentKind, flagKind, type NameKind } from "./name_kinds.ts";
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
  readonly takesFile: boolean;
  readonly choices: readonly string[];
  /** What its value is a name of. */
  readonly kind: NameKind | null;
}

interface Node {
  /** The words that lead here, such as `pleiades pools create`. */
  readonly path: string;
  readonly words: readonly { readonly name: string; readonly description: string }[];
  readonly flags: readonly Flag[];
  /** What the word behind it is a name of. */
  readonly kind: NameKind | null;
  /** Whether a word behind it is a file. */
  readonly takesFile: boolean;
}

function describe(command: Command, path: string): Node[] {
  const children = command.commands.filter((child) =>
    child.name() !== "help" && !child.name().startsWith("__")
  );
  const words = children.map((child) => ({ name: child.name(), description: child.description() }));
  for (const argument of command.registeredArguments) {
    for (const choice of argument.argChoices ?? []) {
      words.push({ name: choice, description: argument.description });
    }
  }
  const here = path.split(" ").slice(1).join(" ");
  const flags = command.options.filter((option) => !option.hidden).map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    takesValue: option.required || option.optional,
    takesFile: option.flags.includes("<file>"),
    choices: option.argChoices ?? [],
    kind: flagKind(here, option.long ?? ""),
  }));
  const takesFile = command.registeredArguments.some((argument) => FILES.includes(argument.name()));
  return [
    { path, words, flags, kind: argumentKind(here), takesFile },
    ...children.flatMap((child) => describe(child, `${path} ${child.name()}`)),
  ];
}

/** Arguments that are files. */
const FILES = ["file", "path", "paths"];

function bashScript(program: string, nodes: readonly Node[]): string {
  const cases = nodes.flatMap((node) => [
    `    ${quote(node.path)})`,
    `      words=${quote(node.words.map((word) => word.name).join(" "))}`,
    `      flags=${quote(node.flags.flatMap(({ names }) => names).join(" "))}`,
    `      kind=${quote(node.kind ?? (node.takesFile ? "file" : ""))} ;;`,
  ]);
  const values = valueCases(nodes, {
    choices: (choices) => `COMPREPLY=($(compgen -W ${quote(choices)} -- "$current"))`,
    names: (kind) => `_${program}_names ${kind}`,
    // Nothing is offered, and bash itself completes files.
    other: ":",
  });
  return [
    `# ${program} completion for bash: source <(${program} completions bash)`,
    `_${program}_names() {`,
    `  local line="\${COMP_LINE:0:COMP_POINT}" whole index`,
    `  whole="\${line##* }"`,
    `  [[ -n "$COMP_LINE" ]] || whole="$current"`,
    `  COMPREPLY+=($(compgen -W "$(${program} __names "$1" 2> /dev/null)" -- "$whole"))`,
    `  # Where a colon ends a word, bash wants only what follows the last one.`,
    `  if [[ "$whole" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then`,
    `    for index in "\${!COMPREPLY[@]}"; do`,
    `      COMPREPLY[index]="\${COMPREPLY[index]#"\${whole%"\${whole##*:}"}"}"`,
    `    done`,
    `  fi`,
    `}`,
    `_${program}() {`,
    `  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"`,
    `  local path=${quote(program)} words="" flags="" kind="" index`,
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
    `  if [[ "$current" == -* ]]; then words="$flags"; fi`,
    `  COMPREPLY=($(compgen -W "$words" -- "$current"))`,
    `  if [[ -n "$kind" && "$kind" != file && "$current" != -* ]]; then _${program}_names "$kind"; fi`,
    `  if [[ -z "$current" && -z "$words$kind" ]]; then COMPREPLY=($(compgen -W "$flags")); fi`,
    `}`,
    `complete -o default -F _${program} ${program}`,
  ].join("\n");
}

function zshScript(program: string, nodes: readonly Node[]): string {
  const described = (names: readonly string[], description: string) =>
    names.map((name) => quote(`${colonFree(name)}:${description}`));
  const cases = nodes.flatMap((node) => [
    `    ${quote(node.path)})`,
    `      commands=(${
      node.words.flatMap(({ name, description }) => described([name], description)).join(" ")
    })`,
    `      flags=(${
      node.flags.flatMap(({ names, description }) => described(names, description)).join(" ")
    })`,
    `      kind=${quote(node.kind ?? "")} ;;`,
  ]);
  const values = valueCases(nodes, {
    choices: (choices) => `compadd -- ${choices}`,
    names: (kind) => `_${program}_names ${kind}`,
    other: "_files",
  });
  return [
    `#compdef ${program}`,
    `# ${program} completion for zsh: source <(${program} completions zsh)`,
    `_${program}_names() {`,
    `  compadd -- \${(f)"$(${program} __names "$1" 2> /dev/null)"}`,
    `}`,
    `_${program}() {`,
    `  local route=${quote(program)} word kind`,
    `  local -a commands flags`,
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
    `  if [[ "\${words[CURRENT]}" == -* ]]; then`,
    `    _describe option flags`,
    `  elif (( $#commands )); then`,
    `    _describe command commands`,
    `  elif [[ -n "$kind" ]]; then`,
    `    _${program}_names "$kind"`,
    `  else`,
    `    _files`,
    `  fi`,
    `}`,
    `compdef _${program} ${program}`,
  ].join("\n");
}

function fishScript(program: string, nodes: readonly Node[]): string {
  const namesOf = (kind: NameKind) => quote(`(${program} __names ${kind} 2> /dev/null)`);
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
          : flag.kind !== null
          ? [`-x -a ${namesOf(flag.kind)}`]
          : flag.takesFile
          ? ["-r -F"]
          : flag.takesValue
          ? ["-x"]
          : []),
        `-d ${quote(flag.description)}`,
      ].join(" ")
    );
    const names = node.kind === null ? [] : [`complete -c ${program} ${here} -a ${namesOf(node.kind)}`];
    const files = node.takesFile ? [`complete -c ${program} ${here} -F`] : [];
    return [...words, ...flags, ...names, ...files];
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
    `complete -c ${program} -f`,
    ...lines,
  ].join("\n");
}

/** What is done for the value of a flag. */
interface ValueOffers {
  readonly choices: (choices: string) => string;
  readonly names: (kind: NameKind) => string;
  readonly other: string;
}

/** One `case` line per flag that takes a value. */
function valueCases(nodes: readonly Node[], offers: ValueOffers): string[] {
  return nodes.flatMap((node) =>
    node.flags.filter((flag) => flag.takesValue).map((flag) => {
      const offer = flag.choices.length > 0
        ? offers.choices(flag.choices.join(" "))
        : flag.kind !== null
        ? offers.names(flag.kind)
        : offers.other;
      return `    ${flag.names.map((name) => quote(`${node.path} ${name}`)).join("|")}) ${offer}; return ;;`;
    })
  );
}

const colonFree = (word: string): string => word.replaceAll(":", "\\:");

/** Single-quotes for all three shells; a quote inside ends, escapes and reopens, which each of them reads. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
