// Calls a capability's handler as the SDK does, without a mesh: what came of it, and what it streamed on the way.
import { create, fromBinary, isMessage } from "@bufbuild/protobuf";
import { BlobRefSchema, type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { TaskSchema } from "../../gen/mycel/v1/task_pb.ts";
import type { Logger } from "../../lib/core/logger.ts";
import type { Capability } from "../../sdk/agent/index.ts";
import type { Blobs } from "../../sdk/agent/blobs.ts";
import { callHandler } from "../../sdk/agent/handler-call.ts";
import type { Outcome } from "../../sdk/agent/outcome.ts";
import { encodePayload, valueOfPayload } from "../../sdk/agent/payload.ts";

const PIECE_BYTES = 4_096;

/** How a handler is called. */
export interface HandlerCallOptions {
  readonly signal?: AbortSignal;
  /** When the attempt must be over; in an hour if left out. */
  readonly deadline?: Date;
  /** What the blob store holds, by id. */
  readonly blobs?: Readonly<Record<string, Uint8Array>>;
  /** Called with each chunk as it is streamed; there is room for the next when it resolves. */
  readonly onChunk?: (chunk: unknown) => unknown;
  /** Called with each report of progress. */
  readonly onProgress?: (fraction: number) => void;
}

/** What a call came to. */
export interface HandlerCall {
  readonly outcome: Outcome;
  /** The result, in the form in which the handler gave it. */
  readonly result: unknown;
  /** Why it failed: reason and message. */
  readonly failure: string | undefined;
  readonly chunks: readonly unknown[];
  readonly progress: readonly { readonly fraction: number; readonly message: string }[];
  /** What it wrote to the agent's log. */
  readonly logged: readonly { readonly fields: object; readonly message: string }[];
}

/** Calls the handler with a Payload, or with any other value as JSON. */
export async function callCapability(
  capability: Capability,
  input: unknown,
  options: HandlerCallOptions = {},
): Promise<HandlerCall> {
  const { signal = new AbortController().signal, deadline, blobs = {}, onChunk, onProgress } = options;
  const payload: Payload | undefined = isMessage(input, PayloadSchema) ? input : inPayload(input);
  const chunks: unknown[] = [];
  const progress: { fraction: number; message: string }[] = [];
  const logged: { fields: object; message: string }[] = [];
  const log = (fields: object, message: string): void => void logged.push({ fields, message });
  const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
  const content = (blobId: string): Uint8Array => {
    const data = blobs[blobId];
    if (data === undefined) throw new Error(`no blob ${blobId}`);
    return data;
  };
  const stored: Blobs = {
    upload: () => Promise.reject(new Error("no uploads here")),
    download: (ref) => Promise.resolve(content(ref.blobId)),
    async open(blobId) {
      const data = content(blobId);
      const blob = create(BlobRefSchema, { blobId, sizeBytes: BigInt(data.length) });
      return {
        blob,
        async *[Symbol.asyncIterator]() {
          for (let at = 0; at < data.length; at += PIECE_BYTES) yield data.subarray(at, at + PIECE_BYTES);
        },
      };
    },
  };
  const outcome = await callHandler(
    capability,
    {
      taskId: "task",
      type: "type",
      queue: "type",
      attempt: 1,
      fence: 1n,
      beginRequired: false,
      leaseToken: "",
      startToCloseMs: undefined,
      heartbeatMs: undefined,
      input: valueOfPayload(payload),
      blob: payload?.kind.case === "blob" ? payload : undefined,
      task: create(TaskSchema, payload === undefined ? {} : { input: payload }),
    },
    {
      attempt: 1,
      deadlineTimeMs: deadline?.getTime() ?? Date.now() + 3_600_000,
      signal: () => signal,
      logger: () => logger,
      async output(chunk) {
        chunks.push(chunk);
        await onChunk?.(chunk);
        signal.throwIfAborted();
      },
      progress(fraction, message) {
        progress.push({ fraction, message });
        onProgress?.(fraction);
      },
      log: () => undefined,
      heartbeat: () => undefined,
      openBlob: (blobId) => stored.open(blobId),
      blob: (wanted) => Promise.resolve(content(wanted?.kind.case === "blob" ? wanted.kind.value.blobId : "")),
    },
    stored,
  );
  const failure = outcome.kind === "fail" ? `${outcome.failure.reason}: ${outcome.failure.message}` : undefined;
  return {
    outcome,
    result: outcome.kind === "complete" ? outcome.value : undefined,
    failure,
    chunks,
    progress,
    logged,
  };
}

function inPayload(value: unknown): Payload | undefined {
  const bytes = encodePayload(value);
  return bytes === undefined ? undefined : fromBinary(PayloadSchema, bytes);
}
