// The body of a webhook: an event of a task as JSON. Written once and then posted as it is, byte for byte, however often.

import { create, toJsonString } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import { TaskSchema } from "../../gen/mycel/v1/task_pb.ts";
import type { TaskEvent } from "../../gen/mycel/v1/task_log_pb.ts";
import { type WebhookEventData, WebhookEventDataSchema, WebhookEventSchema } from "../../gen/mycel/v1/webhook_pb.ts";
import type { TaskState } from "../core/task-state.ts";
import { eventTypeOf, MAX_WEBHOOK_RESULT_BYTES } from "../core/webhook-delivery.ts";
import { statusOf, type TaskRecord } from "./task-codec.ts";
import { timestampFromMs } from "./time-codec.ts";
import { valueFault, valueSize } from "./value-size.ts";

/** The type of the event by which an endpoint is tested. */
export const TEST_EVENT_TYPE = "webhook.test";

/** The body that tells of an event of a task, which need not be its last. */
export function webhookBody(
  record: TaskRecord,
  event: { readonly message: TaskEvent; readonly sequence: number },
  state: TaskState,
): string {
  const task = record.dispatch.message.task ?? create(TaskSchema);
  // The newest dispatch may be later than the event: it says nothing of the state then.
  const past = { ...record, dispatch: { ...record.dispatch, sequence: 0, queue: "" } };
  const data = create(WebhookEventDataSchema, {
    taskId: record.taskId,
    type: task.type,
    labels: task.labels,
    status: statusOf(past, event),
  });
  addResult(data, event.message.result);
  const { eventTime } = event.message;
  const body = create(WebhookEventSchema, {
    type: eventTypeOf(state),
    data,
    ...(eventTime && { timestamp: eventTime }),
  });
  return toJsonString(WebhookEventSchema, body);
}

/** The body of a test. */
export function testBody(atMs: number): string {
  const event = create(WebhookEventSchema, { type: TEST_EVENT_TYPE, timestamp: timestampFromMs(atMs), data: {} });
  return toJsonString(WebhookEventSchema, event);
}

function addResult(data: WebhookEventData, result: Payload | undefined): void {
  if (result?.kind.case === undefined) return;
  if (result.kind.case === "json" && isSmall(result.kind.value)) data.result = result.kind.value;
  else data.resultOmitted = true;
}

function isSmall(value: Value): boolean {
  // What has no JSON form would make no body at all.
  return valueFault(value) === undefined && valueSize(value) <= MAX_WEBHOOK_RESULT_BYTES;
}
