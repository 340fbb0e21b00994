/**
 * `deno run -A confined.ts UNIT GROUPS PROGRAM ARG…`: becomes the program, with no other system calls than a unit of systemd's allows
 * and no new privileges, as systemd does it (systemd.exec(5), `SystemCallFilter=`; seccomp(2)). A call that isn't allowed fails
 * with EPERM. GROUPS is what `systemd-analyze syscall-filter` prints.
 *
 * @module
 */

/** Calls that systemd allows whatever a list of allowed ones says, beside those of `@default`. */
const ALWAYS = ["@default", "execve"];

const ALLOW = 0x7fff0000;
/** SCMP_ACT_ERRNO(EPERM). */
const REFUSE = 0x00050001;

/** Names of the calls that a unit allows; lines are read in their order, `~` takes away. */
export function callsOf(unit: string, groups: ReadonlyMap<string, readonly string[]>): Set<string> {
  const expand = (word: string): string[] =>
    word.startsWith("@") ? groups.get(word)!.flatMap(expand) : [word];
  const allowed = new Set(ALWAYS.flatMap(expand));
  for (const [, takesAway, words] of unit.matchAll(/^SystemCallFilter=(~?)(.+)$/gm)) {
    for (const call of words!.trim().split(/\s+/).flatMap(expand)) {
      if (takesAway) allowed.delete(call);
      else allowed.add(call);
    }
  }
  return allowed;
}

/** Groups of system calls, by their names, as `systemd-analyze syscall-filter` prints them. */
export function groupsIn(text: string): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  let last: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("@")) groups.set(line.trim(), last = []);
    else if (/^ +[@\w]/.test(line)) last.push(line.trim());
  }
  return groups;
}

/** Takes all other calls away from this thread, and from what it becomes. */
function allowOnly(calls: Iterable<string>): void {
  const { symbols } = Deno.dlopen("libseccomp.so.2", {
    seccomp_init: { parameters: ["u32"], result: "pointer" },
    seccomp_syscall_resolve_name: { parameters: ["buffer"], result: "i32" },
    seccomp_rule_add_array: { parameters: ["pointer", "u32", "i32", "u32", "pointer"], result: "i32" },
    seccomp_load: { parameters: ["pointer"], result: "i32" },
  });
  const filter = symbols.seccomp_init(REFUSE);
  for (const call of calls) {
    const number = symbols.seccomp_syscall_resolve_name(textOf(call));
    // Another architecture's.
    if (number < 0) continue;
    const failed = symbols.seccomp_rule_add_array(filter, ALLOW, number, 0, null);
    if (failed !== 0) throw new Error(`${call} can't be allowed: error ${-failed}`);
  }
  const failed = symbols.seccomp_load(filter);
  if (failed !== 0) throw new Error(`the filter can't be loaded: error ${-failed}`);
}

/** Becomes the program, with this environment. */
function become(line: readonly string[]): never {
  const { symbols } = Deno.dlopen("libc.so.6", {
    execv: { parameters: ["buffer", "buffer"], result: "i32" },
  });
  const words = line.map(textOf);
  const pointers = words.map((word) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(word)));
  symbols.execv(words[0]!, new BigUint64Array([...pointers, 0n]));
  throw new Error(`${line[0]} can't be run`);
}

function textOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

if (import.meta.main) {
  const [unit, groups, ...line] = Deno.args;
  allowOnly(callsOf(Deno.readTextFileSync(unit!), groupsIn(Deno.readTextFileSync(groups!))));
  become(line);
}
