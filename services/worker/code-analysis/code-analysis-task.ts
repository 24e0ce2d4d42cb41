// The `code-analysis` task as the mesh meets it.
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  CodeAnalysisChunkSchema,
  CodeAnalysisInputSchema,
  CodeAnalysisOutputSchema,
} from "../../../gen/mycel/tasks/v1/code_analysis_pb.ts";
import { type Capability, TerminalError, typedCapability } from "../../../sdk/agent/index.ts";
import { AnalysisRefusedError } from "../confined-root.ts";
import { analyseFiles } from "./analyse-files.ts";
import { checkAnalysis } from "./analysis-check.ts";
import { AnalysisProcesses } from "./analysis-processes.ts";

/** What an operator can choose about `code-analysis`. */
export interface CodeAnalysisTaskOptions {
  /** Folders that tasks may read; none if empty. */
  readonly allowedRoots: readonly string[];
  /** How many processes parse at once; further sources wait. */
  readonly processes: number;
}

/** Measures source files below the allowed folders, and says what is wrong in them. */
export function codeAnalysisTask({ allowedRoots, processes: max }: CodeAnalysisTaskOptions): Capability {
  const processes = new AnalysisProcesses(max);
  return typedCapability({
    description: "Measures source files with a real parser: { root, files, security?, rules? }.",
    input: CodeAnalysisInputSchema,
    chunk: CodeAnalysisChunkSchema,
    output: CodeAnalysisOutputSchema,
    check: checkAnalysis,
    async run({ input }, { output, progress, signal }) {
      try {
        const analysis = await analyseFiles(input, {
          allowedRoots,
          processes,
          signal,
          rules: input.security ? input.rules : undefined,
          async onFile({ path }, { done, total }, { count, listed }) {
            if (count > 0) await output({ file: path, findingCount: count, findings: [...listed] });
            progress(done / total, path);
          },
        });
        // The message says what its JSON says, and its size was judged as JSON.
        const json: JsonValue = JSON.parse(JSON.stringify(analysis));
        return fromJson(CodeAnalysisOutputSchema, json);
      } catch (error) {
        if (!(error instanceof AnalysisRefusedError)) throw error;
        throw new TerminalError(error.message, { reason: error.code, cause: error });
      }
    },
  });
}
