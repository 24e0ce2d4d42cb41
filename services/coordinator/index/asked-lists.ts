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
import { askHolder } from "../../../lib/nats/holder-requests.ts";
import { INDEX_QUESTIONS, type IndexVerb } from "../../../lib/nats/index-requests.ts";

/** Answers lists and counts. Every method throws INVALID_REQUEST and INDEX_UNAVAILABLE. */
export interface TaskLists {
  /** Lists tasks, newest first. */
  listTasks(tenant: string, request: ListTasksRequest): Promise<ListTasksResponse>;
  /** Counts tasks by state. */
  countTasks(tenant: string, request: CountTasksRequest): Promise<CountTasksResponse>;
  /** Lists dead letters, newest failure first. */
  listDeadLetters(tenant: string, request: ListDeadLettersRequest): Promise<ListDeadLettersResponse>;
  /** Tells what happened within a window. */
  getMetrics(tenant: string, request: GetMetricsRequest): Promise<GetMetricsResponse>;
}

/** Lists that are asked for. */
export function askedLists(connection: NatsConnection): TaskLists {
  const ask = async <Asked extends DescMessage, Answered extends DescMessage>(
    verb: IndexVerb,
    [asked, answered]: readonly [Asked, Answered],
    tenant: string,
    request: MessageShape<Asked>,
  ): Promise<MessageShape<Answered>> =>
    fromBinary(answered, await askHolder(connection, INDEX_QUESTIONS, verb, tenant, toBinary(asked, request)));
  return {
    listTasks: (tenant, request) =>
      ask("list_tasks", [ListTasksRequestSchema, ListTasksResponseSchema], tenant, request),
    countTasks: (tenant, request) =>
      ask("count_tasks", [CountTasksRequestSchema, CountTasksResponseSchema], tenant, request),
    listDeadLetters: (tenant, request) =>
      ask("list_dead_letters", [ListDeadLettersRequestSchema, ListDeadLettersResponseSchema], tenant, request),
    getMetrics: (tenant, request) =>
      ask("get_metrics", [GetMetricsRequestSchema, GetMetricsResponseSchema], tenant, request),
  };
}
