// A logger that keeps what it is told, for tests that judge it.
import type { LogFields, Logger } from "../../lib/core/logger.ts";

/** A line. */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: LogFields;
  readonly message: string;
}

/** The logger, and what it was told. */
export interface LogLines {
  readonly logger: Logger;
  readonly all: readonly LogLine[];
  /** The lines with this message. */
  of(message: string): readonly LogLine[];
}

/** Makes one. */
export function logLines(): LogLines {
  const all: LogLine[] = [];
  const keep =
    (level: LogLine["level"]) =>
    (fields: LogFields, message: string): void =>
      void all.push({ level, fields, message });
  const logger: Logger = {
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
    child: () => logger,
  };
  return { logger, all, of: (message) => all.filter((line) => line.message === message) };
}
