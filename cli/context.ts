// What every command gets from main.ts: where to write, whom to ask, when to stop. Reads nothing from the process itself.
import { type Command, InvalidArgumentError } from "commander";
import { type Logger, silentLogger } from "../lib/core/logger.ts";
import { type ClientOptions, type MycelClient, createClient } from "../sdk/client/index.ts";
import { parseDuration } from "./duration.ts";
import type { Terminal } from "./output/terminal.ts";

/** The surroundings of a command. */
export interface CliContext {
  readonly out: Terminal;
  readonly err: Terminal;
  readonly stdin: AsyncIterable<Uint8Array | string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** The coordinators that a command talks to. */
export function urlsOf(command: Command): string[] {
  const { url = "" } = command.optsWithGlobals<{ url?: string }>();
  return url
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

/** A client for a command: a person waits, so it gives up sooner than a service would. */
export function openClient(command: Command, options: Omit<ClientOptions, "url" | "urls"> = {}): MycelClient {
  return createClient({ urls: urlsOf(command), timeoutMs: 15_000, maximumTries: 3, ...options });
}

/** Tells a person that a stream broke and is being resumed, once for each break, so that silence is not taken for a hang. */
export function noticeBreaks({ err }: CliContext): Logger {
  if (!err.isTerminal) return silentLogger;
  const notices: Logger = {
    ...silentLogger,
    info(fields, message) {
      if (fields["failures"] === 1) void err.line(err.colors.dim(`connection lost: ${message}`));
    },
    child: () => notices,
  };
  return notices;
}

/** Parses an option that is a duration. */
export function durationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Write a duration like 500ms, 5s, 2m, 1h or 1d.");
  return ms;
}

/** Parses an option that is a whole number of at least 1. */
export function countOption(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Write a whole number of at least 1.");
  return Number(text);
}

/** Parses a repeatable option of the form `key=value`. */
export function labelOption(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write a label like team=search.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Parses a repeatable option that takes any text. */
export function repeatedOption(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Parses a repeatable option that takes comma-separated words of a closed set. */
export function wordsOption<Word extends string>(
  allowed: readonly Word[],
): (text: string, before?: readonly Word[]) => readonly Word[] {
  return (text, before = []) => [
    ...before,
    ...text.split(",").map((word) => {
      const found = allowed.find((one) => one === word.trim().replaceAll("-", "_"));
      if (found === undefined) throw new InvalidArgumentError(`Choose from ${allowed.join(", ")}.`);
      return found;
    }),
  ];
}

/** The text that ends a command's help: what it is like in practice. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}\n`;
}
