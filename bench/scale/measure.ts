// Runs the measurements of the mesh alone, one after the other; one that cannot be done here does not stop the others.

import { amount } from "../report/amount.ts";
import { BenchError } from "../support/bench-error.ts";
import type { Figure, ScaleOptions, ScaleScenario } from "./figure.ts";

/** What one of them gave. */
export interface ScaleGroup extends Pick<ScaleScenario, "id" | "title"> {
  readonly figures: readonly Figure[];
}

/** What they gave. */
export interface ScaleResult {
  readonly groups: readonly ScaleGroup[];
  /** By measurement, why it gave nothing. */
  readonly absent: Readonly<Record<string, string>>;
}

/** Runs them. Rejects when `stopped` does, and with any error that is not a BenchError. */
export async function measureScale(
  scenarios: readonly ScaleScenario[],
  { stopped, ...options }: ScaleOptions & { readonly stopped: Promise<never> },
): Promise<ScaleResult> {
  const groups: ScaleGroup[] = [];
  const absent: Record<string, string> = {};
  for (const { id, title, measure } of scenarios) {
    options.onProgress(`at scale: ${title}`);
    const outcome = await Promise.race([attempt(measure(options)), stopped]);
    if (typeof outcome === "string") {
      absent[id] = outcome;
      options.onProgress(`${id} left out: ${outcome}`);
      continue;
    }
    for (const figure of outcome) options.onProgress(`${figure.title}: ${amount(figure.value)} ${figure.unit}`);
    groups.push({ id, title, figures: outcome });
  }
  return { groups, absent };
}

async function attempt(work: Promise<readonly Figure[]>): Promise<readonly Figure[] | string> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof BenchError) return error.message;
    throw error;
  }
}
