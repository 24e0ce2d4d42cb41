// The errors of the benchmark that a user understands: one line, no stack trace.
import { ToolError } from "../../tests/support/tool.ts";

/** Why a benchmark ended without a result. The message is one line. */
export class BenchError extends ToolError {
  override readonly name = "BenchError";
}
