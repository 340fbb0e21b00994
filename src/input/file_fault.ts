/**
 * Why a file can't be read, in the words of the person whose file it is.
 *
 * @module
 */

/** The reason without the system call and its number; what the system says of rarer faults is passed on. */
export function fileFault(cause: Error): string {
  if (cause instanceof Deno.errors.NotFound) return "there is no such file";
  if (cause instanceof Deno.errors.PermissionDenied) return "this user may not read it";
  if (cause instanceof Deno.errors.NotCapable) {
    return "this program opens nothing in /dev, /proc and /sys; give a file elsewhere";
  }
  if (cause instanceof Deno.errors.IsADirectory) return "it is a directory";
  return cause.message.replace(/ \(os error \d+\)(: .*)?$/, "");
}
