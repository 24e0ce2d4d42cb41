// Bounds how deeply a source text may nest before it is given to the parser. The parser is native and recursive: some
// thousands of levels overflow its stack, which kills the whole process instead of throwing. Pure.

/**
 * Highest value of `nestingBound` that is parsed. An 8 MiB stack took 4,000 nested functions (bound 20,000) and 8,000
 * chained arrow functions or type arguments (bound 16,000) and died at twice that; half of it leaves room for
 * smaller stacks. The highest among 8,225 files of installed packages, bundles included, was 5,546.
 */
export const MAX_NESTING_BOUND: number = 8_000;

/** A bracket costs the parser about five times the stack of a link in a chain (`a => b => …`, `else if …`). */
const BRACKET_WEIGHT = 5;

/**
 * A number that grows with the deepest nesting of `text`: five for each open bracket, one for each word or operator
 * since the last comma or semicolon on each level. It looks at no strings and comments, so it can be too high, never
 * far too low.
 */
export function nestingBound(text: string): number {
  const runs: number[] = [];
  let run = 0;
  let below = 0;
  let bound = 0;
  let inWord = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const kind = code < 128 ? (KINDS[code] ?? SPACE) : WORD;
    if (kind === WORD || (kind === DIGIT && inWord)) {
      if (!inWord) run += 1;
      inWord = true;
      continue;
    }
    inWord = false;
    if (kind === SPACE || kind === DIGIT) continue;
    if (kind === OPEN) {
      if (below + run > bound) bound = below + run;
      runs.push(run);
      below += run + BRACKET_WEIGHT;
      run = 0;
    } else if (kind === CLOSE || kind === SEPARATOR) {
      if (below + run > bound) bound = below + run;
      if (kind === SEPARATOR) run = 0;
      else if (runs.length > 0) {
        run = runs.pop() ?? 0;
        below -= run + BRACKET_WEIGHT;
      }
    } else run += 1;
  }
  return Math.max(bound, below + run);
}

const SPACE = 0;
const WORD = 1;
const OPEN = 2;
const CLOSE = 3;
const SEPARATOR = 4;
const OPERATOR = 5;
const DIGIT = 6;

/** Kind of each ASCII character. Quotes, dots and a number's digits cost nothing: no level consists of them alone. */
const KINDS: Uint8Array = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  if (/\d/.test(character)) return DIGIT;
  if (/[\w$]/.test(character)) return WORD;
  if ("([{".includes(character)) return OPEN;
  if (")]}".includes(character)) return CLOSE;
  if (",;".includes(character)) return SEPARATOR;
  return "=?:<!~+-*&|^%@".includes(character) ? OPERATOR : SPACE;
});
