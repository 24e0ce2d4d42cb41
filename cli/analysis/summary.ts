// Folds the results of all tasks of an analysis into one summary. Pure, and the same whatever order results come in.
import {
  type AnalysisCounts,
  type ChunkTotals,
  type ComplexFile,
  type LongFunction,
  NO_COUNTS,
} from "./chunk-totals.ts";

/** How many longest functions and most complex files are kept. */
const TOP = 5;

/** Everything known so far. */
export interface AnalysisSummary {
  /** Tasks whose results are in the summary. */
  readonly tasks: number;
  /** Tasks that failed, or whose result could not be read: their files are in no count. */
  readonly failedTasks: number;
  readonly counts: AnalysisCounts;
  /** By name of the language. */
  readonly languages: ReadonlyMap<string, { readonly files: number; readonly lines: number }>;
  /** The five longest functions, longest first. */
  readonly longestFunctions: readonly LongFunction[];
  /** The five most complex files, most complex first. */
  readonly mostComplexFiles: readonly ComplexFile[];
  /** Tasks and files by the name of the agent that ran them. */
  readonly agents: ReadonlyMap<string, { readonly tasks: number; readonly files: number }>;
}

/** The summary of nothing. */
export function emptySummary(): AnalysisSummary {
  return {
    tasks: 0,
    failedTasks: 0,
    counts: NO_COUNTS,
    languages: new Map(),
    longestFunctions: [],
    mostComplexFiles: [],
    agents: new Map(),
  };
}

/** The summary with the result of one more task, which `agentName` ran. */
export function addChunk(summary: AnalysisSummary, chunk: ChunkTotals, agentName: string): AnalysisSummary {
  const languages = new Map(summary.languages);
  for (const { name, files, lines } of chunk.languages) {
    const before = languages.get(name) ?? { files: 0, lines: 0 };
    languages.set(name, { files: before.files + files, lines: before.lines + lines });
  }
  const share = summary.agents.get(agentName) ?? { tasks: 0, files: 0 };
  return {
    ...summary,
    tasks: summary.tasks + 1,
    counts: addCounts(summary.counts, chunk.counts),
    languages,
    longestFunctions: [...summary.longestFunctions, ...chunk.longestFunctions]
      .sort((a, b) => b.lines - a.lines || compareText(a.path, b.path) || a.line - b.line || compareWhole(a, b))
      .slice(0, TOP),
    mostComplexFiles: [...summary.mostComplexFiles, ...chunk.mostComplexFiles]
      .sort((a, b) => b.complexity - a.complexity || compareText(a.path, b.path) || compareWhole(a, b))
      .slice(0, TOP),
    agents: new Map(summary.agents).set(agentName, {
      tasks: share.tasks + 1,
      files: share.files + chunk.counts.files,
    }),
  };
}

/** The summary with one more task that gave no usable result. */
export function addFailedTask(summary: AnalysisSummary): AnalysisSummary {
  return { ...summary, failedTasks: summary.failedTasks + 1 };
}

function addCounts(a: AnalysisCounts, b: AnalysisCounts): AnalysisCounts {
  return {
    files: a.files + b.files,
    parsed: a.parsed + b.parsed,
    binary: a.binary + b.binary,
    skipped: a.skipped + b.skipped,
    unreadable: a.unreadable + b.unreadable,
    bytes: a.bytes + b.bytes,
    lines: a.lines + b.lines,
    searchedLines: a.searchedLines + b.searchedLines,
    code: a.code + b.code,
    functions: a.functions + b.functions,
    classes: a.classes + b.classes,
    imports: a.imports + b.imports,
    exports: a.exports + b.exports,
    todos: a.todos + b.todos,
    findings: a.findings + b.findings,
  };
}

/** Decides between two of the same rank and place, as two roots may hold, so that no order of results shows through. */
function compareWhole(a: LongFunction | ComplexFile, b: LongFunction | ComplexFile): number {
  return compareText(JSON.stringify(a), JSON.stringify(b));
}

/** By code units, the same on every machine, unlike a comparison by locale. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
