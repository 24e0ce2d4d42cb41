// The `echo` capability: gives back its message, once or as a stream of outputs. Pure but for the wait between outputs.
import { setTimeout as sleep } from "node:timers/promises";
import {
  type FieldViolation,
  type InputReading,
  isRecord,
  unknownFields,
  wholeNumberViolation,
} from "./field-violation.ts";

/** Longest message, in UTF-16 code units: leaves room for its envelope within the mesh's inline limit of 256 KiB. */
const MAX_ECHO_MESSAGE_LENGTH = 65_536;
/** Most outputs that one echo task streams. */
const MAX_ECHO_REPEAT = 1_000;
/** Longest wait before each output. */
const MAX_ECHO_DELAY_MS = 60_000;

/** What an echo task asks for. */
export interface EchoInput {
  /** Given back as it is; at most 65,536 characters, may be empty. */
  readonly message: string;
  /** How many outputs to stream, 1–1,000. */
  readonly repeat: number;
  /** Wait before each output, 0–60,000 ms. */
  readonly delayMs: number;
}

/** One output of an echo task. */
export interface EchoOutput {
  readonly message: string;
  /** Number of this output, from 1 to `repeat`. */
  readonly index: number;
}

/** Reads the JSON input of an echo task; `repeat` defaults to 1, `delayMs` to 0. */
export function parseEchoInput(value: unknown): InputReading<EchoInput> {
  if (!isRecord(value)) {
    return { kind: "invalid", violations: [{ field: "", description: "must be an object with a message" }] };
  }
  const { message, repeat = 1, delayMs = 0 } = value;
  const violations: (FieldViolation | undefined)[] = unknownFields(value, ["message", "repeat", "delayMs"]);
  if (typeof message !== "string") {
    violations.push({ field: "message", description: "must be a string" });
  } else if (message.length > MAX_ECHO_MESSAGE_LENGTH) {
    violations.push({
      field: "message",
      description: `must have at most ${MAX_ECHO_MESSAGE_LENGTH} characters, has ${message.length}`,
    });
  }
  violations.push(wholeNumberViolation("repeat", repeat, 1, MAX_ECHO_REPEAT));
  violations.push(wholeNumberViolation("delayMs", delayMs, 0, MAX_ECHO_DELAY_MS));
  const found = violations.filter((violation) => violation !== undefined);
  if (found.length > 0 || typeof message !== "string" || typeof repeat !== "number" || typeof delayMs !== "number") {
    return { kind: "invalid", violations: found };
  }
  return { kind: "valid", input: { message, repeat, delayMs } };
}

/** Yields the outputs of `input`, waiting `delayMs` before each; throws the reason of `signal` as soon as it aborts. */
export async function* echo(
  input: EchoInput,
  options: { readonly signal: AbortSignal },
): AsyncGenerator<EchoOutput, void, undefined> {
  const { signal } = options;
  for (let index = 1; index <= input.repeat; index += 1) {
    signal.throwIfAborted();
    if (input.delayMs > 0) await pause(input.delayMs, signal);
    yield { message: input.message, index };
  }
}

/** Node's own sleep rejects with a generic AbortError; the caller wants the coded reason it aborted with. */
async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
