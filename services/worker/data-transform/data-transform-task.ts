// The `data-transform` task as the mesh meets it.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { DataTransformInputSchema, DataTransformOutputSchema } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import { type Capability, fail, typedCapability } from "../../../sdk/agent/index.ts";
import { BoundedProcesses, type WorkEnd } from "../bounded-processes/bounded-processes.ts";
import { checkTransform, DEFAULT_TIME_LIMIT_MS } from "./transform-check.ts";
import type { TransformAnswer } from "./transform-job.ts";

/** Heap of one process: the input, what is made of it, and the compiled code. */
const MAX_HEAP_MIB = 128;
/** No work on that heap comes near it. */
const MAX_RESIDENT_MIB = 1_024;

/** Named operations and JSONata over JSON. At most `processes` run at once; further ones wait. */
export function dataTransformTask({ processes }: { readonly processes: number }): Capability {
  const pool = new BoundedProcesses<Uint8Array, TransformAnswer>({
    module: new URL("./transform-process.ts", import.meta.url),
    max: processes,
    maxHeapMib: MAX_HEAP_MIB,
    maxResidentMib: MAX_RESIDENT_MIB,
  });
  return typedCapability({
    description: "Transforms JSON by named operations and JSONata: { data, operations?, expression?, timeLimitMs? }.",
    input: DataTransformInputSchema,
    output: DataTransformOutputSchema,
    check: checkTransform,
    async run({ input }, { signal }) {
      const timeLimitMs = input.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS;
      const end = await pool.run(toBinary(DataTransformInputSchema, input), { timeLimitMs, signal });
      const answer = answerOf(end, timeLimitMs);
      if (answer.kind === "failed") return fail(answer.message, { reason: answer.reason });
      return fromBinary(DataTransformOutputSchema, answer.output);
    },
  });
}

function answerOf(end: WorkEnd<TransformAnswer>, timeLimitMs: number): TransformAnswer {
  switch (end.kind) {
    case "answered":
      return end.answer;
    case "timed-out":
      return {
        kind: "failed",
        reason: "TRANSFORM_TIMEOUT",
        message: `it took more than ${timeLimitMs} ms, its time limit`,
      };
    case "out-of-memory":
      return {
        kind: "failed",
        reason: "TRANSFORM_TOO_LARGE",
        message: `it needed more than ${MAX_HEAP_MIB} MiB of memory`,
      };
    default:
      throw new Error(`the transformation's process ended by ${end.by}`);
  }
}
