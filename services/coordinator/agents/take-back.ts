// Gives the work of an agent that is shut out to others within seconds, instead of when its leases end. What the log says it runs is taken
// by compare-and-set. What it holds without a word is found by waiting: whoever else holds a delivery says so, or hands it back, sooner.

import { create } from "@bufbuild/protobuf";
import type { Agent } from "../../../gen/mycel/v1/agent_pb.ts";
import {
  ListTasksRequestSchema,
  type ListTasksResponse,
  type ListTasksRequest,
  TaskFilterSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { PRIORITIES } from "../../../lib/core/names.ts";
import { decideTakeBack } from "../../../lib/core/take-back.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { LaneDeliveries, LaneName, LaneWatch } from "../../../lib/nats/lane-deliveries.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { pause } from "../../../lib/time/pause.ts";
import { laneConsumer, parseTaskSubject } from "../../../lib/wire/subjects.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import type { Lifecycle } from "../tasks/lifecycle.ts";

/** What taking back needs. */
export interface TakeBackParts {
  readonly index: { listTasks(tenant: string, request: ListTasksRequest): Promise<ListTasksResponse> };
  readonly log: TaskLog;
  readonly lifecycle: Lifecycle;
  readonly lanes: LaneWatch;
  readonly logger: Logger;
}

/** When it is looked again for attempts that the index had not heard of, in milliseconds after the agent was shut out. */
const LOOKS_MS: readonly number[] = [0, 700, 2_500];

/**
 * After how long a delivery of which nobody has said anything is nobody else's, in milliseconds: agents report an attempt as running after
 * 20 ms, and hand back what does not start within a second, unless they are set otherwise.
 */
const SILENCE_MS = 2_000;

/** How many deliveries of a lane are looked at; the rest come with their leases. */
const MAX_DELIVERIES = 4_096;
const PAGE_SIZE = 200;
const MAX_CONFLICTS = 5;

/** Takes work back. */
export class TakeBack implements AsyncDisposable {
  readonly #parts: TakeBackParts;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(parts: TakeBackParts) {
    this.#parts = parts;
  }

  /** Begins to take back what an agent holds. Never throws: what fails comes by itself when the leases end. */
  begin(agent: Agent, from: AgentIdentity): void {
    const taken = Promise.all([this.#takeRunning(from), this.#takeSilent(agent, from)])
      .then(() => undefined)
      .catch((err: unknown) => {
        this.#parts.logger.warn(
          { err, agent_id: from.agentId },
          "work of an agent not taken back; its leases will end",
        );
      })
      .finally(() => this.#running.delete(taken));
    this.#running.add(taken);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running);
  }

  async #takeRunning(from: AgentIdentity): Promise<void> {
    const startMs = performance.now();
    for (const atMs of LOOKS_MS) {
      if (!(await pause(Math.max(0, atMs - (performance.now() - startMs)), this.#closing.signal))) return;
      const filter = create(TaskFilterSchema, { agentId: from.agentId, states: [TaskState.WORKING] });
      let pageToken = "";
      do {
        const request = create(ListTasksRequestSchema, { filter, pageSize: PAGE_SIZE, pageToken });
        const page = await this.#parts.index.listTasks(from.tenant, request);
        for (const { taskId } of page.tasks) await this.#take(from, taskId);
        pageToken = page.nextPageToken;
      } while (pageToken !== "" && !this.#closing.signal.aborted);
    }
  }

  async #take(from: AgentIdentity, taskId: string): Promise<void> {
    const { log, lifecycle, lanes, logger } = this.#parts;
    for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
      const record = await log.readLatest(from.tenant, taskId);
      const decision = record === undefined ? undefined : decideTakeBack(viewOf(record), from.agentId);
      if (record === undefined || decision?.kind !== "write") return;
      const moved = await lifecycle.move(record, decision.event, crypto.randomUUID());
      if (moved.kind === "conflict") continue;
      const { queue, priority, sequence } = record.dispatch;
      await lanes.offer({ consumer: laneConsumer(from.tenant, queue, priority) }, [sequence]);
      logger.info({ task_id: taskId, agent_id: from.agentId }, "attempt taken from an agent that was shut out");
      return;
    }
  }

  async #takeSilent(agent: Agent, from: AgentIdentity): Promise<void> {
    const named = await this.#lanesOf(agent, from);
    const looked = await Promise.all(named.map(async (lane) => ({ lane, before: await this.#parts.lanes.look(lane) })));
    if (!(await pause(SILENCE_MS, this.#closing.signal))) return;
    for (const { lane, before } of looked) {
      if (before !== undefined && before.pending > 0) await this.#offerSilent(lane, before, from);
    }
  }

  /** The lanes that an agent pulled from; all of its tenant's for one of which nothing is known any more, as its heartbeats had stopped. */
  async #lanesOf(agent: Agent, { tenant }: AgentIdentity): Promise<readonly LaneName[]> {
    if (agent.capabilities.length === 0) return await this.#parts.lanes.lanesOf(tenant);
    const queues = [...new Set(agent.capabilities.map(({ queue }) => queue))];
    return queues.flatMap((queue) =>
      PRIORITIES.map((priority) => ({ tenant, queue, priority, consumer: laneConsumer(tenant, queue, priority) })),
    );
  }

  /** Offers what a lane had delivered when the agent was shut out, and of which nothing has been said since. */
  async #offerSilent(lane: LaneName, before: LaneDeliveries, { tenant, agentId }: AgentIdentity): Promise<void> {
    const { lanes, log, logger } = this.#parts;
    const now = await lanes.look(lane);
    if (now === undefined || now.pending === 0) return;
    const silent: number[] = [];
    for await (const { subject, sequence } of lanes.delivered(lane, now, before.delivered, MAX_DELIVERIES)) {
      if (this.#closing.signal.aborted) return;
      const parsed = parseTaskSubject(subject);
      const record = parsed === undefined ? undefined : await log.read(tenant, parsed.taskId, sequence);
      if (record?.dispatch.sequence !== sequence) continue;
      if (decideTakeBack(viewOf(record), agentId).kind === "offer") silent.push(sequence);
    }
    await lanes.offer(lane, silent);
    if (silent.length > 0)
      logger.info({ lane: lane.consumer, deliveries: silent.length }, "silent deliveries offered again");
  }
}
