// Agents that come and go faster than what they asked for is done.

import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HeartbeatRequestSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { RegisterAgentRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { Registry } from "../../../lib/nats/registry.ts";
import { Fleet } from "../../../services/coordinator/agents/fleet.ts";
import { openMeshLog, TENANT } from "../../support/mesh-log.ts";

const REQUEST = create(RegisterAgentRequestSchema, { agentId: "a", name: "a", capabilities: [{ type: "echo" }] });
const STAYS = new AbortController().signal;

test("an agent that stops while it registers anew stays deregistered", async () => {
  await using mesh = await openFleet();
  const { fleet } = mesh;
  await fleet.register(TENANT, REQUEST, STAYS);
  const leaving = new AbortController();

  const registered = fleet.register(TENANT, REQUEST, leaving.signal);
  leaving.abort(new Error("the agent left"));
  await fleet.deregister(TENANT, "a");

  await expect(registered).rejects.toThrow("the agent left");
  expect(await mesh.isRegistered("a")).toBe(false);
});

test("an agent that says that it drains and deregisters at once stays deregistered", async () => {
  await using mesh = await openFleet();
  const { fleet } = mesh;
  await fleet.register(TENANT, REQUEST, STAYS);

  const deregistered = fleet.deregister(TENANT, "a");
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
  await mesh.fleet.register(TENANT, REQUEST, STAYS);

  await late.deregister(TENANT, "a");

  expect(await mesh.isRegistered("a")).toBe(false);
  await expect(late.deregister(TENANT, "a")).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
});

interface TestFleet extends AsyncDisposable {
  readonly fleet: Fleet;
  /** The fleet of another coordinator, which hears of nothing from now on. */
  openDeaf(): Promise<Fleet>;
  /** Whether another coordinator finds an agent. */
  isRegistered(agentId: string): Promise<boolean>;
}

async function openFleet(): Promise<TestFleet> {
  const stack = new AsyncDisposableStack();
  const log = stack.use(await openMeshLog());
  const open = async (): Promise<Registry> =>
    stack.use(await Registry.open(log.connection, { onError: () => undefined, onGarbage: () => undefined }));
  const clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
  const lanes = new Lanes(log, { leaseMs: 30_000, depthLimit: 10, maxQueues: 10 }, () => clock.monotonicMs());
  const fleetOf = (registry: Registry): Fleet =>
    new Fleet({
      registry,
      lanes,
      clock,
      randomId: () => "x",
      natsUrls: [log.nats.url],
      leaseMs: 30_000,
      heartbeatMs: 1_000,
    });
  return {
    fleet: fleetOf(await open()),
    openDeaf: async () => {
      const registry = await open();
      await registry[Symbol.asyncDispose]();
      return fleetOf(registry);
    },
    isRegistered: async (agentId) => (await open()).get(TENANT, agentId) !== undefined,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
