// Recognises the markers of unfinished work. Pure.

const MARKERS = /\b(?:TODO|FIXME|XXX|HACK)\b/g;

/** How many of the words TODO, FIXME, XXX and HACK stand in `text`; only in capitals, only as whole words. */
export function countTodos(text: string): number {
  return text.match(MARKERS)?.length ?? 0;
}
