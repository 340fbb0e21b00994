/**
 * A temporary folder that is gone at the end of the block.
 *
 * @module
 */

/** A new folder below the system's temporary one. */
export class Folder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "pleiades-" });

  /** The path of a file in the folder. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /** The names of what lies in it, sorted. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map((entry) => entry.name).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
