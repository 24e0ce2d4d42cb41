// The calls that most end-to-end tests make, by the generated client alone.

import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService, type StreamResultsResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { TaskState, type TaskStatus } from "../../gen/mycel/v1/task_pb.ts";

/** A generated client of a coordinator. */
export type AgentClient = Client<typeof AgentService>;

/** Makes a generated client over gRPC. */
export function agentClient(baseUrl: string): AgentClient {
  return createClient(AgentService, createGrpcTransport({ baseUrl }));
}

/** A JSON payload, as a message is initialised with it. */
export function json(value: JsonValue): Payload {
  return create(PayloadSchema, { kind: { case: "json", value: fromJson(ValueSchema, value) } });
}

/** Waits for the task's end by long polls, on whichever client answers, and returns its status. */
export async function ended(clients: AgentClient | readonly AgentClient[], taskId: string): Promise<TaskStatus> {
  const all = Array.isArray(clients) ? (clients as readonly AgentClient[]) : [clients as AgentClient];
  for (let i = 0; ; i += 1) {
    try {
      const { status } = await all[i % all.length]!.getTaskStatus({ taskId, wait: { seconds: 20n } });
      if (status!.endTime !== undefined) return status!;
    } catch (error) {
      if (i > 20) throw error;
    }
  }
}

/** Reads a stream of results to its end. */
export async function results(
  client: AgentClient,
  taskId: string,
  cursor = "",
): Promise<readonly StreamResultsResponse[]> {
  const found: StreamResultsResponse[] = [];
  for await (const message of client.streamResults({ taskId, cursor })) found.push(message);
  return found;
}

/** A state's name without its prefix, for readable expectations. */
export function stateName(state: TaskState): string {
  return Object.entries(TaskState).find(([, value]) => value === state)?.[0] ?? String(state);
}
