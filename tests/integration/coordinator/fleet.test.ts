// Agents that come and go faster than what they asked for is done.

import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HeartbeatRequestSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { RegisterAgentRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { OPEN_PRINCIPAL } from "../../../services/coordinator/access/principal-values.ts";
import { openFleet } from "../../support/agent-fleet.ts";
import { TENANT } from "../../support/mesh-log.ts";

const REQUEST = create(RegisterAgentRequestSchema, { agentId: "a", name: "a", capabilities: [{ type: "echo" }] });
const STAYS = new AbortController().signal;

test("an agent that stops while it registers anew stays deregistered", async () => {
  await using mesh = await openFleet();
  const { fleet } = mesh;
  await fleet.register(OPEN_PRINCIPAL, REQUEST, STAYS);
  const leaving = new AbortController();

  const registered = fleet.register(OPEN_PRINCIPAL, REQUEST, leaving.signal);
  leaving.abort(new Error("the agent left"));
  await fleet.deregister(OPEN_PRINCIPAL, "a");

  await expect(registered).rejects.toThrow("the agent left");
  expect(await mesh.isRegistered("a")).toBe(false);
});

test("an agent that says that it drains and deregisters at once stays deregistered", async () => {
  await using mesh = await openFleet();
  const { fleet } = mesh;
  await fleet.register(OPEN_PRINCIPAL, REQUEST, STAYS);

  const deregistered = fleet.deregister(OPEN_PRINCIPAL, "a");
  // What was sent first may arrive last: another coordinator took it.
  const draining = create(HeartbeatRequestSchema, { draining: true });
  const answer = fleet.heartbeat({ tenant: TENANT, agentId: "a" }, draining);

  await deregistered;
  expect((await answer).registered).toBe(false);
  expect(await mesh.isRegistered("a")).toBe(false);
});

test("an agent deregisters by a coordinator that has not heard of it yet", async () => {
  await using mesh = await openFleet();
  const late = await mesh.openDeaf();
  await mesh.fleet.register(OPEN_PRINCIPAL, REQUEST, STAYS);

  await late.deregister(OPEN_PRINCIPAL, "a");

  expect(await mesh.isRegistered("a")).toBe(false);
  await expect(late.deregister(OPEN_PRINCIPAL, "a")).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
});
