/**
 * The C library, as far as Deno doesn't do what a node needs of the system.
 *
 * Deno compiles machine code for each symbol that is loaded, which takes 0.1 to 0.2 ms of a processor, and a start needs a hundred.
 * So all of a thread that have it open share what has been loaded, and nothing is given up before the last of them closes it:
 * whoever will need it again keeps it (`keepLibc`).
 *
 * @module
 */

/** Some of its symbols. Disposing closes them. */
export interface Libc<Symbols extends Deno.ForeignLibraryInterface> extends Disposable {
  /** To be called as long as it is open. */
  readonly symbols: Deno.DynamicLibrary<Symbols>["symbols"];
  /** The same as disposing. */
  close(): void;
}

/** What has been loaded, by name and signature; none = it is open nowhere. */
const loaded = new Map<string, unknown>();
const libraries: { close(): void }[] = [];
let users = 0;

/**
 * Opens it for one user.
 *
 * @throws {Error} where there is none, as on any system but Linux with glibc, and where foreign functions aren't allowed
 */
export function openLibc<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): Libc<Symbols> {
  const keys = Object.keys(symbols);
  const missing = keys.filter((name) => !loaded.has(keyOf(name, symbols)));
  if (missing.length > 0) {
    const wanted = Object.fromEntries(missing.map((name) => [name, symbols[name]!]));
    const library = Deno.dlopen("libc.so.6", wanted as Deno.ForeignLibraryInterface);
    libraries.push(library);
    for (const name of missing) loaded.set(keyOf(name, symbols), library.symbols[name]);
  }
  users++;
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    closeForOne();
  };
  return {
    symbols: Object.fromEntries(keys.map((name) => [name, loaded.get(keyOf(name, symbols))])) as Libc<
      Symbols
    >["symbols"],
    close,
    [Symbol.dispose]: close,
  };
}

/** The same for what can be done without it; `null` = there is none. */
export function findLibc<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): Libc<Symbols> | null {
  if (Deno.build.os !== "linux") return null;
  try {
    return openLibc(symbols);
  } catch {
    return null;
  }
}

/** Keeps whatever is loaded on this thread from now on, until it is disposed of. */
export function keepLibc(): Disposable {
  users++;
  return { [Symbol.dispose]: closeForOne };
}

function closeForOne(): void {
  if (--users > 0) return;
  for (const library of libraries.splice(0)) library.close();
  loaded.clear();
}

function keyOf(name: string, symbols: Deno.ForeignLibraryInterface): string {
  return `${name} ${JSON.stringify(symbols[name])}`;
}
