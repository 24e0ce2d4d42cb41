// The index of tasks as a coordinator sees it: its own while it holds the role, another coordinator's otherwise.

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
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { DirectReader } from "../../../lib/nats/direct-reader.ts";
import { answerAsHolder, type HolderCaller } from "../../../lib/nats/holder-requests.ts";
import { INDEX_QUESTIONS, type IndexVerb, indexUnavailable } from "../../../lib/nats/index-requests.ts";
import type { KnownWrites } from "../../../lib/nats/recent-writes.ts";
import { openRole, type Role } from "../../../lib/nats/role.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import { askedLists, type TaskLists } from "./asked-lists.ts";
import { Indexer } from "./indexer.ts";
import { openLostTimers } from "./lost-timers.ts";
import { getMetrics } from "./metric-query.ts";
import { openRetention } from "./retention.ts";
import { countTasks, listDeadLetters, listTasks } from "./task-queries.ts";

/** What the index needs. */
export interface TaskIndexOptions {
  readonly connection: NatsConnection;
  readonly reader: DirectReader;
  /** What this coordinator stores itself. */
  readonly recent?: KnownWrites | undefined;
  readonly log: TaskLog;
  readonly timers: Pick<Timers, "set">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The folder of the index's file; in memory if empty. */
  readonly dataDir: string;
  /** How this coordinator is called, for people. */
  readonly holderId: string;
  /** How long the log is kept, in milliseconds. */
  readonly retentionMs: number;
  /** Whether the end of a task with a webhook is not taken up for delivery yet. */
  readonly isHooked: (tenant: string, taskId: string) => Promise<boolean>;
  /** Ends an open task whose log is about to expire. */
  readonly expireTask: (tenant: string, taskId: string) => Promise<void>;
  /** How often to look for tasks to purge or end, in milliseconds. Default 5,000. */
  readonly retentionIntervalMs?: number;
}

/** Answers lists and counts. */
export interface TaskIndex extends TaskLists, AsyncDisposable {
  /** Whether this coordinator serves the index now. */
  readonly held: boolean;
  /** Resolves when it is known for the first time whether this coordinator holds the index and, if so, when it serves all. */
  settled(): Promise<void>;
}

/** Opens the index: applies for its role, and serves all coordinators while it holds it. */
export async function openTaskIndex(options: TaskIndexOptions): Promise<TaskIndex> {
  const index = new RoleIndex(options);
  await index.open();
  return index;
}

class RoleIndex implements TaskIndex {
  readonly #options: TaskIndexOptions;
  readonly #others: TaskLists;
  #role: Role | undefined;
  #term: Term | undefined;
  /** Terms follow one another: the file is one term's at a time. */
  #terms: Promise<void> = Promise.resolve();

  constructor(options: TaskIndexOptions) {
    this.#options = options;
    this.#others = askedLists(options.connection);
  }

  get held(): boolean {
    return this.#role?.held ?? false;
  }

  async settled(): Promise<void> {
    await this.#role?.looked;
    await this.#terms;
    await this.#term?.serving;
  }

  async open(): Promise<void> {
    const { connection, holderId, clock, logger } = this.#options;
    this.#role = await openRole({
      connection,
      name: "index",
      holderId,
      clock,
      onAcquired: () => this.#follow(() => this.#begin()),
      onLost: () => this.#follow(() => this.#end()),
      onTrouble: (err) => logger.debug({ err, role: "index" }, "role not renewed or applied for"),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#role?.[Symbol.asyncDispose]();
    await this.#terms;
  }

  async listTasks(tenant: string, request: ListTasksRequest, scope?: TaskScope): Promise<ListTasksResponse> {
    return (this.#term ?? this.#others).listTasks(tenant, request, scope);
  }

  async countTasks(tenant: string, request: CountTasksRequest, scope?: TaskScope): Promise<CountTasksResponse> {
    return (this.#term ?? this.#others).countTasks(tenant, request, scope);
  }

  async listDeadLetters(
    tenant: string,
    request: ListDeadLettersRequest,
    scope?: TaskScope,
  ): Promise<ListDeadLettersResponse> {
    return (this.#term ?? this.#others).listDeadLetters(tenant, request, scope);
  }

  async getMetrics(tenant: string, request: GetMetricsRequest, scope?: TaskScope): Promise<GetMetricsResponse> {
    return (this.#term ?? this.#others).getMetrics(tenant, request, scope);
  }

  #follow(step: () => void | Promise<void>): void {
    const before = this.#terms;
    this.#terms = (async () => {
      await before;
      try {
        await step();
      } catch (err) {
        this.#options.logger.error({ err }, "index not served");
      }
    })();
  }

  #begin(): void {
    this.#options.logger.info({ role: "index" }, "role acquired");
    this.#term = new Term(this.#options);
  }

  async #end(): Promise<void> {
    const term = this.#term;
    this.#term = undefined;
    await term?.[Symbol.asyncDispose]();
    this.#options.logger.info({ role: "index" }, "role laid down");
  }
}

/** One term of office: from the role's acquisition to its loss. */
class Term implements AsyncDisposable {
  readonly #options: TaskIndexOptions;
  readonly #indexer: Indexer;
  readonly #duties: Promise<AsyncDisposable[]>;

  constructor(options: TaskIndexOptions) {
    this.#options = options;
    this.#indexer = new Indexer(options);
    this.#duties = this.#takeUp();
  }

  /** Resolves when others are answered, or the term has ended before. */
  get serving(): Promise<unknown> {
    return this.#duties;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The duties may still wait for the indexer; they use its rows, so they end before the file is closed.
    const indexerStopped = this.#indexer.stop();
    for (const duty of await this.#duties) await duty[Symbol.asyncDispose]();
    await indexerStopped;
    await this.#indexer[Symbol.asyncDispose]();
  }

  listTasks(tenant: string, request: ListTasksRequest, scope?: TaskScope): ListTasksResponse {
    return listTasks(this.#indexer.database, tenant, request, { asOfMs: this.#asOfMs(), scope });
  }

  countTasks(tenant: string, request: CountTasksRequest, scope?: TaskScope): CountTasksResponse {
    return countTasks(this.#indexer.database, tenant, request, { asOfMs: this.#asOfMs(), scope });
  }

  listDeadLetters(tenant: string, request: ListDeadLettersRequest, scope?: TaskScope): ListDeadLettersResponse {
    return listDeadLetters(this.#indexer.database, tenant, request, { asOfMs: this.#asOfMs(), scope });
  }

  getMetrics(tenant: string, request: GetMetricsRequest, scope?: TaskScope): GetMetricsResponse {
    const { database, table } = this.#indexer;
    return getMetrics({ database, metrics: table.metrics }, tenant, request, { asOfMs: this.#asOfMs(), scope });
  }

  /** Serves others, keeps the log's retention and looks after timers, once the rows are worth it. */
  async #takeUp(): Promise<AsyncDisposable[]> {
    if (!(await this.#indexer.caughtUp)) return [];
    const { connection, reader, logger, log, timers, expireTask, isHooked, clock } = this.#options;
    const { retentionMs, retentionIntervalMs } = this.#options;
    logger.info({ position: this.#indexer.table.position().position }, "index caught up");
    const answers = answerAsHolder(
      connection,
      INDEX_QUESTIONS,
      (verb, caller, request) => this.#answer(verb, caller, request),
      (err) => logger.error({ err }, "index could not answer"),
    );
    const retention = openRetention({
      rows: this.#indexer,
      log,
      isHooked,
      expireTask,
      clock,
      logger,
      retentionMs,
      ...(retentionIntervalMs === undefined ? {} : { intervalMs: retentionIntervalMs }),
    });
    const lostTimers = openLostTimers({ rows: this.#indexer, log, reader, timers, clock, logger });
    return [answers, retention, lostTimers];
  }

  #answer(verb: IndexVerb, { tenant, scope }: HolderCaller, request: Uint8Array): Uint8Array {
    switch (verb) {
      case "list_tasks":
        return toBinary(
          ListTasksResponseSchema,
          this.listTasks(tenant, questionIn(ListTasksRequestSchema, request), scope),
        );
      case "count_tasks":
        return toBinary(
          CountTasksResponseSchema,
          this.countTasks(tenant, questionIn(CountTasksRequestSchema, request), scope),
        );
      case "list_dead_letters": {
        const response = this.listDeadLetters(tenant, questionIn(ListDeadLettersRequestSchema, request), scope);
        return toBinary(ListDeadLettersResponseSchema, response);
      }
      case "get_metrics": {
        const response = this.getMetrics(tenant, questionIn(GetMetricsRequestSchema, request), scope);
        return toBinary(GetMetricsResponseSchema, response);
      }
    }
  }

  #asOfMs(): number {
    const { asOfMs } = this.#indexer;
    if (asOfMs === undefined) throw indexUnavailable("the index is being built");
    return asOfMs;
  }
}

function questionIn<Desc extends DescMessage>(desc: Desc, request: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(desc, request);
  } catch (cause) {
    throw new MeshError("INVALID_REQUEST", `the question is no ${desc.typeName}`, { cause });
  }
}
