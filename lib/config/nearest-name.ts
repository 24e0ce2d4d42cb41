// Owns which known name a mistyped one was meant to be. Pure.

/**
 * The name of `names` that `text` is most likely meant to be, without regard to case; undefined if none is near: more than a third of its
 * characters, and more than two, would have to change. A swap of neighbours counts as one change.
 */
export function nearestName(text: string, names: Iterable<string>): string | undefined {
  // Longer than any name: a comparison would only cost time.
  if (text.length > 200) return undefined;
  const wanted = text.toLowerCase();
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const name of names) {
    const limit = Math.max(2, Math.floor(name.length / 3));
    if (Math.abs(name.length - text.length) > limit) continue;
    const distance = editDistance(wanted, name.toLowerCase());
    if (distance <= limit && distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** ` (did you mean x?)`, or nothing. */
export function didYouMean(text: string, names: Iterable<string>): string {
  const name = nearestName(text, names);
  return name === undefined ? "" : `; did you mean ${name}?`;
}

/** The optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours. */
function editDistance(one: string, other: string): number {
  let older: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const cost = one[i - 1] === other[j - 1] ? 0 : 1;
      let best = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost);
      const isSwap = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (isSwap) best = Math.min(best, (older[j - 2] ?? 0) + 1);
      next.push(best);
    }
    [older, row] = [row, next];
  }
  return row[other.length] ?? 0;
}
