// What may name a task, an agent, a type, a queue, a tenant. Each is one token of a NATS subject, hence the alphabet.

/** The alphabet of every name, as a sentence for error texts. */
export const NAME_ALPHABET = "A-Z a-z 0-9 _ -";

/** The longest task id, in characters. */
export const MAX_TASK_ID_LENGTH = 100;

/** The longest name of an agent, type, queue or tenant, in characters. */
export const MAX_NAME_LENGTH = 64;

const TOKEN = /^[A-Za-z0-9_-]+$/;

/** Whether a text may stand as one token of a subject. */
export function isName(text: string, maxLength: number = MAX_NAME_LENGTH): boolean {
  return text.length > 0 && text.length <= maxLength && TOKEN.test(text);
}

/** The priorities as they stand in subjects, highest first. */
export const PRIORITIES: readonly number[] = [15, 10, 5, 1];

/** The only tenant of a mesh without authentication. */
export const DEFAULT_TENANT = "default";

/** The queue in which delayed tasks wait; only coordinators pull from it, and no submission may name it. */
export const DELAYED_QUEUE = "_delayed";

/**
 * Where the dispatch of a task goes that ended before any agent got it. Nobody pulls from it; it keeps the task's definition and makes
 * a repeated submission recognisable after the work item itself was withdrawn.
 */
export const WITHDRAWN_QUEUE = "_withdrawn";

/** Whether only the mesh itself may use a queue. */
export function isSystemQueue(queue: string): boolean {
  return queue === DELAYED_QUEUE || queue === WITHDRAWN_QUEUE;
}
