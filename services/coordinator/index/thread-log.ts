// Log lines on their way from a thread to the logger of the one that started it. Does not filter or format.

import { inspect } from "node:util";
import type { LogFields, Logger } from "../../../lib/core/logger.ts";

/** A line, as it can be sent between threads. */
export interface ThreadLogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: LogFields;
  readonly message: string;
}

/** An error, as it can be sent: what is sent as an error loses its name and its fields. */
interface SentError {
  readonly sentError: true;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly cause: unknown;
  readonly details: LogFields;
}

/** Deeper than any cause or field worth a line; also what ends a cycle. */
const MAX_DEPTH = 5;

/** A logger whose lines are sent. */
export function sendingLogger(send: (line: ThreadLogLine) => void, bindings: LogFields = {}): Logger {
  const at =
    (level: ThreadLogLine["level"]) =>
    (fields: LogFields, message: string): void => {
      const all = Object.entries({ ...bindings, ...fields });
      send({ level, fields: Object.fromEntries(all.map(([key, value]) => [key, sendable(value, 0)])), message });
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (more) => sendingLogger(send, { ...bindings, ...more }),
  };
}

/** Writes a line that was sent. */
export function writeSent(logger: Logger, { level, fields, message }: ThreadLogLine): void {
  const received = Object.entries(fields).map(([key, value]) => [key, restored(value)] as const);
  logger[level](Object.fromEntries(received), message);
}

function sendable(value: unknown, depth: number): unknown {
  if (typeof value === "function" || typeof value === "symbol") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > MAX_DEPTH) return "[deep]";
  if (value instanceof Error) return sentError(value, depth);
  if (Array.isArray(value)) return value.map((item) => sendable(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return inspect(value, { depth: 0 });
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sendable(item, depth + 1)]));
}

function sentError(error: Error, depth: number): SentError {
  const { name, message, stack, cause } = error;
  const own = Object.entries(error).filter(([key]) => key !== "cause" && key !== "name");
  const details = Object.fromEntries(own.map(([key, value]) => [key, sendable(value, depth + 1)]));
  return { sentError: true, name, message, stack, cause: sendable(cause, depth + 1), details };
}

function restored(value: unknown): unknown {
  if (!isSentError(value)) return value;
  const { name, message, stack, cause, details } = value;
  const error = new Error(message, cause === undefined ? {} : { cause: restored(cause) });
  return Object.assign(error, details, { name, stack });
}

function isSentError(value: unknown): value is SentError {
  return typeof value === "object" && value !== null && "sentError" in value;
}
