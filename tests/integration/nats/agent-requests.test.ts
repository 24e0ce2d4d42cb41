// What coordinators do for agents that ask more than they should.
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  ReportRequestSchema,
  ReportResponseSchema,
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { AgentRequests } from "../../../lib/nats/agent-requests.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { agentSubject, inboxPrefix } from "../../../lib/wire/subjects.ts";
import { openTestNats } from "../../support/nats.ts";

test("an agent that floods coordinators has a few requests worked on at a time; the others' are answered, and its own later", async () => {
  await using nats = await openTestNats();
  await using stack = new AsyncDisposableStack();
  const connect = async (name: string) => {
    const connection = await openNats({ servers: nats.url, name });
    stack.defer(() => connection.close());
    return connection;
  };
  const [coordinator, agents] = [await connect("coordinator"), await connect("agents")];
  const gate = Promise.withResolvers<void>();
  const [begun, dropped]: [string[], string[]] = [[], []];
  const begin = async (verb: string, agentId: string): Promise<void> => {
    begun.push(`${verb} ${agentId}`);
    if (agentId === "flood") await gate.promise;
  };
  stack.use(
    new AgentRequests(coordinator, {
      report: async ({ agentId }) => {
        await begin("report", agentId);
        return create(ReportResponseSchema);
      },
      heartbeat: async ({ agentId }) => {
        await begin("heartbeat", agentId);
        return create(HeartbeatResponseSchema, { registered: true });
      },
      onGarbage: (why) => dropped.push(why),
      onError: (error) => dropped.push(String(error)),
    }),
  );
  stack.defer(() => gate.resolve());
  const bodies = {
    report: toBinary(ReportRequestSchema, create(ReportRequestSchema)),
    heartbeat: toBinary(HeartbeatRequestSchema, create(HeartbeatRequestSchema)),
  };
  const ask = (agentId: string, verb: "report" | "heartbeat", timeout = 10_000): Promise<unknown> => {
    const reply = `${inboxPrefix("acme", agentId)}.${begun.length}`;
    const subject = agentSubject("acme", agentId, verb);
    return agents.request(subject, bodies[verb], { timeout, noMux: true, reply });
  };
  await coordinator.flush();
  const publish = (verb: "report" | "heartbeat", times: number): void => {
    const reply = `${inboxPrefix("acme", "flood")}.x`;
    for (let i = 0; i < times; i += 1) agents.publish(agentSubject("acme", "flood", verb), bodies[verb], { reply });
  };
  publish("report", 500);
  publish("heartbeat", 500);
  // By the same connection, in order: when these are answered, the flood has been heard.
  await ask("honest", "report");
  await ask("honest", "heartbeat");

  expect(begun.filter((one) => one === "report flood")).toHaveLength(64);
  expect(begun.filter((one) => one === "heartbeat flood")).toHaveLength(4);
  expect(new Set(dropped)).toEqual(new Set(["the agent has too many requests under way"]));
  gate.resolve();
  await expect.poll(() => ask("flood", "report", 1_000).then(() => "answered", String)).toBe("answered");
  await expect.poll(() => ask("flood", "heartbeat", 1_000).then(() => "answered", String)).toBe("answered");
});
