// The analysis of one source from what a process is sent to what it sends back. It may take very long and very much memory, and a defect
// of the native parser may end its process: who runs it bounds all that.
import type { Findings, SourceFinding } from "./code-finding.ts";
import { analyseFile } from "./file-analysis.ts";
import type { FileMetrics } from "./file-metrics.ts";
import { ruleBook } from "./security/security-scan.ts";

/** A file whose content is read. */
export interface AnalysisJob {
  /** Relative, with forward slashes. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Largest content that is parsed or searched, in bytes. */
  readonly maxFileBytes: number;
  /** Names of the security rules to apply, all if empty; none are applied if left out. */
  readonly rules?: readonly string[] | undefined;
}

/** What a file measures, and what was found in it. */
export interface FileReport {
  readonly metrics: FileMetrics;
  readonly found: Findings<SourceFinding>;
}

/** Nothing found. */
export const NO_FINDINGS: Findings<never> = { count: 0, listed: [] };

/** Analyses one file. */
export function reportOf({ path, content, maxFileBytes, rules }: AnalysisJob): FileReport {
  let found: Findings<SourceFinding> = NO_FINDINGS;
  const inspection = {
    rules: rules === undefined ? undefined : ruleBook(rules),
    onFindings: (all: Findings<SourceFinding>): void => void (found = all),
  };
  const metrics = analyseFile({ path, content }, { maxFileBytes, inspection });
  return { metrics, found };
}
