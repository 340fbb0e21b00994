/**
 * `deno task prove [NAME] [ARG…]`: the long acceptance runs, one per file beside this one. Each exports
 * `prove(args)`, which says what it measures and answers whether that was good enough.
 *
 * @module
 */

/** What a run exports. */
interface Proof {
  prove(args: string[]): Promise<boolean>;
}

const [name, ...args] = Deno.args;
const names = [...Deno.readDirSync(new URL(".", import.meta.url))]
  .map((entry) => entry.name)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts" && !file.endsWith("_test.ts"))
  .map((file) => file.slice(0, -".ts".length))
  .sort();

if (name === undefined) {
  console.log(names.join("\n"));
} else if (!names.includes(name)) {
  console.error(`error: no proof is called "${name}"; there are: ${names.join(", ")}`);
  Deno.exit(2);
} else {
  const proof: Proof = await import(new URL(`./${name}.ts`, import.meta.url).href);
  const good = await proof.prove(args);
  console.log(good ? `${name}: proved` : `${name}: NOT proved`);
  Deno.exit(good ? 0 : 1);
}
