// Metrics on their way to a collector, and what becomes of them when it does not take them.
import { metrics } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { openMetrics } from "../../../lib/telemetry/metrics.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { openMetricCollector } from "../../support/metric-collector.ts";

function record(): void {
  metrics.getMeter("test").createHistogram("h").record(1);
}

test("what was recorded is sent at each interval without being asked", async () => {
  await using collector = await openMetricCollector();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_METRIC_EXPORT_INTERVAL: "20" };
  await using measured = await openMetrics({ serviceName: "s", env });
  expect(measured.target).toBe(`${collector.url}/v1/metrics`);
  record();
  await expect.poll(() => collector.points("h").map(({ count }) => count)).toEqual([1]);
});

test("a process that recorded nothing sends nothing", async () => {
  await using collector = await openMetricCollector();
  const measured = await openMetrics({ serviceName: "s", env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  await measured[Symbol.asyncDispose]();
  expect(collector.paths).toEqual([]);
});

test("a collector that takes no metrics costs one line and no exception", async () => {
  await using collector = await openMetricCollector(404);
  const lines: string[] = [];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  const report = (line: string): void => void lines.push(line);
  // Its handler of errors is the whole process's, and has nothing to say of metrics.
  await using _tracing = await openTracing({ serviceName: "s", env, report });
  const measured = await openMetrics({ serviceName: "s", env, report });
  record();
  await measured.flush();
  record();
  await measured[Symbol.asyncDispose]();
  expect(collector.paths).toEqual(["/v1/metrics", "/v1/metrics"]);
  expect(lines).toEqual([expect.stringMatching(/^metrics could not be sent to \S+\/v1\/metrics: [^\n]+$/)]);
});

test("a second set-up in one process is refused, and the first goes on", async () => {
  await using collector = await openMetricCollector();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  const first = await openMetrics({ serviceName: "s", env });
  await expect(openMetrics({ serviceName: "s", env })).rejects.toThrow("metrics are already set up in this process");
  record();
  await first[Symbol.asyncDispose]();
  expect(collector.points("h")).toHaveLength(1);
});
