// Owns the log of an agent that was given no logger: warnings and errors as single lines on stderr, never a stack trace.
import type { LogFields, Logger } from "../../lib/core/logger.ts";
import { lineOf } from "./agent-error.ts";

/** A logger that writes warnings and errors to stderr. */
export function consoleLogger(bindings: LogFields = {}): Logger {
  const write = (level: string, fields: LogFields, message: string): void => {
    const all = Object.entries({ ...bindings, ...fields });
    const shown = all
      .map(([key, value]) => `${key}=${value instanceof Error ? lineOf(value) : String(value)}`)
      .join(" ");
    process.stderr.write(`mycel agent: ${level}: ${message}${shown === "" ? "" : ` (${shown})`}\n`);
  };
  return {
    debug() {},
    info() {},
    warn: (fields, message) => write("warn", fields, message),
    error: (fields, message) => write("error", fields, message),
    child: (more) => consoleLogger({ ...bindings, ...more }),
  };
}
