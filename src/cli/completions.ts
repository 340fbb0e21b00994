/**
 * Shell completion scripts, generated from the tree of commands, so that they can't fall behind it.
 *
 * Each shell gets the same facts per command: its subcommands, its flags, and what may stand behind the command, place by
 * place, and behind each flag: one of a few words, a name that the node is asked for (`pleiades __names KIND`), a file, or
 * something that only the person knows.
 *
 * All three scripts read the words before the cursor in the same way: a word behind a flag that takes a value is that value,
 * one that names a subcommand leads on, any other is counted.
 *
 * @module
 */
import type { Argument, Command, Option } from "commander";
import { TYPE } from "../wire/record_type.ts";
import { argumentKind, flagKind, type NameKind } from "./name_kinds.ts";
import type { ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** The shells that have a script. */
export type Shell = "bash" | "zsh" | "fish";

/** Prints the script of a shell; `root` is the whole tree. */
export function completions(shell: Shell, root: Command, terminal: Terminal): ExitCode {
  terminal.out(SCRIPTS[shell](root.name(), describe(root)));
  return 0;
}

const SCRIPTS: Readonly<Record<Shell, (program: string, nodes: readonly Node[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** What may stand in a place: one of these words, a name of that kind, a file; else it isn't known. */
interface Place {
  readonly words: readonly Word[];
  readonly kind: NameKind | null;
  readonly isFile: boolean;
}

interface Word {
  readonly name: string;
  readonly description: string;
}

interface Flag {
  readonly names: readonly string[];
  readonly description: string;
  /** What its value may be; `null` = it takes none. */
  readonly value: Place | null;
}

interface Node {
  /** The words that lead here, such as `pleiades pools create`. */
  readonly path: string;
  /** The same with other names of the last one. */
  readonly aliases: readonly string[];
  readonly flags: readonly Flag[];
  /** What may stand behind it; of several words that are alike, the last place stands for all. */
  readonly places: readonly Place[];
  readonly isLastRepeated: boolean;
}

function describe(root: Command): Node[] {
  const top = nodeOf(root, root.name());
  const commands = top.places[0]!.words;
  const help: Node = {
    path: `${root.name()} help`,
    aliases: [],
    flags: [],
    places: [{ words: commands.filter(({ name }) => name !== "help"), kind: null, isFile: false }],
    isLastRepeated: false,
  };
  return [top, help, ...below(root, root.name())];
}

function below(command: Command, path: string): Node[] {
  return childrenOf(command).filter((child) => child.name() !== "help").flatMap((child) => {
    const here = `${path} ${child.name()}`;
    return [nodeOf(child, here, path), ...below(child, here)];
  });
}

function childrenOf(command: Command): Command[] {
  return command.createHelp().visibleCommands(command).filter((child) => !child.name().startsWith("__"));
}

function nodeOf(command: Command, path: string, parent: string = ""): Node {
  const here = path.split(" ").slice(1).join(" ");
  const children = command.commands.length === 0 ? [] : childrenOf(command);
  const words = children.map((child) => ({ name: child.name(), description: child.description() }));
  const flags = command.options.filter((option) => !option.hidden || option.negate).map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    value: option.required || option.optional ? placeOfFlag(option, here) : null,
  }));
  return {
    path,
    aliases: command.aliases().map((alias) => `${parent} ${alias}`),
    flags: [...flags, { names: ["-h", "--help"], description: "show the options and examples", value: null }],
    places: words.length > 0
      ? [{ words, kind: null, isFile: false }]
      : command.registeredArguments.map((argument, i) => placeOfArgument(argument, here, i)),
    isLastRepeated: command.registeredArguments.at(-1)?.variadic === true,
  };
}

function placeOfFlag(option: Option, command: string): Place {
  const words = option.argChoices ?? WORDS[`${command} ${option.long}`] ?? [];
  return {
    words: words.map((name) => ({ name, description: "" })),
    kind: flagKind(command, option.long ?? ""),
    isFile: /<(?:file|path)>/.test(option.flags),
  };
}

function placeOfArgument(argument: Argument, command: string, place: number): Place {
  return {
    words: (argument.argChoices ?? []).map((name) => ({ name, description: argument.description })),
    kind: argumentKind(command, place),
    isFile: FILES.includes(argument.name()),
  };
}

/** Values of flags that take others as well. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  "explain --type": Object.keys(TYPE),
};

/** Arguments that are files. */
const FILES = ["file", "path", "paths"];

/** Flags that say which node is asked; what is typed there is handed on to those who ask for names. */
const ASKED = ["--api", "--token"];

/** Each node with each of its places: the number that a shell has counted to, `*` where it goes on. */
function placesOf(node: Node): { readonly index: string; readonly place: Place }[] {
  return node.places.map((place, i) => ({
    index: node.isLastRepeated && i === node.places.length - 1 ? "*" : String(i),
    place,
  }));
}

/** A `case` for bash and zsh: the flags that take values, other names of commands, and where words lead. */
function routing(nodes: readonly Node[], program: string): string[] {
  const valued = nodes.flatMap(({ path, flags }) =>
    flags.filter(({ value }) => value !== null).flatMap(({ names }) =>
      names.map((name) => quote(`${path} ${name}`))
    )
  );
  const renamed = nodes.flatMap(({ path, aliases }) =>
    aliases.length === 0 ? [] : [`      ${aliases.map(quote).join("|")}) route=${quote(path)} count=0 ;;`]
  );
  return [
    `    case "$route $word" in`,
    `      ${valued.join("|")}) flag="$word" ;;`,
    ...renamed,
    `      ${nodes.slice(1).map(({ path }) => quote(path)).join("|")}) route="$route $word" count=0 ;;`,
    `      ${quote(program)}*" -"*) ;;`,
    `      *) count=$((count + 1)) ;;`,
    `    esac`,
  ];
}

/** How a shell offers things. */
interface Offers {
  readonly words: (words: readonly Word[]) => string;
  readonly names: (kind: NameKind) => string;
  readonly files: string;
  readonly nothing: string;
}

function offer({ words, kind, isFile }: Place, offers: Offers): string {
  if (words.length > 0) return offers.words(words);
  if (kind !== null) return offers.names(kind);
  return isFile ? offers.files : offers.nothing;
}

function caseLines(
  nodes: readonly Node[],
  offers: Offers,
): { values: string[]; places: string[]; flags: string[] } {
  const values = nodes.flatMap(({ path, flags }) =>
    flags.flatMap(({ names, value }) => {
      if (value === null) return [];
      return [`      ${names.map((name) => quote(`${path} ${name}`)).join("|")}) ${offer(value, offers)} ;;`];
    })
  );
  const places = nodes.flatMap((node) =>
    placesOf(node).map(({ index, place }) =>
      `      ${index === "*" ? `${quote(`${node.path} `)}*` : quote(`${node.path} ${index}`)}) ${
        offer(place, offers)
      } ;;`
    )
  );
  const flags = nodes.map(({ path, flags }) => {
    const words = flags.flatMap(({ names, description }) => names.map((name) => ({ name, description })));
    return `      ${quote(path)}) ${offers.words(words)} ;;`;
  });
  return { values, places, flags };
}

function bashScript(program: string, nodes: readonly Node[]): string {
  const { values, places, flags } = caseLines(nodes, {
    words: (words) => `_${program}_words ${words.map(({ name }) => quote(name)).join(" ")}`,
    names: (kind) => `_${program}_names ${kind}`,
    files: `COMPREPLY=()`,
    nothing: `compopt +o default 2> /dev/null`,
  });
  return [
    `# ${program} completion for bash: source <(${program} completions bash)`,
    `_${program}_words() {`,
    `  local word`,
    `  for word in "$@"; do if [[ "$word" == "$value"* ]]; then COMPREPLY+=("$word"); fi; done`,
    `}`,
    `_${program}_names() {`,
    `  local name program=${program}`,
    `  if command -v -- "\${words[0]}" > /dev/null; then program="\${words[0]}"; fi`,
    `  compopt +o default 2> /dev/null`,
    `  while IFS= read -r name; do`,
    `    # What the shell would read as more than a word isn't offered.`,
    `    case "$name" in *[!A-Za-z0-9._:/@*+,%=\\[\\]-]*) continue ;; esac`,
    `    _${program}_words "$name"`,
    `  done < <("$program" __names "$1" \${asked[@]+"\${asked[@]}"} 2> /dev/null)`,
    `}`,
    `_${program}() {`,
    `  local route=${quote(program)} count=0 flag="" word value whole lead rest i`,
    `  local -a words asked`,
    `  words=() asked=() COMPREPLY=()`,
    `  # Words as they are typed: bash itself ends them at = and :, too.`,
    `  rest="\${COMP_LINE:0:COMP_POINT}"`,
    `  for ((i = 0; i <= COMP_CWORD; i++)); do`,
    `    lead="\${rest%%[![:space:]]*}"`,
    `    rest="\${rest#"$lead"}"`,
    `    word="\${COMP_WORDS[i]}"`,
    `    if ((i == COMP_CWORD)); then word="$rest"; fi`,
    `    rest="\${rest#"$word"}"`,
    `    if ((i > 0)) && [[ -z "$lead" ]]; then words[\${#words[@]}-1]+="$word"; else words+=("$word"); fi`,
    `  done`,
    `  for ((i = 1; i < \${#words[@]} - 1; i++)); do`,
    `    word="\${words[i]}"`,
    ...walking(nodes, program),
    `  done`,
    `  whole="\${words[\${#words[@]}-1]}" value="\${words[\${#words[@]}-1]}"`,
    `  if [[ -z "$flag" && "$value" == --*=* ]]; then flag="\${value%%=*}" value="\${value#*=}"; fi`,
    `  if [[ -n "$flag" ]]; then`,
    `    case "$route $flag" in`,
    ...values,
    `    esac`,
    `  elif [[ "$value" == -* ]]; then`,
    `    compopt +o default 2> /dev/null`,
    `    case "$route" in`,
    ...flags,
    `    esac`,
    `  else`,
    `    case "$route $count" in`,
    ...places,
    `      *) compopt +o default 2> /dev/null ;;`,
    `    esac`,
    `  fi`,
    `  # Where = or : ends a word, bash wants only what follows the last of them.`,
    `  lead=""`,
    `  if [[ "$whole" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then lead="\${whole%"\${whole##*:}"}"; fi`,
    `  if [[ "$flag" == --* && "$whole" == "$flag="* ]]; then lead="\${lead#"$flag="}"; fi`,
    `  if [[ -n "$lead" ]]; then`,
    `    for i in "\${!COMPREPLY[@]}"; do COMPREPLY[i]="\${COMPREPLY[i]#"$lead"}"; done`,
    `  fi`,
    `}`,
    `complete -o default -F _${program} ${program}`,
  ].join("\n");
}

/** What bash and zsh do with each word before the last: keep what names are asked with, and follow the route. */
function walking(nodes: readonly Node[], program: string): string[] {
  return [
    `    if [[ -n "$flag" ]]; then`,
    `      case "$flag" in ${ASKED.join("|")}) asked+=("$flag" "$word") ;; esac`,
    `      flag=""`,
    `      continue`,
    `    fi`,
    `    case "$word" in ${ASKED.map((name) => `${name}=*`).join("|")}) asked+=("$word") ;; esac`,
    ...routing(nodes, program),
  ];
}

function zshScript(program: string, nodes: readonly Node[]): string {
  const { values, places, flags } = caseLines(nodes, {
    words: (words) => {
      const all = words.map(({ name, description }) => quote(`${colonFree(name)}:${description}`));
      return words.every(({ description }) => description === "")
        ? `compadd -- ${words.map(({ name }) => quote(name)).join(" ")}`
        : `offers=(${all.join(" ")}); _describe value offers`;
    },
    names: (kind) => `_${program}_names ${kind}`,
    files: "_files",
    nothing: ":",
  });
  return [
    `#compdef ${program}`,
    `# ${program} completion for zsh: source <(${program} completions zsh)`,
    `_${program}_names() {`,
    `  local program=${program}`,
    `  if (( $+commands[$words[1]] )) || [[ -x "$words[1]" ]]; then program="$words[1]"; fi`,
    `  compadd -- \${(f)"$("$program" __names "$1" "\${(@)asked}" 2> /dev/null)"}`,
    `}`,
    `_${program}() {`,
    `  local route=${quote(program)} count=0 flag="" word`,
    `  local -a offers asked`,
    `  for word in "\${(@)words[2,CURRENT-1]}"; do`,
    ...walking(nodes, program),
    `  done`,
    `  word="\${words[CURRENT]}"`,
    `  if [[ -z "$flag" && "$word" == --*=* ]]; then flag="\${word%%=*}"; compset -P '*='; fi`,
    `  if [[ -n "$flag" ]]; then`,
    `    case "$route $flag" in`,
    ...values,
    `    esac`,
    `  elif [[ "$word" == -* ]]; then`,
    `    case "$route" in`,
    ...flags,
    `    esac`,
    `  else`,
    `    case "$route $count" in`,
    ...places,
    `    esac`,
    `  fi`,
    `}`,
    `# Loaded from a folder of $fpath this file is the function itself; a bare zsh has no completion yet.`,
    `if [[ "\${funcstack[1]}" == _${program} ]]; then`,
    `  _${program} "$@"`,
    `else`,
    `  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }`,
    `  compdef _${program} ${program}`,
    `fi`,
  ].join("\n");
}

function fishScript(program: string, nodes: readonly Node[]): string {
  const namesOf = (kind: NameKind) => quote(`(__${program}_names ${kind})`);
  const valued = nodes.flatMap(({ path, flags }) =>
    flags.filter(({ value }) => value !== null).flatMap(({ names }) => names.map((name) => `${path} ${name}`))
  );
  const offersOf = (place: Place): string[] => {
    if (place.words.length > 0) {
      return place.words.map(({ name, description }) =>
        `-a ${quote(name)}${description === "" ? "" : ` -d ${quote(description)}`}`
      );
    }
    if (place.kind !== null) return [`-a ${namesOf(place.kind)}`];
    return place.isFile ? ["-F"] : [];
  };
  const lines = nodes.flatMap((node) => {
    const words = placesOf(node).flatMap(({ index, place }) => {
      const at = index === "*" ? `__${program}_at ${node.path}` : `__${program}_at ${index} ${node.path}`;
      return offersOf(place).map((offers) => `complete -c ${program} -n ${quote(at)} ${offers}`);
    });
    const flags = node.flags.map(({ names, description, value }) =>
      [
        `complete -c ${program} -n ${quote(`__${program}_at ${node.path}`)}`,
        ...names.map((name) => name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`),
        ...(value === null
          ? []
          : value.words.length > 0
          ? [`-x -a ${quote(value.words.map(({ name }) => name).join(" "))}`]
          : value.kind !== null
          ? [`-x -a ${namesOf(value.kind)}`]
          : value.isFile
          ? ["-r -F"]
          : ["-x"]),
        `-d ${quote(description)}`,
      ].join(" ")
    );
    return [...words, ...flags];
  });
  const renamed = nodes.flatMap(({ path, aliases }) =>
    aliases.map((alias) =>
      `      case ${quote(alias)}\n        set route ${quote(path)}\n        set count 0`
    )
  );
  return [
    `# ${program} completion for fish: ${program} completions fish | source`,
    `# Whether the words before the cursor lead to a command, and to a place behind it: [COUNT] COMMAND…`,
    `# fish asks this for each of hundreds of lines below, and the words are looked through for the first of them.`,
    `function __${program}_at`,
    `  set -l line (commandline -opc | string escape | string join " ")`,
    `  if test "$line" != "$__${program}_line"`,
    `    set -g __${program}_line $line`,
    `    __${program}_look`,
    `  end`,
    `  test "$__${program}_route" = "$argv"; or test "$__${program}_count $__${program}_route" = "$argv"`,
    `end`,
    `function __${program}_look`,
    `  set -l route ${program}`,
    `  set -l count 0`,
    `  set -l flag ""`,
    `  for word in (commandline -opc)[2..]`,
    `    if test -n "$flag"`,
    `      set flag ""`,
    `      continue`,
    `    end`,
    `    switch "$route $word"`,
    `      case ${valued.map(quote).join(" ")}`,
    `        set flag "$word"`,
    ...renamed,
    `      case ${nodes.slice(1).map(({ path }) => quote(path)).join(" ")}`,
    `        set route "$route $word"`,
    `        set count 0`,
    `      case ${quote(`${program}* -*`)}`,
    `      case '*'`,
    `        set count (math $count + 1)`,
    `    end`,
    `  end`,
    `  set -g __${program}_route $route`,
    `  set -g __${program}_count $count`,
    `end`,
    `set -g __${program}_line ""`,
    `# Asks the node that the line names, if it names one.`,
    `function __${program}_names`,
    `  set -l asked`,
    `  set -l flag ""`,
    `  for word in (commandline -opc)[2..]`,
    `    if contains -- "$flag" ${ASKED.join(" ")}`,
    `      set -a asked $flag $word`,
    `    else if string match -qr -- ${quote(`^(${ASKED.join("|")})=`)} $word`,
    `      set -a asked $word`,
    `    end`,
    `    set flag $word`,
    `  end`,
    `  set -l program (commandline -opc)[1]`,
    `  type -q -- $program; or set program ${program}`,
    `  $program __names $argv $asked 2> /dev/null`,
    `end`,
    `complete -c ${program} -f`,
    ...lines,
  ].join("\n");
}

const colonFree = (word: string): string => word.replaceAll(":", "\\:");

/** Single-quotes for all three shells; a quote inside ends, escapes and reopens, which each of them reads. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
