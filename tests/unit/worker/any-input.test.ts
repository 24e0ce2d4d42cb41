// Whatever a task of the stock agent is given, it is refused in one line or done; nothing else can come of an input.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { codeAnalysisTask } from "../../../services/worker/code-analysis/code-analysis-task.ts";
import { dataTransformTask } from "../../../services/worker/data-transform/data-transform-task.ts";
import { echoTask } from "../../../services/worker/echo/echo-task.ts";
import { fileProcessingTask } from "../../../services/worker/file-processing/file-processing-task.ts";
import { monitoringTask } from "../../../services/worker/monitoring/monitoring-task.ts";
import type { Capability } from "../../../sdk/agent/index.ts";
import { callCapability } from "../../support/handler-call.ts";

const TASKS: readonly (readonly [string, Capability, string[]])[] = [
  ["echo", echoTask, ["message", "repeat", "delayMs", "delay_ms"]],
  ["data-transform", dataTransformTask({ processes: 1 }), ["data", "operations", "timeLimitMs"]],
  ["code-analysis", codeAnalysisTask({ allowedRoots: [], processes: 1 }), ["root", "files", "security", "rules"]],
  ["monitoring", monitoringTask, ["samples", "intervalMs", "parts"]],
  ["file-processing", fileProcessingTask({ allowedRoots: [] }), ["path", "blob", "operations", "hashes", "maxEntries"]],
];

/** A handler that gets as far as its work stops there: it is canceled before it starts. */
const OVER = AbortSignal.abort(new Error("over"));
const REFUSED = /^(?:INVALID_INPUT: invalid input: |ROOT_NOT_ALLOWED: |PATH_NOT_ALLOWED: |HANDLER_ERROR: over$)/;

test.for(TASKS)("%s", async ([, task, fields]) => {
  const value = fc.jsonValue({ maxDepth: 3 });
  const named = fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string()), value);
  const paths = fc.record({
    root: fc.string().map((name) => `/${name}`),
    files: fc.array(fc.string(), { minLength: 1 }),
  });
  const input = fc.oneof(value, named, paths, fc.record({ path: fc.string().map((name) => `/${name}`) }));
  await fc.assert(
    fc.asyncProperty(input, async (given) => {
      const { failure } = await callCapability(task, given, { signal: OVER });
      if (failure === undefined) return;
      expect(failure).toMatch(REFUSED);
      expect(failure).not.toMatch(/[\n\r\u2028]/);
    }),
    { numRuns: 300 },
  );
});
