// The work of a `code-analysis` task: reads the files of one chunk one after another and has them measured, sources in processes apart, so
// that the event loop stays free to renew the agent's lease and to hear a cancel. Reads only.
import type { FileHandle } from "node:fs/promises";
import { type CodeAnalysisOutput, outputOf } from "./analysis-output.ts";
import { type FileReport, NO_FINDINGS } from "./analysis-job.ts";
import type { AnalysisProcesses } from "./analysis-processes.ts";
import { type CodeFinding, type Findings, mergedFindings } from "./code-finding.ts";
import { type ConfinedRoot, resolveConfinedRoot, systemErrorCode } from "../confined-root.ts";
import { BINARY_PROBE_BYTES, DEFAULT_MAX_FILE_BYTES, isBinaryContent } from "./file-analysis.ts";
import type { FileMetrics } from "./file-metrics.ts";
import { languageOf } from "./language.ts";
import { LineCounter } from "./line-count.ts";

/** The files of one chunk. */
export interface AnalysisFiles {
  /** Absolute folder. */
  readonly root: string;
  /** Files by their paths relative to `root`. */
  readonly files: readonly string[];
}

/** How far a chunk is. */
export interface AnalysisProgress {
  /** Files that are done, from 1. */
  readonly done: number;
  readonly total: number;
}

/** How one chunk is analysed. */
export interface AnalyseFilesOptions {
  /** Folders that the operator lets tasks read; links are resolved on both sides. An empty list allows nothing. */
  readonly allowedRoots: readonly string[];
  /** Where sources are parsed. */
  readonly processes: AnalysisProcesses;
  /** Ends the work by throwing the signal's reason, whatever is under way. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each file, with what was found in it. It is waited for; what it throws ends the analysis. */
  readonly onFile?: ((metrics: FileMetrics, progress: AnalysisProgress, findings: Findings) => unknown) | undefined;
  /** Names of the security rules to apply, all if empty; none are applied if left out. */
  readonly rules?: readonly string[] | undefined;
  /** Largest file that is parsed or searched, in bytes; larger ones are only counted. Default 2 MiB. */
  readonly maxFileBytes?: number | undefined;
  /** How long the analysis of one source may take, in milliseconds; then it counts as one that cannot be parsed. Default 10,000. */
  readonly timeLimitMs?: number | undefined;
}

/** 2 MiB of dense code take less than half of it, on a machine that does nothing else. */
const DEFAULT_TIME_LIMIT_MS = 10_000;

/**
 * Measures all files of `input`. A file that is gone or unreadable is an entry of its own, never an error.
 *
 * Throws AnalysisRefusedError when the root is not allowed or a file lies outside of it.
 */
export async function analyseFiles(input: AnalysisFiles, options: AnalyseFilesOptions): Promise<CodeAnalysisOutput> {
  const { allowedRoots, processes, signal = new AbortController().signal, onFile, rules } = options;
  const { maxFileBytes = DEFAULT_MAX_FILE_BYTES, timeLimitMs = DEFAULT_TIME_LIMIT_MS } = options;
  const root = await resolveConfinedRoot(input.root, allowedRoots);
  const files: FileMetrics[] = [];
  const findings: Findings[] = [];
  for (const path of input.files) {
    signal.throwIfAborted();
    const content = await readConfined(root, path, { maxFileBytes, signal });
    const { metrics, found }: FileReport =
      content instanceof Uint8Array
        ? await processes.report({ path, content, maxFileBytes, rules }, { timeLimitMs, signal })
        : { metrics: content, found: NO_FINDINGS };
    const listed = found.listed.map((finding): CodeFinding => ({ file: path, ...finding }));
    const located: Findings = { count: found.count, listed };
    files.push(metrics);
    if (located.count > 0) findings.push(located);
    await onFile?.(metrics, { done: files.length, total: input.files.length }, located);
  }
  return outputOf(files, mergedFindings(findings));
}

/** The content of a file that may be analysed, or the metrics of one that may not. */
async function readConfined(
  root: ConfinedRoot,
  path: string,
  options: { readonly maxFileBytes: number; readonly signal: AbortSignal },
): Promise<Uint8Array | FileMetrics> {
  const file = await root.openFile(path);
  const language = languageOf(path).name;
  if (file.kind === "unreadable") return { path, bytes: -1, language, kind: "unreadable", reason: file.reason };
  await using handle = file.handle;
  try {
    if (file.bytes <= options.maxFileBytes) return await readStart(handle, file.bytes);
    const probe = await readStart(handle, BINARY_PROBE_BYTES);
    if (isBinaryContent(probe)) return { path, bytes: file.bytes, language, kind: "binary" };
    const total = await countFileLines(handle, file.bytes, options.signal);
    return { path, bytes: file.bytes, language, kind: "skipped", lines: { total } };
  } catch (error) {
    options.signal.throwIfAborted();
    return { path, bytes: file.bytes, language, kind: "unreadable", reason: systemErrorCode(error) };
  }
}

/** The first `length` bytes: a file that grows meanwhile is measured as it was when it was opened. */
async function readStart(handle: FileHandle, length: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

async function countFileLines(handle: FileHandle, bytes: number, signal: AbortSignal): Promise<number> {
  const counter = new LineCounter();
  const buffer = Buffer.alloc(256 * 1024);
  for (let at = 0; at < bytes;) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (bytesRead === 0) break;
    counter.add(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return counter.lines;
}
