// A delivery's attempt belongs to the trace of its task, and the receiver is told of it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient as createRpcClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { openTraceStore } from "../../../cli/traces/trace-store.ts";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { openMesh } from "../../support/processes.ts";
import { openWebhookReceiver } from "../../support/webhook-receiver.ts";
import { soon } from "../../support/soon.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";

interface ShownSpan {
  readonly name: string;
  readonly service: string;
}

test("each attempt is a span in the trace of the submission, and the receiver gets its context", async () => {
  const dir = await mkdtemp(join(tmpdir(), "mycel-traces-"));
  await using store = await openTraceStore({ dir });
  await using mesh = await openMesh({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: store.address,
      OTEL_BSP_SCHEDULE_DELAY: "100",
      MYCEL_OUTBOUND_ALLOW: "127.0.0.1",
    },
  });
  await mesh.startAgent("worker");
  await using receiver = await openWebhookReceiver();
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]! });
  const { secret } = await createRpcClient(WebhookService, transport).createWebhookEndpoint({
    endpointId: "traced",
    url: receiver.url,
  });
  receiver.secrets = [secret];
  const headers = { traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01` };
  const task = { type: "work", webhook: { endpointId: "traced" } };
  await createRpcClient(AgentService, transport).submitTask(task, { headers });

  const [received] = await receiver.until(1);
  expect(received?.event.data.status).toMatchObject({ traceId: TRACE_ID });
  expect(received?.headers["traceparent"]).toMatch(new RegExp(`^00-${TRACE_ID}-[0-9a-f]{16}-01$`));
  const names = async (): Promise<string[]> => {
    const response = await fetch(`${store.addressOf(TRACE_ID)}.json`);
    if (!response.ok) return [];
    const { spans } = (await response.json()) as { spans: ShownSpan[] };
    return spans.map(({ service, name }) => `${service}: ${name}`);
  };
  await soon(names).toEqual(expect.arrayContaining(["mycel-coordinator: deliver webhook", "mycel-coordinator: POST"]));
  await rm(dir, { recursive: true, force: true });
});
