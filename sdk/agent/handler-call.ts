// Owns the call of user code: input decoded and parsed, handler called, and whatever it returns, throws or rejects with made an outcome.
// It never throws and its promise never rejects.
import { jsonFault } from "./agent-error.ts";
import type { Blobs } from "./blobs.ts";
import { type ContextHost, createContext } from "./context.ts";
import type { Capability } from "./define.ts";
import { fail, type Outcome, outcomeOfError, outcomeOfValue } from "./outcome.ts";
import { isJsonBlob, viewTask } from "./task.ts";
import type { WorkItem } from "./work-item.ts";

/** Calls the handler of a capability. Synchronous handlers give their outcome at once. */
export function callHandler(
  capability: Capability,
  item: WorkItem,
  host: ContextHost,
  blobs: Blobs,
): Outcome | Promise<Outcome> {
  if (isJsonBlob(item.blob)) return callWithBlob(capability, item, host, blobs);
  return call(capability, item, host, blobs, item.input);
}

async function callWithBlob(capability: Capability, item: WorkItem, host: ContextHost, blobs: Blobs): Promise<Outcome> {
  let text: string;
  try {
    text = Buffer.from(await host.blob(item.blob)).toString("utf8");
  } catch (error) {
    return outcomeOfError(error);
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    return invalidInput(jsonFault(error));
  }
  return call(capability, item, host, blobs, raw);
}

function call(
  capability: Capability,
  item: WorkItem,
  host: ContextHost,
  blobs: Blobs,
  raw: unknown,
): Outcome | Promise<Outcome> {
  let input = raw;
  try {
    if (capability.parse !== undefined) input = capability.parse(raw);
  } catch (error) {
    return invalidInput(error instanceof Error ? error.message : String(error));
  }
  try {
    const view = viewTask(item, host.attempt, input, blobs, () => host.signal());
    const value: unknown = capability.run(view, createContext(host));
    if (!isThenable(value)) return outcomeOfValue(value);
    return Promise.resolve(value).then(outcomeOfValue, outcomeOfError);
  } catch (error) {
    return outcomeOfError(error);
  }
}

/** It stays as it is, so no further attempt. */
function invalidInput(what: string): Outcome {
  return fail(`invalid input: ${what}`, { reason: "INVALID_INPUT" });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
