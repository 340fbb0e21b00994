/**
 * `deno task bench [NAME] [ARG…]`: comparisons with peers and with the floor of the machine, one per file beside
 * this one; what they are made of lies in folders. Each exports `bench(args)`, which prints what it compares and
 * checks its results; `quick = true` marks those that are run when no name is given.
 *
 * @module
 */

/** What a comparison exports. */
interface Comparison {
  readonly quick?: boolean;
  bench(args: string[]): Promise<void>;
}

const [name, ...args] = Deno.args;
const names = [...Deno.readDirSync(new URL(".", import.meta.url))]
  .map((entry) => entry.name)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts")
  .map((file) => file.slice(0, -".ts".length))
  .sort();

if (name !== undefined && !names.includes(name)) {
  console.error(`error: no comparison is called "${name}"; there are: ${names.join(", ")}`);
  Deno.exit(2);
}
const left: string[] = [];
for (const each of name === undefined ? names : [name]) {
  const module: Partial<Comparison> = await import(new URL(`./${each}.ts`, import.meta.url).href);
  if (module.bench === undefined) continue;
  if (name === undefined && !module.quick) left.push(each);
  else {
    console.log(`== ${each}`);
    await module.bench(args).catch(refuseUsage);
  }
}
if (left.length > 0) console.log(`not quick, hence only when named: ${left.join(", ")}`);
Deno.exit(0);

/** What `parseArgs` refuses is the caller's mistake, not a fault of ours with a stack. */
function refuseUsage(error: unknown): never {
  const code = error instanceof TypeError && "code" in error ? String(error.code) : "";
  if (!code.startsWith("ERR_PARSE_ARGS_")) throw error;
  console.error(`error: ${(error as TypeError).message}`);
  Deno.exit(2);
}
