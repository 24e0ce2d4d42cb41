// The result of a `code-analysis` task, kept within the size that the mesh carries inline. Pure.
import { type AnalysisTotals, totalsOf } from "./analysis-totals.ts";
import type { CodeFinding, Findings } from "./code-finding.ts";
import type { FileMetrics } from "./file-metrics.ts";

/** Largest output as JSON, in bytes: leaves room for its envelope within the mesh's inline limit of 256 KiB. */
export const MAX_OUTPUT_BYTES: number = 190_000;

/** What was left out so that the output fits: nothing, the lists within each file, or the files altogether. */
type OutputDetail = "full" | "counts" | "totals";

/** The result of a `code-analysis` task. */
export interface CodeAnalysisOutput {
  /** Whether `files` is whole: with `counts` the lists of functions, names and findings are empty, with `totals` it is. */
  readonly detail: OutputDetail;
  /** One entry for each file, in the order of the input. */
  readonly files: readonly FileMetrics[];
  /** Always exact, whatever was left out of `files`. */
  readonly totals: AnalysisTotals;
  /** The most severe findings; fewer where something else was left out too. */
  readonly findings: readonly CodeFinding[];
  /** Always exact. */
  readonly findingCount: number;
}

/** How many findings are told where not all of the rest fits. */
const FEW_FINDINGS = 50;

/** The most detailed output of `files` that fits into 190,000 bytes of JSON. */
export function outputOf(
  files: readonly FileMetrics[],
  { count, listed }: Findings = { count: 0, listed: [] },
): CodeAnalysisOutput {
  const rest = { totals: totalsOf(files), findings: listed, findingCount: count };
  const full: CodeAnalysisOutput = { detail: "full", files, ...rest };
  if (fits(full)) return full;
  const few = { ...rest, findings: listed.slice(0, FEW_FINDINGS) };
  const counts: CodeAnalysisOutput = { detail: "counts", files: files.map(withoutLists), ...few };
  return fits(counts) ? counts : { detail: "totals", files: [], ...few };
}

function fits(output: CodeAnalysisOutput): boolean {
  return Buffer.byteLength(JSON.stringify(output)) <= MAX_OUTPUT_BYTES;
}

function withoutLists(file: FileMetrics): FileMetrics {
  if (file.kind === "text") return file.findings === undefined ? file : { ...file, findings: [] };
  if (file.kind !== "parsed") return file;
  return {
    ...file,
    functions: { count: file.functions.count, longest: [], mostComplex: [] },
    imports: { ...file.imports, specifiers: [] },
    findings: [],
  };
}
