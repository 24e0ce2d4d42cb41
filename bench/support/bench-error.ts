// The errors of the benchmark that a user understands: one line, no stack trace.

/** Why a benchmark ended without a result. The message is one line. */
export class BenchError extends Error {
  override readonly name: string = "BenchError";
}

/** An option is not as it must be. */
export class BenchUsageError extends BenchError {
  override readonly name = "BenchUsageError";
}
