// How tables look: no lines, two spaces between columns.

/** The number of spaces between columns. */
export const GAP = 2;

/** cli-table3's characters for a table without lines. */
export const NO_LINES: Readonly<Record<string, string>> = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: " ".repeat(GAP),
};
