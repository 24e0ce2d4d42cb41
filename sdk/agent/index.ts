// The public surface of `mycel/agent`: define an agent, run it, and say how an attempt ended.
export type { AccessOptions, ClientTlsOptions, TokenSource } from "../access/access-options.ts";
export type { NatsTlsOptions } from "../../lib/nats/nats-tls.ts";
export type { BlobStream } from "./blobs.ts";
export { AgentError, type AgentErrorCode } from "./agent-error.ts";
export type { TaskContext } from "./context.ts";
export {
  type AgentDefinition,
  type AgentOptions,
  type Capability,
  capability,
  defineAgent,
  type Handler,
} from "./define.ts";
export type { RunAgentOptions } from "./options.ts";
export {
  complete,
  fail,
  type FailureFacts,
  type FailureOptions,
  type Outcome,
  retryAfter,
  RetryableError,
  snooze,
  TerminalError,
} from "./outcome.ts";
export type { LogLevelName } from "./output-codec.ts";
export { type AgentStats, runAgent, type RunningAgent } from "./run.ts";
export type { Ending } from "./settlement.ts";
export type { AgentTask } from "./task.ts";
export { typedCapability, type TypedCapability, type TypedContext } from "./typed-capability.ts";
export type { FieldViolation, PayloadReader } from "./typed-input.ts";
export type { WorkStats } from "./workshop.ts";
