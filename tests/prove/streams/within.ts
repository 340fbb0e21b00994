/**
 * A bound for what might never come.
 *
 * @module
 */

/** What was promised, or `late` after so many milliseconds; what fails then has nothing to say any more. */
export async function within<Value, Late>(
  ms: number,
  promised: Promise<Value>,
  late: Late,
): Promise<Value | Late> {
  promised.catch(() => {});
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<Late>((resolve) => timer = setTimeout(resolve, ms, late));
  try {
    return await Promise.race([promised, expired]);
  } finally {
    clearTimeout(timer);
  }
}
