// What the command says when something goes wrong, and with which exit code. One line, never a stack trace for a user's mistake.
import { CommanderError } from "commander";
import { MycelError, TaskFailedError } from "../sdk/client/index.ts";

/** Exit codes: success, a bad end or an RPC error, a mistake in the call, Ctrl-C. */
export const EXIT: { readonly ok: 0; readonly failed: 1; readonly usage: 2; readonly interrupted: 130 } = {
  ok: 0,
  failed: 1,
  usage: 2,
  interrupted: 130,
};

/** The call itself is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something that was to be found out or to succeed did not; everything was said already. */
export class Failed extends Error {
  override readonly name = "Failed";
}

/** How a failure ends the command. */
export interface Ending {
  readonly exitCode: number;
  /** The line for stderr; undefined when everything was said already. */
  readonly line?: string;
}

/** Judges what a command threw. */
export function endingOf(error: unknown): Ending {
  // Commander has printed its help or its complaint.
  if (error instanceof CommanderError) return { exitCode: error.exitCode === 0 ? EXIT.ok : EXIT.usage };
  if (error instanceof Failed)
    return error.message === "" ? { exitCode: EXIT.failed } : { exitCode: EXIT.failed, line: error.message };
  if (error instanceof UsageError) return { exitCode: EXIT.usage, line: error.message };
  if (error instanceof TaskFailedError) return { exitCode: EXIT.failed, line: error.message };
  if (error instanceof MycelError) {
    const usage = error.reason === "INVALID_OPTION" || error.code === "invalid_argument";
    return { exitCode: usage ? EXIT.usage : EXIT.failed, line: lineOf(error) };
  }
  return {
    exitCode: EXIT.failed,
    line: error instanceof Error ? `unexpected error: ${error.stack ?? error.message}` : String(error),
  };
}

/** One line for an error of the mesh, with what to do about it where that is known. */
export function lineOf(error: MycelError): string {
  if (error.violations.length > 1) {
    return error.violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  }
  if (error.reason === "CONNECTION_LOST") {
    return `${error.message}. Is a coordinator running? Start one with "mycel up", or name one with --url`;
  }
  if (error.code === "deadline_exceeded" && error.reason === undefined) return "the coordinator did not answer in time";
  return error.message;
}
