// What is measured, as the scenarios see it: the mesh, or the floor that does the same to JetStream without RPC and logic.

import type { Completions } from "./completions.ts";

/** Which of the two. */
export type SideName = "mesh" | "floor";

/** Where tasks wait: a queue that the worker serves, or one that nobody does. */
export type QueueName = "served" | "parked";

/** One of the two systems. Ids of tasks are `<prefix>-<number>`, each used once. */
export interface Side {
  readonly name: SideName;
  readonly completions: Completions;
  /** The processes, by what they do. */
  readonly pids: Readonly<Record<string, number>>;
  /** Submits up to 1,000 tasks, all or none; resolves when they are stored. */
  submitBulk(ids: readonly string[]): Promise<void>;
  /** Submits tasks as they come, at most 1,024 unanswered; resolves when all are stored. */
  submitStream(ids: AsyncIterable<string>): Promise<void>;
  /** Submits one task; resolves when it is stored. */
  submitOne(id: string, queue: QueueName): Promise<void>;
  /** Submits one task and resolves, with the milliseconds that it took, when its end is known here. */
  runOne(id: string): Promise<number>;
  /** Asks for nothing and gets an answer. */
  emptyCall(): Promise<void>;
  /** How many messages the stream of tasks holds. */
  storedMessages(): Promise<number>;
  /** Resolves when nothing of what was asked is still being done, so that the other side has the machine to itself. */
  settle(): Promise<void>;
}

/** What the tasks' input is: a JSON text of so many bytes. */
export const INPUT_BYTES = 200;
/** The most unanswered submissions of a stream, on both sides. */
export const STREAM_WINDOW = 1_024;
/** How many attempts the worker runs at once, on both sides. */
export const WORKER_CONCURRENCY = 256;
/** The queues' names. */
export const QUEUES: Readonly<Record<QueueName, string>> = { served: "bench", parked: "parked" };
/** The tenant. */
export const TENANT = "default";
