// A trace that is not sampled goes all the way with its task, and no process records anything of it.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { openTraceStore } from "../../../cli/traces/trace-store.ts";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMesh } from "../../support/processes.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-00`;

test("an unsampled traceparent is in the dispatch, the agent's report, and the event of a canceled task, and nothing is recorded", async () => {
  const dir = await mkdtemp(join(tmpdir(), "mycel-traces-"));
  await using store = await openTraceStore({ dir });
  // Whatever began a trace of its own would record it, and send it at once.
  const otel = { OTEL_EXPORTER_OTLP_ENDPOINT: store.address, OTEL_BSP_SCHEDULE_DELAY: "0" };
  await using mesh = await openMesh({ env: otel });
  await mesh.startAgent("traced", otel);
  await using nats = await connect(mesh.nats.access);
  const reported: (string | undefined)[] = [];
  nats.subscribe("mycel.agent.*.*.report", {
    callback: (_error, message) => void reported.push(message.headers?.get("traceparent")),
  });
  await nats.flush();
  await using client = createClient({ url: mesh.urls[0]!, headers: { traceparent: TRACEPARENT } });

  const run = client.run("work", {});
  await run.result();
  const { taskId } = await run.submitted;
  const { taskId: canceled } = await client.submit("parked", {});
  await client.cancel(canceled);
  await using marked = createClient({
    url: mesh.urls[0]!,
    headers: { traceparent: TRACEPARENT.replace(TRACE_ID, "1".repeat(32)).replace(/00$/, "01") },
  });
  await marked.run("work", {}).result();

  expect((await client.status(taskId)).traceId).toBe(TRACE_ID);
  const { streams } = await jetstreamManager(nats);
  const carried = async (subject: string): Promise<string | undefined> =>
    (await streams.getMessage(TASKS_STREAM, { last_by_subj: subject }))?.header.get("traceparent");
  for (const subject of [`task.default.${taskId}.q.>`, `task.default.${canceled}.q.>`, `task.default.${canceled}.e`]) {
    expect(await carried(subject)).toBe(TRACEPARENT);
  }
  expect(reported).toContain(TRACEPARENT);
  // The task that was sampled came later: when its spans are there, those of the first would be.
  const recorded = async (traceId: string): Promise<number> => (await fetch(`${store.addressOf(traceId)}.json`)).status;
  await expect.poll(() => recorded("1".repeat(32)), { timeout: 15_000 }).toBe(200);
  expect(await recorded(TRACE_ID)).toBe(404);
  await rm(dir, { recursive: true, force: true });
});
