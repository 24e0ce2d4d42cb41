// Owns what every layer knows about logging: the shape of a logger. Must not format, filter or write anything;
// lib/telemetry/logging.ts makes the real one and main.ts hands it down.

/** Fields of one log line. Keys are snake_case; durations carry their unit (`wait_ms`); an error goes under `err`. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes structured log lines. The outermost loop logs an error once; code below it throws or returns instead.
 * Messages are short, constant phrases: what varies belongs in the fields.
 */
export interface Logger {
  /** Detail for someone who is looking for a fault; off by default. */
  debug(fields: LogFields, message: string): void;
  /** A change an operator wants to see: started, connected, drained. */
  info(fields: LogFields, message: string): void;
  /** Something went wrong and was handled. */
  warn(fields: LogFields, message: string): void;
  /** Something went wrong and somebody has to act. */
  error(fields: LogFields, message: string): void;
  /** Returns a logger that adds `bindings` to each of its lines, e.g. `{ task_id, attempt, agent_id }`. */
  child(bindings: LogFields): Logger;
}

/** A logger that drops every line: the default wherever a logger is an option. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child(): Logger {
    return silentLogger;
  },
};
