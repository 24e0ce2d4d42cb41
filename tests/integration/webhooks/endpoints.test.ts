// Changes of webhook endpoints that meet one another, on a real nats-server.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { UpdateWebhookEndpointRequestSchema } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { openWebhookMesh } from "./webhook-mesh.ts";

test("an endpoint that is changed or deleted while it is deleted is gone", async () => {
  await using mesh = await openWebhookMesh();
  const webhooks = await mesh.openCoordinator();
  const { desk, endpoints } = webhooks;
  await mesh.endpoint(webhooks, "main");
  const seen = await endpoints.require(TENANT, "main");
  await desk.update(
    TENANT,
    create(UpdateWebhookEndpointRequestSchema, { endpointId: "main", description: "changed meanwhile" }),
  );
  await endpoints.remove(TENANT, seen);
  expect(await endpoints.get(TENANT, "main")).toMatchObject({ endpoint: { description: "changed meanwhile" } });
  const both = await Promise.allSettled([desk.delete(TENANT, "main"), desk.delete(TENANT, "main")]);
  expect(both.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  expect(await endpoints.get(TENANT, "main")).toBeUndefined();
  await expect(desk.delete(TENANT, "main")).rejects.toMatchObject({ reason: "WEBHOOK_ENDPOINT_NOT_FOUND" });
});
