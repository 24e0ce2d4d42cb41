// Patterns of names in policies: `*` stands for any characters, none included; everything else for itself.

/** Whether a text matches a pattern. Takes time in proportion to both lengths, whatever the pattern is. */
export function matchesGlob(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  // The earliest place for each part leaves the most for those that follow.
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
