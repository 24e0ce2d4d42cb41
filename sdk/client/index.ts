// What users import as `mycel/client`. Only re-exports.
export { type MycelClient, type TaskCount, type WatchOptions, createClient } from "./client.ts";
export type { CallRetryOptions, ClientOptions, TransportKind } from "./client-options.ts";
export type { AccessOptions, ClientTlsOptions, TokenSource } from "../access/access-options.ts";
export type { BreakerChange, BreakerOptions, BreakerState } from "./resilience/breaker-options.ts";
export type { Breakers } from "./resilience/breakers.ts";
export type { AttemptLimits, CallOptions } from "./resilience/call-limits.ts";
export type { MeshCapability } from "./resilience/mesh-capabilities.ts";
export type { EndpointHealth, MeshHealth } from "./resilience/mesh-health.ts";
export type { BlobDownload, BlobSource, UploadOptions } from "./blobs.ts";
export type {
  ChunkEvent,
  EventBase,
  EventKind,
  LogEvent,
  OutputEventBase,
  ProgressEvent,
  SnapshotEvent,
  StateEvent,
  TaskEvent,
} from "./event.ts";
export type { FleetEvent } from "./fleet.ts";
export {
  type ErrorCode,
  MycelError,
  type MycelErrorOptions,
  TaskFailedError,
  type TaskFailureFacts,
  type Violation,
} from "./mycel-error.ts";
export type { CompletedTask, TaskOutcome, UnfinishedTask, WaitOptions } from "./outcome.ts";
export type { PriorityName, RetryOptions, TaskOptions, TaskSubmission, WebhookOptions } from "./submission.ts";
export type { SubmitManyOptions, SubmitResult, SubmittedTask } from "./submit.ts";
export type { SubmitAck } from "./submit-stream.ts";
export type { ListOptions, TaskFilterOptions } from "./task-filter.ts";
export type { TaskRun } from "./task-run.ts";
export type { TaskWatchEvent } from "./task-watch.ts";
export type { TaskState } from "../../lib/core/task-state.ts";
