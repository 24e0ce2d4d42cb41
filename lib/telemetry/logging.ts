// Owns what a log line of a Mycel process looks like: JSON by pino, joined to the active span, secrets removed.
// Imported by main.ts files only; other code takes the Logger of lib/core/logger.ts.
import { trace } from "@opentelemetry/api";
import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";
import pretty from "pino-pretty";
import type { LogFields, Logger } from "../core/logger.ts";
import { withoutCredentials } from "../secrets/redactor.ts";

/** Levels from most to least talkative; `silent` writes nothing. */
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** One of LOG_LEVELS. */
type LogLevel = (typeof LOG_LEVELS)[number];

/** What {@link createLogger} needs. */
export interface LoggerOptions {
  /** Name of the process in each line, e.g. `coordinator`. */
  readonly name: string;
  /** Least severe level that is written, e.g. from MYCEL_LOG_LEVEL. Case does not matter. Default `info`. */
  readonly level?: string | undefined;
  /** Human-readable lines instead of JSON. Default: true when stdout is a terminal and no destination is given. */
  readonly pretty?: boolean | undefined;
  /** Where lines go. Default: stdout, written synchronously so that the last line before an exit is not lost. */
  readonly destination?: DestinationStream | undefined;
  /** Takes secrets out of each line, whatever key they stand under. Default: out of URLs alone. */
  readonly clean?: ((line: string) => string) | undefined;
}

// Compared without case, dashes and underscores, at any depth: paths would miss what nobody foresaw.
const SECRET_KEYS: ReadonlySet<string> = new Set([
  "authorization",
  "proxyauthorization",
  "cookie",
  "setcookie",
  "password",
  "passwd",
  "passphrase",
  "secret",
  "clientsecret",
  "token",
  "accesstoken",
  "refreshtoken",
  "idtoken",
  "authtoken",
  "bearer",
  "apikey",
  "xapikey",
  "privatekey",
  "signingkey",
  "seed",
  "nkey",
  "jwt",
  "creds",
  "credentials",
  "secretid",
  "vaulttoken",
  "xvaulttoken",
  "streamtoken",
]);
const REDACTED = "[redacted]";
// Deeper than any object worth logging; also what ends a cycle.
const MAX_DEPTH = 6;

/**
 * Creates the process's logger. Each line inside an active span carries `trace_id` and `span_id`; values under keys
 * that name secrets (authorization, token, password, secret, api_key, creds, …) read `[redacted]`, and so do user names and passwords in
 * URLs, and what `clean` knows.
 * Throws a RangeError naming the allowed levels when `level` is not one of them.
 */
export function createLogger(options: LoggerOptions): Logger {
  const level = parseLogLevel(options.level ?? "info");
  const asText = options.pretty ?? (options.destination === undefined && process.stdout.isTTY);
  const { clean = withoutCredentials } = options;
  const lines = pino(
    {
      name: options.name,
      // The whole line: messages and stacks of errors hold what no key tells.
      hooks: { streamWrite: clean },
      level,
      timestamp: stdTimeFunctions.isoTime,
      mixin: spanIds,
      // Replaces pino's default only in hiding secrets: `err` keeps its type, message and stack.
      formatters: { level: (label) => ({ level: label }), log: hideSecrets },
    },
    destinationOf(asText, options.destination),
  );
  return loggerOver(lines);
}

// pino formats the bindings of the root logger only, so those of children are cleaned before it gets them.
function loggerOver(lines: PinoLogger): Logger {
  return {
    debug: (fields, message) => lines.debug(fields, message),
    info: (fields, message) => lines.info(fields, message),
    warn: (fields, message) => lines.warn(fields, message),
    error: (fields, message) => lines.error(fields, message),
    child: (bindings) => loggerOver(lines.child(hideSecrets(bindings))),
  };
}

/** Returns the level that `text` names. Throws a RangeError that lists the allowed ones. */
function parseLogLevel(text: string): LogLevel {
  const wanted = text.trim().toLowerCase();
  const level = LOG_LEVELS.find((known) => known === wanted);
  if (level === undefined) {
    throw new RangeError(`log level must be one of ${LOG_LEVELS.join(", ")}, not "${text.slice(0, 40)}"`);
  }
  return level;
}

// A worker-thread transport would lose the last lines of a process that ends in a hurry, and costs a thread.
function destinationOf(asText: boolean, destination: DestinationStream | undefined): DestinationStream {
  if (!asText) return destination ?? pino.destination({ dest: 1, sync: true });
  const shared = { translateTime: "HH:MM:ss.l", ignore: "pid,hostname", singleLine: true } as const;
  if (destination === undefined) return pretty({ ...shared, destination: 1, sync: true });
  const format = pretty.prettyFactory({ ...shared, colorize: false });
  return { write: (line) => destination.write(format(line)) };
}

function spanIds(): object {
  const active = trace.getActiveSpan()?.spanContext();
  return active === undefined ? {} : { trace_id: active.traceId, span_id: active.spanId };
}

function hideSecrets(fields: LogFields): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) shown[key] = isSecretKey(key) ? REDACTED : cleaned(value, 1);
  return shown;
}

// Plain objects and arrays are copied; anything with a class of its own (errors, dates, buffers) is left to pino.
function cleaned(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return depth < MAX_DEPTH ? value.map((item) => cleaned(item, depth + 1)) : "[deep]";
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  if (depth >= MAX_DEPTH) return "[deep]";
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, isSecretKey(key) ? REDACTED : cleaned(item, depth + 1)]),
  );
}

function isSecretKey(key: string): boolean {
  return SECRET_KEYS.has(key.toLowerCase().replaceAll(/[-_.\s]/g, ""));
}
