// The work of an `echo` task: gives back its message, once or as a stream of outputs. Pure but for the wait between outputs.
import { setTimeout as sleep } from "node:timers/promises";
import type { EchoInput } from "../../../gen/mycel/tasks/v1/echo_pb.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { InputViolations } from "../input-violations.ts";

/** Longest message, in UTF-16 code units: leaves room for its envelope within the mesh's inline limit of 256 KiB. */
const MAX_ECHO_MESSAGE_LENGTH = 65_536;
/** Most outputs that one echo task streams. */
const MAX_ECHO_REPEAT = 1_000;
/** Longest wait before each output. */
const MAX_ECHO_DELAY_MS = 60_000;

/** The input of an echo task, with its defaults. */
export interface EchoOrder {
  /** Given back as it is. */
  readonly message: string;
  /** How many outputs to stream, 1–1,000. */
  readonly repeat: number;
  /** Wait before each output, 0–60,000 ms. */
  readonly delayMs: number;
}

/** One output of an echo task. */
export interface EchoItem {
  readonly message: string;
  /** Number of this output, from 1 to `repeat`. */
  readonly index: number;
}

/** What is wrong with the input of an echo task. */
export function checkEcho({ message, repeat, delayMs }: Omit<EchoInput, "$typeName">): readonly FieldViolation[] {
  const violations = new InputViolations();
  if (message === undefined) violations.add("message", "must be given");
  violations.maxLength("message", message, MAX_ECHO_MESSAGE_LENGTH);
  violations.wholeNumber("repeat", repeat, 1, MAX_ECHO_REPEAT);
  violations.wholeNumber("delayMs", delayMs, 0, MAX_ECHO_DELAY_MS);
  return violations.found;
}

/** Fills in the defaults. */
export function echoOrder({ message = "", repeat = 1, delayMs = 0 }: Omit<EchoInput, "$typeName">): EchoOrder {
  return { message, repeat, delayMs };
}

/** Yields the outputs of `order`, waiting `delayMs` before each; throws the reason of `signal` as soon as it aborts. */
export async function* echo(
  order: EchoOrder,
  options: { readonly signal: AbortSignal },
): AsyncGenerator<EchoItem, void, undefined> {
  const { signal } = options;
  for (let index = 1; index <= order.repeat; index += 1) {
    signal.throwIfAborted();
    if (order.delayMs > 0) await pause(order.delayMs, signal);
    yield { message: order.message, index };
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
