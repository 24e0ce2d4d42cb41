// Load from outside: unary calls by a process of their own, the same for every server, so that what is measured is the server's rate and
// not that of the benchmark's own client.

import { BenchError } from "./bench-error.ts";
import { type CallAmounts, MAX_MESSAGE_BYTES, type UnaryCall } from "./grpc-caller.ts";
import { startProcess } from "./process.ts";

/** The generator. Disposing it ends its process. */
export interface GrpcLoad extends AsyncDisposable {
  readonly pid: number;
  /**
   * Calls over and over, on one connection; gives the milliseconds from the first request to the last answer. One run at a time. Rejects
   * with BenchError when a call is not answered well.
   */
  run(call: UnaryCall, amounts: CallAmounts): Promise<number>;
}

/** What the process is asked. */
export interface LoadRequest extends CallAmounts {
  readonly url: string;
  readonly path: string;
  /** Base64. */
  readonly message: string;
}

/** What it answers. */
export type LoadResult = { readonly tookMs: number } | { readonly error: string };

/** Starts the generator. */
export async function openGrpcLoad(environment: Readonly<Record<string, string | undefined>>): Promise<GrpcLoad> {
  let hear: ((message: unknown) => void) | undefined;
  const generator = await startProcess({
    entry: "bench/support/grpc-load-process.ts",
    env: environment,
    onMessage: (message) => hear?.(message),
  });
  return {
    pid: generator.pid,
    run: async (call, amounts) => {
      if (call.message.length > MAX_MESSAGE_BYTES) {
        throw new BenchError(`a message has ${call.message.length} bytes, but may have ${MAX_MESSAGE_BYTES} at most`);
      }
      const heard = new Promise<unknown>((resolve) => {
        hear = resolve;
      });
      const request: LoadRequest = { ...amounts, url: call.url, path: call.path, message: base64Of(call.message) };
      generator.send(JSON.stringify(request));
      const result = resultOf(await Promise.race([heard, generator.failed]));
      if ("error" in result) throw new BenchError(result.error);
      return result.tookMs;
    },
    [Symbol.asyncDispose]: () => generator[Symbol.asyncDispose](),
  };
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function resultOf(message: unknown): LoadResult {
  if (typeof message === "object" && message !== null) {
    if ("tookMs" in message) return { tookMs: Number(message.tookMs) };
    if ("error" in message) return { error: String(message.error) };
  }
  return { error: "the load generator said something else than a result" };
}
