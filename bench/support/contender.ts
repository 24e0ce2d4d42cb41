// What is measured, as the scenarios see it: the mesh, the floor under it, and the systems that people would otherwise use.
//
// Everyone has the same layout: the submitter is the benchmark's own process, one worker process whose handler does nothing, one store.

import type { UnaryCall } from "./grpc-caller.ts";
import type { TrackedTasks } from "./task-tracker.ts";

/** How much may be lost when the power goes: about a second, or nothing. */
export type Durability = "second" | "always";

/** Where tasks wait: a queue that the worker serves, or one that nobody does. */
export type QueueName = "served" | "parked";

/** How a contender is started. */
export interface ContenderOptions {
  /** The environment for its processes, without settings of Mycel and OpenTelemetry. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * NATS: `sync_interval` 1s or always; Redis: `appendfsync` everysec or always; PostgreSQL: `synchronous_commit` off or on, with `fsync`
   * on in both.
   */
  readonly durability: Durability;
  /** A folder for CPU profiles of its own processes. None are taken if undefined. */
  readonly profileDir?: string | undefined;
}

/**
 * One system under measurement. Task ids are `<prefix>-<number>`, each used once. Inputs are a text of so many bytes, as the system's
 * users would send it; every submission resolves when the store has acknowledged it, and rejects when it has not. What a system cannot
 * do, or cannot do in its users' way, is left out: a scenario runs on the contenders that can. Disposing it ends all its processes and
 * removes its data; it may be called twice.
 */
export interface Contender extends AsyncDisposable {
  /** Names it in options and in the JSON: the name of its folder. */
  readonly id: string;
  /** Name, versions and durability setting, as the report prints them: `BullMQ 5.1.0 on Redis 8.0.2, appendfsync everysec`. */
  readonly title: string;
  /** Its processes by role: `client` (this one), `server` (coordinator, reporter, echo), `worker`, `store`. */
  readonly pids: Readonly<Record<string, number>>;
  /** Rejects with BenchError when one of its processes ends unasked. Nobody need listen. */
  readonly failed: Promise<never>;
  /** Watches the tasks of a prefix end, from now on; asked before the first of them is submitted. */
  track(prefix: string): TrackedTasks;
  /** Resolves when nothing of what was asked is still being done, so that the next has the machine to itself. */
  settle(): Promise<void>;
  /** Submits up to 1,000 tasks to the served queue in one request. */
  submitBulk?(ids: readonly string[], inputBytes: number): Promise<void>;
  /** Submits tasks to the served queue as they come, at most {@link STREAM_WINDOW} unanswered. */
  submitStream?(ids: AsyncIterable<string>, inputBytes: number): Promise<void>;
  /** Submits one task. */
  submitOne?(id: string, queue: QueueName, inputBytes: number): Promise<void>;
  /** Submits one task to the served queue; gives the milliseconds from its submission until its end is known to the caller. */
  runOne?(id: string, inputBytes: number): Promise<number>;
  /** Asks for nothing and gets an answer. */
  emptyCall?(): Promise<void>;
  /** Its unary calls, for a load from outside. */
  readonly unaryCalls?: UnaryCalls;
  /** How many messages the log of tasks holds, where the system keeps a log. */
  storedMessages?(): Promise<number>;
}

/** What a server of unary gRPC calls can be asked by anybody. */
export interface UnaryCalls {
  /** Asks for nothing. */
  readonly empty: UnaryCall;
  /** Submits one task to the parked queue, with an id that the server makes. */
  readonly submission?: (inputBytes: number) => UnaryCall;
}

/** How the registry knows a contender before it runs. */
export interface ContenderKind {
  readonly id: string;
  /** What the machine lacks for it, as one line with what to install; undefined if nothing. */
  readonly lacking: () => Promise<string | undefined>;
  /** Starts it. Rejects with BenchError; then nothing of it is left. */
  readonly open: (options: ContenderOptions) => Promise<Contender>;
}

/** The most unanswered submissions of a stream. */
export const STREAM_WINDOW = 1_024;
/** How many tasks a worker runs at once, unless its makers recommend another number. */
export const WORKER_CONCURRENCY = 256;
/** The queues' names. */
export const QUEUES: Readonly<Record<QueueName, string>> = { served: "bench", parked: "parked" };
/** The tenant, where there are tenants. */
export const TENANT = "default";
/** All durabilities. */
export const DURABILITIES: readonly Durability[] = ["second", "always"];
