// Owns the call of user code: input decoded and parsed, handler called, and whatever it returns, throws or rejects with made an outcome.
// It never throws and its promise never rejects.
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
  try {
    const content = await host.blob(item.blob);
    const raw: unknown = JSON.parse(Buffer.from(content).toString("utf8"));
    return await call(capability, item, host, blobs, raw);
  } catch (error) {
    return outcomeOfError(error);
  }
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
    const message = error instanceof Error ? error.message : String(error);
    return fail(`invalid input: ${message}`, { reason: "INVALID_INPUT" });
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
