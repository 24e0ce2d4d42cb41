// The `data-transform` task as the mesh meets it.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { DataTransformInputSchema, DataTransformOutputSchema } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import { type Capability, fail, typedCapability } from "../../../sdk/agent/index.ts";
import { checkTransform, DEFAULT_TIME_LIMIT_MS } from "./transform-check.ts";
import { TransformProcesses } from "./transform-processes.ts";

/** Named operations and JSONata over JSON. At most `processes` run at once; further ones wait. */
export function dataTransformTask({ processes }: { readonly processes: number }): Capability {
  const pool = new TransformProcesses(processes);
  return typedCapability({
    description: "Transforms JSON by named operations and JSONata: { data, operations?, expression?, timeLimitMs? }.",
    input: DataTransformInputSchema,
    output: DataTransformOutputSchema,
    check: checkTransform,
    async run({ input }, { signal }) {
      const timeLimitMs = input.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS;
      const answer = await pool.run(toBinary(DataTransformInputSchema, input), { timeLimitMs, signal });
      if (answer.kind === "failed") return fail(answer.message, { reason: answer.reason });
      return fromBinary(DataTransformOutputSchema, answer.output);
    },
  });
}
