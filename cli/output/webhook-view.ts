// Webhooks as a person wants to see them: endpoints and deliveries as tables, states in colour, attempts as lines.
import {
  type WebhookAttempt,
  type WebhookDelivery,
  WebhookDeliveryState,
  WebhookDisabledReason,
  type WebhookEndpoint,
  WebhookFailureReason,
} from "../../gen/mycel/v1/webhook_pb.ts";
import { msFromDuration } from "../../lib/wire/time-codec.ts";
import { formatDuration } from "../duration.ts";
import type { Column } from "./table.ts";
import { dateOf } from "./task-view.ts";
import { harmless, type Terminal } from "./terminal.ts";

// Ids are there to be copied: one that the mesh made is never cut.
const ID_WIDTH = 34;

/** The word for a delivery's state. */
export type DeliveryStateWord = "pending" | "delivered" | "failed";

/** The states of a delivery by their words. */
export const DELIVERY_STATES: Readonly<Record<DeliveryStateWord, WebhookDeliveryState>> = {
  pending: WebhookDeliveryState.PENDING,
  delivered: WebhookDeliveryState.DELIVERED,
  failed: WebhookDeliveryState.FAILED,
};

const WORDS: ReadonlyMap<WebhookDeliveryState, string> = new Map(
  Object.entries(DELIVERY_STATES).map(([word, state]) => [state, word]),
);

const FAILURES: ReadonlyMap<WebhookFailureReason, string> = new Map([
  [WebhookFailureReason.ATTEMPTS_SPENT, "attempts spent"],
  [WebhookFailureReason.ENDPOINT_GONE, "receiver gone"],
  [WebhookFailureReason.ENDPOINT_DISABLED, "endpoint disabled"],
  [WebhookFailureReason.ENDPOINT_DELETED, "endpoint deleted"],
]);

/** The columns of a table of endpoints. */
export function endpointColumns(out: Terminal): Column<WebhookEndpoint>[] {
  return [
    { head: "ENDPOINT", value: ({ endpointId }) => endpointId, minimum: 12 },
    { head: "URL", value: ({ url }) => url, minimum: 20 },
    {
      head: "STATE",
      value: endpointWord,
      paint: (text, { disabled }) => (disabled ? out.colors.yellow(text) : out.colors.green(text)),
    },
    { head: "CREATED", value: ({ createTime }) => out.time(dateOf(createTime)) },
    { head: "DESCRIPTION", value: ({ description }) => description, minimum: 11 },
  ];
}

/** The columns of a table of deliveries. */
export function deliveryColumns(out: Terminal): Column<WebhookDelivery>[] {
  return [
    { head: "DELIVERY", value: ({ deliveryId }) => deliveryId, minimum: ID_WIDTH },
    { head: "EVENT", value: ({ eventType }) => eventType, minimum: 14 },
    { head: "ENDPOINT", value: ({ endpointId }) => endpointId, minimum: 8 },
    { head: "STATE", value: deliveryStateWord, paint: (text, delivery) => paintDeliveryState(out, text, delivery) },
    { head: "TRIES", value: ({ attemptCount }) => String(attemptCount) },
    { head: "NEXT", value: ({ nextAttemptTime }) => out.time(dateOf(nextAttemptTime)) },
    { head: "CREATED", value: ({ createTime }) => out.time(dateOf(createTime)) },
  ];
}

function endpointWord({ disabled, disabledReason }: WebhookEndpoint): string {
  if (!disabled) return "enabled";
  return disabledReason === WebhookDisabledReason.GONE ? "disabled: gone" : "disabled";
}

/** The word for a delivery's state, with the reason if it failed. */
export function deliveryStateWord({ state, failureReason }: WebhookDelivery): string {
  const word = WORDS.get(state) ?? `state ${state}`;
  const failure = FAILURES.get(failureReason);
  return failure === undefined ? word : `${word}: ${failure}`;
}

/** A state's word in its colour. */
export function paintDeliveryState(out: Terminal, text: string, { state }: WebhookDelivery): string {
  if (state === WebhookDeliveryState.DELIVERED) return out.colors.green(text);
  return state === WebhookDeliveryState.FAILED ? out.colors.red(text) : out.colors.yellow(text);
}

/** An attempt on one line. */
export function attemptLine({ status, error, duration }: WebhookAttempt): string {
  const took = `in ${formatDuration(msFromDuration(duration) ?? 0)}`;
  const answer = status === 0 ? "no answer" : String(status);
  return harmless(error === "" ? `${answer} ${took}` : `${answer} ${took}: ${error}`);
}
