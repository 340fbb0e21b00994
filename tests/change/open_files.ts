/** @module What a process has open, as Linux tells it. */

/** Files of the folder that this process has open. */
export function openFiles(folder: string): string[] {
  const names = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name);
  return names.map(fileBehind).filter((path) => path.startsWith(folder)).sort();
}

/** Nothing for a descriptor that is closed by now, like that of the folder itself. */
function fileBehind(descriptor: string): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${descriptor}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
