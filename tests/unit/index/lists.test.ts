import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  AgentService,
  CountTasksResponseSchema,
  ListDeadLettersResponseSchema,
  ListTasksResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { meshErrors } from "../../../services/coordinator/interceptors/mesh-errors.ts";
import { listRpcs, type ListRpcParts } from "../../../services/coordinator/rpc/lists.ts";
import { calledBy } from "../../support/principals.ts";

function client(index: Partial<ListRpcParts["index"]> = {}): ReturnType<typeof createClient<typeof AgentService>> {
  const full: ListRpcParts["index"] = {
    listTasks: async (tenant) => create(ListTasksResponseSchema, { tasks: [{ taskId: tenant }] }),
    countTasks: async () => create(CountTasksResponseSchema, { totalCount: 7n }),
    listDeadLetters: async () => create(ListDeadLettersResponseSchema, { nextPageToken: "more" }),
    ...index,
  };
  const transport = createRouterTransport(({ service }) => service(AgentService, listRpcs({ index: full })), {
    router: { interceptors: [calledBy(), meshErrors(() => undefined)] },
  });
  return createClient(AgentService, transport);
}

test("lists and counts are the index's, for the caller's tenant", async () => {
  expect((await client().listTasks({})).tasks[0]?.taskId).toBe("default");
  expect((await client().countTasks({})).totalCount).toBe(7n);
  expect((await client().listDeadLetters({})).nextPageToken).toBe("more");
});

test("a bad request is refused with its violations before the index is asked", async () => {
  const asked = (): never => {
    throw new Error("the index was asked");
  };
  const guarded = client({ listTasks: asked, countTasks: asked, listDeadLetters: asked });
  const filter = { types: ["no type"] };
  for (const call of [
    guarded.listTasks({ filter }),
    guarded.countTasks({ filter }),
    guarded.listDeadLetters({ filter: { states: [TaskState.WORKING] } }),
  ]) {
    const error = ConnectError.from(await call.catch((thrown: unknown) => thrown));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(readDetails(error).violations).toHaveLength(1);
  }
});

test("an index that can't be reached is UNAVAILABLE, with a time to try again", async () => {
  const down = client({
    listTasks: async () => {
      throw new MeshError("INDEX_UNAVAILABLE", "nobody serves the index", { retryDelayMs: 2_000 });
    },
  });
  const error = ConnectError.from(await down.listTasks({}).catch((thrown: unknown) => thrown));
  expect(error.code).toBe(Code.Unavailable);
  expect(readDetails(error)).toMatchObject({ reason: "INDEX_UNAVAILABLE", retryDelayMs: 2_000 });
});
