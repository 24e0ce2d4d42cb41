// The stock agent: which capabilities it has and how each is wired to the mesh. The work itself knows nothing of it.

import { availableParallelism } from "node:os";
import { createOutbound } from "../../lib/outbound/outbound.ts";
import { type AgentDefinition, defineAgent } from "../../sdk/agent/index.ts";
import { codeAnalysisTask } from "./code-analysis/code-analysis-task.ts";
import { dataTransformTask } from "./data-transform/data-transform-task.ts";
import { echoTask } from "./echo/echo-task.ts";
import { fileProcessingTask } from "./file-processing/file-processing-task.ts";
import { healthCheckTask } from "./health-check/health-check-task.ts";
import { inferenceTask } from "./inference/inference-task.ts";
import type { ModelProviders } from "./inference/model-providers.ts";
import { monitoringTask } from "./monitoring/monitoring-task.ts";
import { webhookTask } from "./webhook/webhook-task.ts";

/** What an operator can choose about the stock agent. */
export interface StockAgentOptions {
  /** A name for people. */
  readonly name: string;
  /** How many attempts it runs at once. */
  readonly concurrency: number;
  /** Folders that tasks may read; none if empty. */
  readonly allowedRoots: readonly string[];
  /** What tasks may reach beyond public addresses: ranges, addresses, host names, `*.name`. Nothing if empty. */
  readonly allowPrivate: readonly string[];
  /** Language models for `inference`, which is left out without them. */
  readonly models?: ModelProviders | undefined;
  /** Labels, shown in lists of agents. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Each may take a core and its memory limit. */
const MAX_TRANSFORM_PROCESSES = 4;
/** Further ones would only share the cores, with other agents too. */
const MAX_ANALYSIS_PROCESSES: number = Math.ceil(Math.min(availableParallelism(), 8) / 2);

/** Defines the stock agent. Throws RangeError for an `allowPrivate` that cannot be read. */
export function stockAgent(options: StockAgentOptions): AgentDefinition {
  const { name, concurrency, allowedRoots, allowPrivate, models, labels = {} } = options;
  const outbound = createOutbound({ allowPrivate });
  return defineAgent({
    name,
    concurrency,
    labels,
    capabilities: {
      echo: echoTask,
      "data-transform": dataTransformTask({ processes: Math.min(concurrency, MAX_TRANSFORM_PROCESSES) }),
      monitoring: monitoringTask,
      webhook: webhookTask(outbound),
      "health-check": healthCheckTask(outbound),
      "code-analysis": codeAnalysisTask({ allowedRoots, processes: Math.min(concurrency, MAX_ANALYSIS_PROCESSES) }),
      "file-processing": fileProcessingTask({ allowedRoots }),
      ...(models === undefined ? {} : { inference: inferenceTask(models) }),
    },
  });
}
