// A delivery of a webhook as the rules see it: its name, its bounds, and how many may be posted at once.

import type { TaskState } from "./task-state.ts";
import { isTerminal } from "./task-state.ts";

/** How many attempts of a delivery are kept. */
export const MAX_KEPT_ATTEMPTS = 20;

/** The longest name of a delivery, in characters: the longest task id, a sequence, and what stands around them. */
export const MAX_DELIVERY_ID_LENGTH = 128;

/** How many former secrets of an endpoint may sign beside the one in force. */
export const MAX_FORMER_SECRETS = 4;

/** The most endpoints of a tenant. */
export const MAX_WEBHOOK_ENDPOINTS = 1_000;

/** The longest URL of an endpoint, in characters. */
export const MAX_WEBHOOK_URL_LENGTH = 2_048;

/** The longest description of an endpoint, in characters. */
export const MAX_WEBHOOK_DESCRIPTION_LENGTH = 256;

/** How long a former secret goes on signing unless somebody says otherwise, in milliseconds. */
export const DEFAULT_SECRET_OVERLAP_MS = 86_400_000;

/** How long a former secret may go on signing, in milliseconds. */
export const MAX_SECRET_OVERLAP_MS: number = 7 * 86_400_000;

/** How long a delivery is kept after its last change, in milliseconds. */
export const WEBHOOK_DELIVERY_TTL_MS: number = 7 * 86_400_000;

/** The largest result that travels with a webhook, in bytes of its encoding. */
export const MAX_WEBHOOK_RESULT_BYTES: number = 64 * 1024;

/**
 * The name of the delivery of one event of a task: always the same, so that receivers can tell a repetition. It has no dots, which delimit
 * what is signed.
 */
export function deliveryIdOf(taskId: string, eventSequence: number): string {
  return `msg_${taskId}_${eventSequence}`;
}

/** What a delivery's body calls an event. */
export function eventTypeOf(state: TaskState): string {
  return `task.${state}`;
}

/** Whether an event of a task is to be delivered. */
export function isDelivering(state: TaskState, allStates: boolean): boolean {
  return allStates || isTerminal(state);
}

/** How many deliveries are posted at once. */
export interface PostingLimits {
  /** In all. */
  readonly total: number;
  /** To one endpoint. */
  readonly perEndpoint: number;
  /** To one endpoint whose last attempt failed: a receiver that is down gets its deliveries one by one, and holds up nobody else's. */
  readonly perFailingEndpoint: number;
}

/** What one coordinator does. */
export const POSTING_LIMITS: PostingLimits = { total: 128, perEndpoint: 16, perFailingEndpoint: 1 };

/** How many more deliveries may be posted to an endpoint now. */
export function freeSlots(
  limits: PostingLimits,
  now: { readonly total: number; readonly toEndpoint: number; readonly failing: boolean },
): number {
  const most = now.failing ? limits.perFailingEndpoint : limits.perEndpoint;
  return Math.max(0, Math.min(limits.total - now.total, most - now.toEndpoint));
}

/** How long a hook is kept whose task does not ask for it, or is not there, in milliseconds: longer than any submission can be under way. */
export const STRAY_HOOK_MS = 60_000;
