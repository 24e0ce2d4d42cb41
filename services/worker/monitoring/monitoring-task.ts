// The `monitoring` task as the mesh meets it, and its rhythm.
import {
  MonitoringInputSchema,
  MonitoringOutputSchema,
  MonitoringSampleSchema,
} from "../../../gen/mycel/tasks/v1/monitoring_pb.ts";
import { pause } from "../../../lib/time/pause.ts";
import { type Capability, typedCapability } from "../../../sdk/agent/index.ts";
import { HostSampler } from "./host-sampler.ts";
import { checkMonitoring, monitoringOrder } from "./monitoring-order.ts";

/** Over how long at most the rates of the first sample are measured. */
const MAX_FIRST_INTERVAL_MS = 1_000;
/** A task without an end stops this long before its attempt is out of time, so that it completes. */
const END_BEFORE_DEADLINE_MS = 1_000;

/** Measures the agent's host, once or again and again. */
export const monitoringTask: Capability = typedCapability({
  description: "Measures this host's CPU, memory, disks, load and network: { samples?, intervalMs?, parts? }.",
  input: MonitoringInputSchema,
  chunk: MonitoringSampleSchema,
  output: MonitoringOutputSchema,
  check: checkMonitoring,
  async run({ input }, { output, progress, signal, deadline }) {
    const { samples, intervalMs, parts } = monitoringOrder(input);
    const endless = samples === Number.POSITIVE_INFINITY;
    const host = new HostSampler(parts);
    const canceled = abortOf(signal);
    let dueMs = performance.now();
    if (host.needsStart) {
      await host.start();
      dueMs += Math.min(intervalMs, MAX_FIRST_INTERVAL_MS);
    }
    for (let index = 1; ; index += 1) {
      await pause(Math.max(0, dueMs - performance.now()), signal);
      signal.throwIfAborted();
      // A file system that does not answer must not keep a task that was canceled.
      const sample = await Promise.race([host.sample(index), canceled]);
      await output(sample);
      progress(endless ? 0 : index / samples, endless ? `sample ${index}` : `sample ${index} of ${samples}`);
      dueMs += intervalMs;
      const outOfTime = Date.now() + (dueMs - performance.now()) > deadline.getTime() - END_BEFORE_DEADLINE_MS;
      if (index >= samples || (endless && outOfTime)) return { sample, samples: index };
    }
  },
});

/** Rejects with the reason of the signal when it aborts. Nobody has to wait for it. */
function abortOf(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}
