// The work of a `code-analysis` task: reads the files of one chunk one after another and measures them. Every file is
// read asynchronously, which gives the event loop a turn to renew the agent's lease and to hear a cancel. Reads only.
import type { FileHandle } from "node:fs/promises";
import { type CodeAnalysisOutput, outputOf } from "./analysis-output.ts";
import { type CodeFinding, type Findings, mergedFindings } from "./code-finding.ts";
import { type ConfinedRoot, resolveConfinedRoot, systemErrorCode } from "../confined-root.ts";
import { analyseFile, BINARY_PROBE_BYTES, DEFAULT_MAX_FILE_BYTES, isBinaryContent } from "./file-analysis.ts";
import type { FileMetrics } from "./file-metrics.ts";
import { languageOf } from "./language.ts";
import { LineCounter } from "./line-count.ts";
import type { RuleBook } from "./security/security-scan.ts";
import type { SourceInspection } from "./source-analysis.ts";

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
  /** Ends the work between two files, or between two reads of a huge one, by throwing the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each file, with what was found in it. It is waited for; what it throws ends the analysis. */
  readonly onFile?: ((metrics: FileMetrics, progress: AnalysisProgress, findings: Findings) => unknown) | undefined;
  /** The security rules to apply; none if left out. */
  readonly rules?: RuleBook | undefined;
  /** Largest file that is parsed or searched, in bytes; larger ones are only counted. Default 2 MiB. */
  readonly maxFileBytes?: number | undefined;
}

/**
 * Measures all files of `input`. A file that is gone or unreadable is an entry of its own, never an error.
 *
 * Throws AnalysisRefusedError when the root is not allowed or a file lies outside of it.
 */
export async function analyseFiles(input: AnalysisFiles, options: AnalyseFilesOptions): Promise<CodeAnalysisOutput> {
  const { allowedRoots, signal, onFile, rules, maxFileBytes = DEFAULT_MAX_FILE_BYTES } = options;
  const root = await resolveConfinedRoot(input.root, allowedRoots);
  const files: FileMetrics[] = [];
  const findings: Findings[] = [];
  for (const path of input.files) {
    signal?.throwIfAborted();
    const content = await readConfined(root, path, { maxFileBytes, signal });
    let found: Findings = { count: 0, listed: [] };
    const inspection: SourceInspection = {
      rules,
      onFindings: ({ count, listed }) => {
        found = { count, listed: listed.map((finding): CodeFinding => ({ file: path, ...finding })) };
      },
    };
    const metrics =
      content instanceof Uint8Array ? analyseFile({ path, content }, { maxFileBytes, inspection }) : content;
    files.push(metrics);
    if (found.count > 0) findings.push(found);
    await onFile?.(metrics, { done: files.length, total: input.files.length }, found);
  }
  return outputOf(files, mergedFindings(findings));
}

/** The content of a file that may be analysed, or the metrics of one that may not. */
async function readConfined(
  root: ConfinedRoot,
  path: string,
  options: { readonly maxFileBytes: number; readonly signal: AbortSignal | undefined },
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
    options.signal?.throwIfAborted();
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

async function countFileLines(handle: FileHandle, bytes: number, signal: AbortSignal | undefined): Promise<number> {
  const counter = new LineCounter();
  const buffer = Buffer.alloc(256 * 1024);
  for (let at = 0; at < bytes;) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (bytesRead === 0) break;
    counter.add(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return counter.lines;
}
