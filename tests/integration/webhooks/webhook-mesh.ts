// Webhooks on a real nats-server, without the rest of a coordinator: tasks and their events are written by the test, and time passes when it
// says so.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Payload } from "../../../gen/mycel/v1/payload_pb.ts";
import { TaskSchema, TaskWebhookSchema } from "../../../gen/mycel/v1/task_pb.ts";
import {
  CreateWebhookEndpointRequestSchema,
  ListWebhookDeliveriesRequestSchema,
} from "../../../gen/mycel/v1/webhook_service_pb.ts";
import type { WebhookDelivery, WebhookEndpoint } from "../../../gen/mycel/v1/webhook_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { EventDraft } from "../../../lib/core/event.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { EventReader } from "../../../lib/nats/event-reader.ts";
import { WebhookDeliveries } from "../../../lib/nats/webhook-deliveries.ts";
import { WebhookEndpoints } from "../../../lib/nats/webhook-endpoints.ts";
import { WebhookHooks } from "../../../lib/nats/webhook-hooks.ts";
import { createOutbound } from "../../../lib/outbound/outbound.ts";
import type { Lookup } from "../../../lib/outbound/resolve.ts";
import { encodeDispatch } from "../../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { openDuty } from "../../../services/coordinator/webhooks/duty.ts";
import { post } from "../../../services/coordinator/webhooks/posting.ts";
import { openWebhooks, type Webhooks } from "../../../services/coordinator/webhooks/webhooks.ts";
import { type MeshLog, openMeshLog, TENANT } from "../../support/mesh-log.ts";
import { openWebhookReceiver, type WebhookReceiver } from "../../support/webhook-receiver.ts";

/** What a submission says of its webhook. */
type Webhook = MessageInitShape<typeof TaskWebhookSchema>;

/** A task with a webhook, written step by step. */
export interface HookedTask {
  readonly taskId: string;
  /** Writes an event; returns its sequence. */
  event(state: EventDraft["state"], result?: Payload): Promise<number>;
}

/** A mesh with webhooks and one receiver. */
export interface WebhookMesh extends AsyncDisposable {
  readonly log: MeshLog;
  readonly receiver: WebhookReceiver;
  /** The time of webhooks, in milliseconds since 1970. */
  now(): number;
  /** Lets time pass. */
  advance(ms: number): void;
  /** Another coordinator; gone at the end at the latest. */
  openCoordinator(): Promise<Webhooks>;
  /** One more who believes to have the duty, whoever has it. */
  openDuty(): AsyncDisposable;
  /** Makes an endpoint that leads to the receiver, which verifies with its secret from then on. */
  endpoint(webhooks: Webhooks, endpointId?: string): Promise<{ endpoint: WebhookEndpoint; secret: string }>;
  /** Accepts a task as a coordinator does: its hook first, then its submission. */
  submit(webhooks: Webhooks, taskId: string, webhook: Webhook): Promise<HookedTask>;
  /** Stores the submission of a task alone. */
  store(
    taskId: string,
    webhook: Webhook | undefined,
    change?: { labels?: Record<string, string> },
  ): Promise<HookedTask>;
  /** All deliveries, newest first. */
  deliveries(webhooks: Webhooks): Promise<readonly WebhookDelivery[]>;
}

/** The policy of these tests: short, so that little time need pass. */
const POLICY = { delaysMs: [5_000, 60_000], maxRetryAfterMs: 3_600_000 };

/** Opens a mesh. `lookup` finds the addresses of names. */
export async function openWebhookMesh({ lookup }: { readonly lookup?: Lookup } = {}): Promise<WebhookMesh> {
  const stack = new AsyncDisposableStack();
  let aheadMs = 0;
  const clock: Clock = { now: () => Date.now() + aheadMs, monotonicMs: () => performance.now() };
  const log = stack.use(await openMeshLog());
  const receiver = stack.use(await openWebhookReceiver({ now: () => clock.now() }));
  const { connection, manager, publisher, reader, taskLog } = log;
  let holders = 0;
  const store: WebhookMesh["store"] = async (taskId, webhook, { labels = {} } = {}) => {
    const hook = webhook === undefined ? {} : { webhook: create(TaskWebhookSchema, webhook) };
    const task = create(TaskSchema, {
      taskId,
      type: "echo",
      createTime: timestampFromMs(clock.now()),
      labels,
      ...hook,
    });
    const written = await taskLog.dispatch(
      {
        tenant: TENANT,
        taskId,
        queue: "echo",
        priority: 5,
        body: encodeDispatch({ task, attempt: 1, fence: 0n }),
        trace: { traceparent: "", tracestate: "" },
      },
      0,
    );
    if (written.kind !== "stored") throw new Error("the task stands already");
    let last = 0;
    return {
      taskId,
      event: async (state, result) => {
        const draft: EventDraft = {
          state,
          attempt: 1,
          nextAttempt: 0,
          agentId: "agent",
          attemptStartMs: undefined,
          nextAttemptMs: undefined,
          failure: undefined,
          cancelReason: "",
          ended: undefined,
          dispatchSequence: written.sequence,
          deliveries: 1,
        };
        const context = { eventMs: clock.now(), operationId: crypto.randomUUID(), outputSequence: 0, result };
        const outcome = await taskLog.append({ tenant: TENANT, taskId }, draft, context, last);
        if (outcome.kind !== "stored") throw new Error("somebody else wrote an event");
        last = outcome.sequence;
        return last;
      },
    };
  };
  const outbound = createOutbound({ allowPrivate: ["127.0.0.1"], ...(lookup === undefined ? {} : { lookup }) });
  const duty = {
    connection,
    manager,
    publisher,
    reader,
    taskLog,
    eventReader: new EventReader({ connection, reader }),
    clock,
    random: () => 0.5,
    logger: silentLogger,
    policy: POLICY,
  };
  return {
    log,
    receiver,
    now: () => clock.now(),
    advance: (ms) => {
      aheadMs += ms;
    },
    openCoordinator: async () => {
      holders += 1;
      return stack.use(
        await openWebhooks({
          ...duty,
          outbound,
          randomId: () => crypto.randomUUID().slice(0, 8),
          holderId: `holder-${holders}`,
        }),
      );
    },
    openDuty: () =>
      openDuty({
        ...duty,
        endpoints: new WebhookEndpoints(duty),
        hooks: new WebhookHooks(duty),
        deliveries: new WebhookDeliveries(duty),
        post: (endpoint, posting, signal) => post({ outbound, clock }, endpoint, posting, signal),
      }),
    endpoint: async (webhooks, endpointId = "main") => {
      const request = create(CreateWebhookEndpointRequestSchema, { endpointId, url: receiver.url });
      const made = await webhooks.desk.create(TENANT, request);
      receiver.secrets = [...receiver.secrets, made.secret];
      return made;
    },
    submit: async (webhooks, taskId, webhook) => {
      await webhooks.hook(TENANT, taskId, create(TaskWebhookSchema, webhook));
      return await store(taskId, webhook);
    },
    store,
    deliveries: async (webhooks) =>
      (await webhooks.list(TENANT, create(ListWebhookDeliveriesRequestSchema))).deliveries,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
