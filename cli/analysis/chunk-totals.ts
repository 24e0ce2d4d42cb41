// Reads what the summary needs from the result of a `code-analysis` task. The result comes over the wire from any agent,
// so it is checked, not trusted. Pure.

/** The counts that are added up over all tasks; what each counts is said where the agent measures it. */
export interface AnalysisCounts {
  readonly files: number;
  readonly parsed: number;
  readonly binary: number;
  readonly skipped: number;
  readonly unreadable: number;
  readonly bytes: number;
  readonly lines: number;
  readonly searchedLines: number;
  readonly code: number;
  readonly functions: number;
  readonly classes: number;
  readonly imports: number;
  readonly exports: number;
  readonly todos: number;
  readonly findings: number;
}

/** All counts at zero; also the list of their names. */
export const NO_COUNTS: AnalysisCounts = {
  files: 0,
  parsed: 0,
  binary: 0,
  skipped: 0,
  unreadable: 0,
  bytes: 0,
  lines: 0,
  searchedLines: 0,
  code: 0,
  functions: 0,
  classes: 0,
  imports: 0,
  exports: 0,
  todos: 0,
  findings: 0,
};

/** A function by its length in lines. */
export interface LongFunction {
  readonly path: string;
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

/** A file by its cyclomatic complexity. */
export interface ComplexFile {
  readonly path: string;
  readonly complexity: number;
  readonly functions: number;
  /** Its most complex function. */
  readonly peak?: { readonly name: string; readonly line: number; readonly complexity: number };
}

/** The part of a task's result that the summary needs. */
export interface ChunkTotals {
  readonly counts: AnalysisCounts;
  readonly languages: readonly { readonly name: string; readonly files: number; readonly lines: number }[];
  readonly longestFunctions: readonly LongFunction[];
  readonly mostComplexFiles: readonly ComplexFile[];
}

/** Reads the JSON result of a task; undefined when it is not the result of a `code-analysis` task. */
export function readChunkTotals(output: unknown): ChunkTotals | undefined {
  if (!isRecord(output) || !isRecord(output["totals"])) return undefined;
  const { totals } = output;
  const counts = readCounts(totals);
  const languages = readLanguages(totals["languages"]);
  const longestFunctions = readList(totals["longestFunctions"], readLongFunction);
  const mostComplexFiles = readList(totals["mostComplexFiles"], readComplexFile);
  if (counts === undefined || languages === undefined) return undefined;
  if (longestFunctions === undefined || mostComplexFiles === undefined) return undefined;
  return { counts, languages, longestFunctions, mostComplexFiles };
}

function readCounts(totals: JsonObject): AnalysisCounts | undefined {
  const counts = { ...NO_COUNTS };
  for (const name of Object.keys(NO_COUNTS).filter((name) => isCountName(name))) {
    const count = totals[name];
    if (!isCount(count)) return undefined;
    counts[name] = count;
  }
  return counts;
}

function readLanguages(value: unknown): ChunkTotals["languages"] | undefined {
  if (!isRecord(value)) return undefined;
  return readList(Object.entries(value), (entry) => {
    if (!Array.isArray(entry) || !isRecord(entry[1])) return undefined;
    const name: unknown = entry[0];
    const { files, lines } = entry[1];
    return typeof name === "string" && isCount(files) && isCount(lines) ? { name, files, lines } : undefined;
  });
}

function readLongFunction(value: unknown): LongFunction | undefined {
  if (!isRecord(value)) return undefined;
  const { path, name, line, lines } = value;
  if (typeof path !== "string" || typeof name !== "string" || !isCount(line) || !isCount(lines)) return undefined;
  return { path, name, line, lines };
}

function readComplexFile(value: unknown): ComplexFile | undefined {
  if (!isRecord(value)) return undefined;
  const { path, complexity, functions, peak } = value;
  if (typeof path !== "string" || !isCount(complexity) || !isCount(functions)) return undefined;
  if (peak === undefined) return { path, complexity, functions };
  if (!isRecord(peak) || typeof peak["name"] !== "string") return undefined;
  const { name, line, complexity: peakComplexity } = peak;
  if (!isCount(line) || !isCount(peakComplexity)) return undefined;
  return { path, complexity, functions, peak: { name, line, complexity: peakComplexity } };
}

/** All items of a list, or undefined when one of them cannot be read. */
function readList<T>(value: unknown, read: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items = value.map((item: unknown) => read(item)).filter((item) => item !== undefined);
  return items.length === value.length ? items : undefined;
}

type JsonObject = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function isCountName(name: string): name is keyof AnalysisCounts {
  return name in NO_COUNTS;
}
