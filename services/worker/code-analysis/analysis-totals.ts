// Folds the metrics of files into the totals of a task. Pure; the order of the files does not matter.
import type { FileMetrics, FunctionMetrics } from "./file-metrics.ts";

/** How many longest functions and most complex files the totals name. */
const TOTALS_TOP = 5;

/** A function and where it stands. */
interface LocatedFunction extends FunctionMetrics {
  readonly path: string;
}

/** A parsed file by its complexity. */
interface ComplexFile {
  readonly path: string;
  /** Sum over its functions and its own body. */
  readonly complexity: number;
  readonly functions: number;
  /** Its most complex function; absent when none branches. */
  readonly peak?: FunctionMetrics;
}

/** Files and lines of one language. */
interface LanguageTotals {
  readonly files: number;
  readonly lines: number;
}

/** Sums over the files of a task. Sums that only parsing yields (functions, code, …) count parsed files alone. */
export interface AnalysisTotals {
  readonly files: number;
  readonly parsed: number;
  readonly text: number;
  readonly binary: number;
  readonly skipped: number;
  readonly unreadable: number;
  readonly bytes: number;
  /** Lines of all files but binary ones. */
  readonly lines: number;
  /** Lines of the files that were searched for markers: `lines` without those of skipped files. */
  readonly searchedLines: number;
  readonly code: number;
  readonly comment: number;
  readonly blank: number;
  readonly functions: number;
  readonly classes: number;
  readonly imports: number;
  readonly exports: number;
  readonly complexity: number;
  readonly todos: number;
  readonly findings: number;
  /** By display name of the language; binary and unreadable files are in none. */
  readonly languages: Readonly<Record<string, LanguageTotals>>;
  /** The five longest functions, longest first. */
  readonly longestFunctions: readonly LocatedFunction[];
  /** The five most complex files, most complex first. */
  readonly mostComplexFiles: readonly ComplexFile[];
}

/** Sums up `files`. */
export function totalsOf(files: readonly FileMetrics[]): AnalysisTotals {
  const parsed = files.filter((file) => file.kind === "parsed");
  const texts = files.filter((file) => file.kind === "text");
  const skipped = files.filter((file) => file.kind === "skipped");
  const searched = [...parsed, ...texts];
  const searchedLines = sum(searched, (file) => file.lines.total);
  return {
    files: files.length,
    parsed: parsed.length,
    text: texts.length,
    binary: files.filter((file) => file.kind === "binary").length,
    skipped: skipped.length,
    unreadable: files.filter((file) => file.kind === "unreadable").length,
    bytes: sum(files, (file) => Math.max(0, file.bytes)),
    lines: searchedLines + sum(skipped, (file) => file.lines.total),
    searchedLines,
    code: sum(parsed, (file) => file.lines.code),
    comment: sum(parsed, (file) => file.lines.comment),
    blank: sum(searched, (file) => file.lines.blank),
    functions: sum(parsed, (file) => file.functions.count),
    classes: sum(parsed, (file) => file.classes),
    imports: sum(parsed, (file) => file.imports.count),
    exports: sum(parsed, (file) => file.exports),
    complexity: sum(parsed, (file) => file.complexity),
    todos: sum(searched, (file) => file.todos),
    findings: sum(searched, (file) => file.findingCount ?? 0),
    languages: languagesOf([...searched, ...skipped]),
    longestFunctions: parsed
      .flatMap((file) => file.functions.longest.map((metrics) => ({ path: file.path, ...metrics })))
      .sort((a, b) => b.lines - a.lines || compareText(a.path, b.path) || a.line - b.line)
      .slice(0, TOTALS_TOP),
    mostComplexFiles: parsed
      .map((file): ComplexFile => {
        const [peak] = file.functions.mostComplex;
        const complex = { path: file.path, complexity: file.complexity, functions: file.functions.count };
        return peak === undefined ? complex : { ...complex, peak };
      })
      .sort((a, b) => b.complexity - a.complexity || compareText(a.path, b.path))
      .slice(0, TOTALS_TOP),
  };
}

type FileWithLines = Extract<FileMetrics, { readonly lines: unknown }>;

function languagesOf(files: readonly FileWithLines[]): Record<string, LanguageTotals> {
  const languages: Record<string, LanguageTotals> = {};
  for (const { language, lines } of files.toSorted((a, b) => compareText(a.language, b.language))) {
    const before = languages[language] ?? { files: 0, lines: 0 };
    languages[language] = { files: before.files + 1, lines: before.lines + lines.total };
  }
  return languages;
}

function sum<T>(items: readonly T[], measure: (item: T) => number): number {
  return items.reduce((total, item) => total + measure(item), 0);
}

/** By code units, the same on every machine, unlike a comparison by locale. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
