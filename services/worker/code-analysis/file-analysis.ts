// Measures one file whose content is already read: chooses between parser, plain text, binary and size only. Pure.
import type { FileMetrics, Finding, TextLines } from "./file-metrics.ts";
import { languageOf } from "./language.ts";
import { countLines, textLines } from "./line-count.ts";
import { analyseSource, type SourceInspection } from "./source-analysis.ts";
import { countTodos } from "./todo-markers.ts";

/** Files above this are only counted: 2 MiB is more than any hand-written source and parses in well under a second. */
export const DEFAULT_MAX_FILE_BYTES: number = 2 * 1024 * 1024;
/** How many functions a file lists by length, and as many by complexity. */
const DEFAULT_TOP_FUNCTIONS = 5;

/** Bounds of the measuring of one file. */
export interface FileAnalysisOptions {
  /** Largest content that is parsed or searched, in bytes; default 2 MiB. */
  readonly maxFileBytes?: number | undefined;
  /** Functions listed by length, and by complexity; default 5, 0 lists none. Counts stay exact. */
  readonly topFunctions?: number | undefined;
  /** What else is done with a source. */
  readonly inspection?: SourceInspection | undefined;
}

/** Measures the file `path` (relative, forward slashes) with the given content. Never throws on any content. */
export function analyseFile(
  file: { readonly path: string; readonly content: Uint8Array },
  options: FileAnalysisOptions = {},
): FileMetrics {
  const { path, content } = file;
  const { maxFileBytes = DEFAULT_MAX_FILE_BYTES, topFunctions = DEFAULT_TOP_FUNCTIONS, inspection } = options;
  const { name: language, dialect } = languageOf(path);
  const measured = { path, bytes: content.byteLength, language };
  if (isBinaryContent(content)) return { ...measured, kind: "binary" };
  if (content.byteLength > maxFileBytes) {
    return { ...measured, kind: "skipped", lines: { total: countLines(content) } };
  }
  const text = new TextDecoder().decode(content);
  if (dialect !== undefined) {
    const source = analyseSource(text, dialect, topFunctions, inspection);
    if (source.kind === "parsed") return { ...measured, ...source };
    const { findingCount, findings } = source;
    return { ...measured, ...textMeasures(text), findingCount, findings };
  }
  return { ...measured, ...textMeasures(text) };
}

/** Measures a source as text, because of `findings` nothing could be made of it. */
export function unparsedFile(
  { path, content }: { readonly path: string; readonly content: Uint8Array },
  findings: { readonly findingCount: number; readonly findings: readonly Finding[] },
): FileMetrics {
  const measured = { path, bytes: content.byteLength, language: languageOf(path).name };
  return { ...measured, ...textMeasures(new TextDecoder().decode(content)), ...findings };
}

function textMeasures(text: string): { readonly kind: "text"; readonly lines: TextLines; readonly todos: number } {
  return { kind: "text", lines: textLines(text), todos: countTodos(text) };
}

/** How many bytes at the start of a file decide whether it is binary: git's rule. */
export const BINARY_PROBE_BYTES: number = 8_000;

/** Whether `content` (the file or its first bytes) holds a NUL near its start. */
export function isBinaryContent(content: Uint8Array): boolean {
  return content.subarray(0, BINARY_PROBE_BYTES).includes(0);
}
