/**
 * What was probably meant: the guess behind every "did you mean".
 *
 * @module
 */

/**
 * The candidate that differs least from the word, or `null` when none is close enough to be worth a guess:
 * at most a third of the letters may differ, whatever their case.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  // A word longer than any key is no typing error, and the comparison below is quadratic.
  if (word.length > 64) return null;
  let distanceMax = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < distanceMax) [best, distanceMax] = [candidate, distance];
  }
  return best;
}

/** Letters that differ, two swapped neighbours counting as one (optimal string alignment); O(a·b) time, O(b) memory. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? beforeLast[j - 2]! + 1 : Infinity;
      row.push(Math.min(substitution, swap, last[j]! + 1, row[j - 1]! + 1));
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}
