// Owns the closed set of errors that the agent SDK raises: what a program switches on is the code, the message is one line for people.

/** What went wrong. From CANCELED on: the reason with which a handler's signal is aborted. */
export type AgentErrorCode =
  /** An option, name or returned value is outside what is allowed. */
  | "INVALID_OPTION"
  /** No coordinator answered in time. */
  | "COORDINATOR_UNREACHABLE"
  /** A coordinator answered, and refused the registration. */
  | "REGISTRATION_REFUSED"
  /** The NATS servers named by the coordinator could not be reached in time. */
  | "NATS_UNREACHABLE"
  /** A blob could not be stored or read, or its content does not match its checksum. */
  | "BLOB_UNAVAILABLE"
  /** The agent was told to stop before it had started. */
  | "ABORTED"
  /** The task was canceled or ended otherwise. */
  | "CANCELED"
  /** The attempt's lease is over: another agent may be at work on the task. */
  | "LEASE_LOST"
  /** The attempt ran longer than the task allows. */
  | "START_TO_CLOSE_TIMEOUT"
  /** The handler was silent for longer than the task allows. */
  | "HEARTBEAT_TIMEOUT"
  /** The agent shuts down. */
  | "DRAINING";

/** An error of the agent SDK. */
export class AgentError extends Error {
  override readonly name: string = "AgentError";
  /** What went wrong, for programs. */
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Checks a number against its range and returns it; throws INVALID_OPTION with option, value and range. */
export function inRange(option: string, value: number, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new AgentError("INVALID_OPTION", `${option} is ${String(value)}, must be from ${min} to ${max}`);
}

/** One line about anything that was thrown. */
export function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.split("\n", 1)[0] ?? "";
}

/** One line about a text that JSON.parse refused: its message quotes the text, which may hold line ends and escapes for terminals. */
export function jsonFault(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `is not JSON: ${message.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")}`;
}
