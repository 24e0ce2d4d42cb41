// Tables as text for people: aligned on a terminal, and Markdown when pasted. Pure.

/** A table with its first column, and those whose places are in `words`, to the left, and the others, numbers, to the right. */
export function markdownTable(
  head: readonly string[],
  body: readonly (readonly string[])[],
  words: readonly number[] = [],
): string {
  const isLeft = (column: number): boolean => column === 0 || words.includes(column);
  const widths = head.map((title, column) =>
    Math.max(title.length, 3, ...body.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = widths.map((width, i) =>
      isLeft(i) ? (cells[i] ?? "").padEnd(width) : (cells[i] ?? "").padStart(width),
    );
    return `| ${padded.join(" | ")} |`;
  };
  const rule = `| ${widths.map((width, i) => (isLeft(i) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(head), rule, ...body.map(line)].join("\n");
}
