import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { AgentService, RunTaskResponseSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { type Task, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { failureOf } from "../../support/rpc-call.ts";
import { jsonPayloads } from "../../../services/coordinator/interceptors/json-payloads.ts";

const number = (value: number): Value => create(ValueSchema, { kind: { case: "numberValue", value } });
const payload = (kind: object): Payload => create(PayloadSchema, { kind } as MessageInitShape<typeof PayloadSchema>);
const odd = payload({
  case: "json",
  value: create(ValueSchema, {
    kind: {
      case: "listValue",
      value: { values: [number(1), number(Number.NaN), number(-Infinity), create(ValueSchema)] },
    },
  }),
});
const foreign = payload({
  case: "message",
  value: { typeUrl: 'type.googleapis.com/no.such"Type', value: Uint8Array.of(1) },
});

function transportOf(task: Task, useBinaryFormat: boolean, interceptors = [jsonPayloads()]): Transport {
  return createRouterTransport(
    (router) => {
      router.service(AgentService, {
        getTask: () => ({ task }),
        listTasks: () => ({ tasks: [task] }),
        async *runTask() {
          yield { kind: { case: "result", value: { kind: { case: "snapshot", value: task } } } };
          yield create(RunTaskResponseSchema, {
            kind: {
              case: "result",
              value: { kind: { case: "output", value: { output: { kind: { case: "chunk", value: odd } } } } },
            },
          });
        },
      });
    },
    { router: { interceptors }, transport: { useBinaryFormat } },
  );
}

describe("payloads without a JSON form", () => {
  const task = create(TaskSchema, { taskId: "t", input: foreign, result: odd });

  test("fail a call over JSON without the interceptor", async () => {
    const failure = await failureOf(createClient(AgentService, transportOf(task, false, [])).getTask({}));
    expect(failure.code).toBe(Code.Internal);
  });

  test("are given one in unary answers, lists and streams over JSON, and the message stays as it was", async () => {
    const client = createClient(AgentService, transportOf(task, false));
    const wanted = {
      input: { bytes: { contentType: 'application/x-protobuf; messageType="no.suchType"', data: "AQ==" } },
      result: { json: [1, null, null, null] },
    };
    const shown = (found: Task | undefined): unknown => toJson(TaskSchema, found!);
    expect(shown((await client.getTask({})).task)).toMatchObject(wanted);
    expect(shown((await client.listTasks({})).tasks[0])).toMatchObject(wanted);
    const run = await Array.fromAsync(client.runTask({}), (message) => toJson(RunTaskResponseSchema, message));
    expect(run).toMatchObject([
      { result: { snapshot: wanted } },
      { result: { output: { output: { chunk: { json: [1, null, null, null] } } } } },
    ]);
    expect(task.input).toBe(foreign);
    expect(odd.kind).toMatchObject({
      value: { kind: { value: { values: [{}, { kind: { value: Number.NaN } }, {}, {}] } } },
    });
  });

  test("go out as they are over Protobuf", async () => {
    const client = createClient(AgentService, transportOf(task, true));
    expect((await client.getTask({})).task).toMatchObject({ input: { kind: { case: "message" } } });
  });
});
