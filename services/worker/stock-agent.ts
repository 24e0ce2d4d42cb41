// The stock agent: which capabilities it has and how each is wired to the mesh. The work itself knows nothing of it.

import { type AgentDefinition, capability, defineAgent, TerminalError } from "../../sdk/agent/index.ts";
import { parseCodeAnalysisInput } from "./code-analysis/analysis-input.ts";
import { analyseFiles } from "./code-analysis/analyse-files.ts";
import { AnalysisRefusedError } from "./code-analysis/confined-root.ts";
import { dataTransformTask } from "./data-transform/data-transform-task.ts";
import { echoTask } from "./echo/echo-task.ts";
import { monitoringTask } from "./monitoring/monitoring-task.ts";
import type { InputReading } from "./field-violation.ts";

/** What an operator can choose about the stock agent. */
export interface StockAgentOptions {
  /** A name for people. */
  readonly name: string;
  /** How many attempts it runs at once. */
  readonly concurrency: number;
  /** Folders that tasks may read; none if empty. */
  readonly allowedRoots: readonly string[];
}

/** Each may take a core and its memory limit. */
const MAX_TRANSFORM_PROCESSES = 4;

/** Defines the stock agent. */
export function stockAgent({ name, concurrency, allowedRoots }: StockAgentOptions): AgentDefinition {
  return defineAgent({
    name,
    concurrency,
    capabilities: {
      echo: echoTask,
      "data-transform": dataTransformTask({ processes: Math.min(concurrency, MAX_TRANSFORM_PROCESSES) }),
      monitoring: monitoringTask,
      "code-analysis": capability({
        description: "Measures source files with a real parser: { root, files }.",
        parse: (value) => accepted(parseCodeAnalysisInput(value)),
        run: async ({ input }, { progress, signal }) => {
          try {
            return await analyseFiles(input, {
              allowedRoots,
              signal,
              onFile: ({ path }, { done, total }) => progress(done / total, path),
            });
          } catch (error) {
            if (!(error instanceof AnalysisRefusedError)) throw error;
            throw new TerminalError(error.message, { reason: error.code, cause: error });
          }
        },
      }),
    },
  });
}

function accepted<T>(reading: InputReading<T>): T {
  if (reading.kind === "valid") return reading.input;
  const text = reading.violations.map(({ field, description }) =>
    field === "" ? description : `${field}: ${description}`,
  );
  throw new Error(text.join("; "));
}
