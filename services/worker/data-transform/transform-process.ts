// The process in which transformations run; see data-transform-task.ts, which bounds it.
import { serveWork } from "../bounded-processes/process-work.ts";
import { transform, type TransformAnswer } from "./transform-job.ts";

serveWork((input: Uint8Array) => transform(input).catch(failed));

function failed(error: unknown): TransformAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: "failed", reason: "TRANSFORM_FAILED", message };
}
