// What is found in a source, and which findings are told when there are too many. Pure.

/** How bad a finding is: `error` is what the parser could not read, the others are what a rule says. */
export type Severity = "error" | "critical" | "high" | "medium" | "low";

/** Something found in one source. */
export interface SourceFinding {
  readonly severity: Severity;
  /** The rule that found it; `syntax` for the parser. */
  readonly rule: string;
  /** Line and column from 1; absent when the parser named no place. */
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
}

/** Something found in a file of a task. */
export interface CodeFinding extends SourceFinding {
  /** The file, relative to the root. */
  readonly file: string;
}

/** What was found, in full number and in part. */
export interface Findings<Finding extends SourceFinding = CodeFinding> {
  readonly count: number;
  readonly listed: readonly Finding[];
}

/** Most findings that are kept of one file. */
export const MAX_FINDINGS_A_FILE = 100;
/** Most findings of a result. */
const MAX_LISTED = 500;

const ORDER: readonly Severity[] = ["error", "critical", "high", "medium", "low"];

/** Gathers the findings of one source: counts all, keeps the first. */
export class FindingCollector {
  #count = 0;
  readonly #listed: SourceFinding[] = [];

  /** What was gathered, in the order of the text. */
  get found(): Findings<SourceFinding> {
    const place = ({ line = 0, column = 0 }: SourceFinding): number => line * 100_000 + column;
    return { count: this.#count, listed: this.#listed.toSorted((a, b) => place(a) - place(b)) };
  }

  add(finding: SourceFinding): void {
    this.#count += 1;
    if (this.#listed.length < MAX_FINDINGS_A_FILE) this.#listed.push(finding);
  }
}

/** The findings of all files: the most severe are kept, at most 500, those of one severity in the order of the files. */
export function mergedFindings(files: readonly Findings[]): Findings {
  const listed = files
    .flatMap((file) => file.listed)
    .sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
    .slice(0, MAX_LISTED);
  return { count: files.reduce((sum, { count }) => sum + count, 0), listed };
}
