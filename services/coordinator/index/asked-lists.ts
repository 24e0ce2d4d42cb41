// Lists and counts as whoever holds the index answers them, asked over NATS. Knows nothing of where that is.

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { NatsConnection } from "@nats-io/nats-core";
import {
  type CountTasksRequest,
  CountTasksRequestSchema,
  type CountTasksResponse,
  CountTasksResponseSchema,
  type ListDeadLettersRequest,
  ListDeadLettersRequestSchema,
  type ListDeadLettersResponse,
  ListDeadLettersResponseSchema,
  type ListTasksRequest,
  ListTasksRequestSchema,
  type ListTasksResponse,
  ListTasksResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import {
  type GetMetricsRequest,
  GetMetricsRequestSchema,
  type GetMetricsResponse,
  GetMetricsResponseSchema,
} from "../../../gen/mycel/v1/metrics_service_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import { askHolder } from "../../../lib/nats/holder-requests.ts";
import { INDEX_QUESTIONS, type IndexVerb } from "../../../lib/nats/index-requests.ts";

/** Answers lists and counts, of the tasks in a scope, or of all. Every method throws INVALID_REQUEST and INDEX_UNAVAILABLE. */
export interface TaskLists {
  /** Lists tasks, newest first. */
  listTasks(tenant: string, request: ListTasksRequest, scope?: TaskScope): Promise<ListTasksResponse>;
  /** Counts tasks by state. */
  countTasks(tenant: string, request: CountTasksRequest, scope?: TaskScope): Promise<CountTasksResponse>;
  /** Lists dead letters, newest failure first. */
  listDeadLetters(tenant: string, request: ListDeadLettersRequest, scope?: TaskScope): Promise<ListDeadLettersResponse>;
  /** Tells what happened within a window. */
  getMetrics(tenant: string, request: GetMetricsRequest, scope?: TaskScope): Promise<GetMetricsResponse>;
}

/** Lists that are asked for. */
export function askedLists(connection: NatsConnection): TaskLists {
  const ask = async <Asked extends DescMessage, Answered extends DescMessage>(
    verb: IndexVerb,
    [asked, answered]: readonly [Asked, Answered],
    tenant: string,
    request: MessageShape<Asked>,
    scope: TaskScope | undefined,
  ): Promise<MessageShape<Answered>> =>
    fromBinary(
      answered,
      await askHolder(connection, INDEX_QUESTIONS, verb, { tenant, scope }, toBinary(asked, request)),
    );
  return {
    listTasks: (tenant, request, scope) =>
      ask("list_tasks", [ListTasksRequestSchema, ListTasksResponseSchema], tenant, request, scope),
    countTasks: (tenant, request, scope) =>
      ask("count_tasks", [CountTasksRequestSchema, CountTasksResponseSchema], tenant, request, scope),
    listDeadLetters: (tenant, request, scope) =>
      ask("list_dead_letters", [ListDeadLettersRequestSchema, ListDeadLettersResponseSchema], tenant, request, scope),
    getMetrics: (tenant, request, scope) =>
      ask("get_metrics", [GetMetricsRequestSchema, GetMetricsResponseSchema], tenant, request, scope),
  };
}
