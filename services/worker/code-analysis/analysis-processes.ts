// Has sources parsed in processes of their own: the parser is native, does not yield, and may take minutes and gigabytes for a few
// kilobytes that are made for it (each complaint holds its whole line). A source that does becomes one that could not be parsed.
import { BoundedProcesses, type WorkBounds } from "../bounded-processes/bounded-processes.ts";
import { type AnalysisJob, type FileReport, reportOf } from "./analysis-job.ts";
import { unparsedFile } from "./file-analysis.ts";
import { languageOf } from "./language.ts";

/** 2 MiB of dense code take half of it. */
const MAX_MEMORY_MIB = 1_024;

/** How the files of all tasks are analysed. */
export class AnalysisProcesses {
  readonly #pool: BoundedProcesses<AnalysisJob, FileReport>;

  /** `max`: how many sources are parsed at once, at least 1; further ones wait. */
  constructor(max: number) {
    this.#pool = new BoundedProcesses({
      module: new URL("./analysis-process.ts", import.meta.url),
      max,
      maxHeapMib: MAX_MEMORY_MIB,
      maxResidentMib: MAX_MEMORY_MIB,
    });
  }

  /** Analyses one file; what ends its process is a finding in it. Rejects with the reason of the signal. */
  async report(job: AnalysisJob, bounds: WorkBounds): Promise<FileReport> {
    // What no parser reads takes a time that grows with its length alone.
    if (languageOf(job.path).dialect === undefined) return reportOf(job);
    const end = await this.#pool.run(job, bounds);
    switch (end.kind) {
      case "answered":
        return end.answer;
      case "timed-out":
        return unparsed(job, `not parsed within ${bounds.timeLimitMs} ms`);
      case "out-of-memory":
        return unparsed(job, `not parsed within ${MAX_MEMORY_MIB} MiB of memory`);
      default:
        return unparsed(job, `not parsed: the parser ended by ${end.by}`);
    }
  }
}

function unparsed(job: AnalysisJob, message: string): FileReport {
  return {
    metrics: unparsedFile(job, { findingCount: 1, findings: [{ message }] }),
    found: { count: 1, listed: [{ severity: "error", rule: "syntax", message }] },
  };
}
