// The example of a receiver runs as it stands, and takes what a real mesh delivers, once.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { secretOf } from "../../../lib/wire/webhook-signature.ts";
import { openMesh } from "../../support/processes.ts";
import { soon } from "../../support/soon.ts";

test("the example's receiver verifies and takes each event once", async () => {
  await using mesh = await openMesh({ env: { MYCEL_OUTBOUND_ALLOW: "127.0.0.1" } });
  await mesh.startAgent("worker");
  const secret = secretOf(new Uint8Array(32).fill(5));
  const receiver = spawn(process.execPath, ["examples/webhook-receiver.ts"], {
    cwd: resolve(import.meta.dirname, "../../.."),
    env: { ...process.env, WEBHOOK_SECRET: secret, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await using _receiver = {
    [Symbol.asyncDispose]: async () => void (receiver.kill() && (await once(receiver, "exit"))),
  };
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
  const ready = String((await lines.next()).value);
  const port = /port: (\d+)/.exec(ready)?.[1];

  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]! });
  const webhooks = createClient(WebhookService, transport);
  await webhooks.createWebhookEndpoint({ endpointId: "example", url: `http://127.0.0.1:${port}/`, secret });
  const agents = createClient(AgentService, transport);
  await agents.submitTask({ taskId: "one", type: "work", webhook: { endpointId: "example" } });
  const first = String((await lines.next()).value);
  expect(first).toMatch(/^msg_one_\d+ \{"type":"task.completed",/);

  const deliveryId = first.split(" ")[0]!;
  await webhooks.redeliverWebhook({ deliveryId });
  await soon(async () =>
    (await webhooks.getWebhookDelivery({ deliveryId })).delivery?.attempts.map(({ status }) => status),
  ).toEqual([204, 204]);
  await agents.submitTask({ taskId: "two", type: "work", webhook: { endpointId: "example" } });
  expect((await lines.next()).value).toMatch(/^msg_two_\d+ /);
  expect((await webhooks.rotateWebhookSecret({ endpointId: "example", overlap: { seconds: 0n } })).secret).not.toBe(
    secret,
  );
  expect((await webhooks.testWebhookEndpoint({ endpointId: "example" })).attempt?.status).toBe(401);
});
