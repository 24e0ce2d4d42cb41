// What every command gets from main.ts: where to write, whom to ask, when to stop. Reads nothing from the process itself.
import type { ReadStream, WriteStream } from "node:tty";
import type { Command } from "commander";
import { type Logger, silentLogger } from "../lib/core/logger.ts";
import { createClientOver } from "../sdk/client/client.ts";
import type { ClientOptions, MycelClient } from "../sdk/client/index.ts";
import { accessOf } from "./access.ts";
import type { CallPrinter } from "./grpcurl/call-printer.ts";
import type { Terminal } from "./output/terminal.ts";

/** The terminal itself, for what takes the whole of it. */
export interface Screen {
  readonly input: ReadStream;
  readonly output: WriteStream;
}

/** The surroundings of a command. */
export interface CliContext {
  readonly out: Terminal;
  readonly err: Terminal;
  readonly stdin: AsyncIterable<Uint8Array | string>;
  /** Takes the terminal as a whole, before what draws on it is loaded. Unset where there is none. */
  readonly screen?: () => Screen;
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

/** What prints the calls of a command that is to make none; undefined if it is to make them. */
export function printerOf(command: Command): CallPrinter | undefined {
  return command.optsWithGlobals<{ grpcurl?: CallPrinter }>().grpcurl;
}

/**
 * A client for a command: a person waits, so it gives up sooner than a service would. With `--grpcurl` it prints its calls and makes none,
 * but for those of `health`, which the command has to print itself.
 */
export function openClient(command: Command, options: Omit<ClientOptions, "url" | "urls"> = {}): MycelClient {
  const printer = printerOf(command);
  const urls = urlsOf(command);
  const made = { urls, timeoutMs: 15_000, retry: { attempts: 3 }, ...options };
  if (printer === undefined) return createClientOver({ ...accessOf(command), ...made }, (transport) => transport);
  const [url = ""] = urls;
  return createClientOver({ ...made, gatherSubmissions: false }, () => printer.transport(url));
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

/** The text that ends a command's help: what it is like in practice. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}\n`;
}
