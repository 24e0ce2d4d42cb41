// Owns what an agent is before it runs: its capabilities and their handlers, checked once, as plain data.
import { MAX_CAPABILITIES, MAX_CONCURRENCY, MAX_LABELS } from "../../lib/core/limits.ts";
import { isName, NAME_ALPHABET } from "../../lib/core/names.ts";
import { AgentError, inRange } from "./agent-error.ts";
import type { TaskContext } from "./context.ts";
import type { Outcome } from "./outcome.ts";
import type { AgentTask } from "./task.ts";

/**
 * Runs one attempt of a task. What it returns is the result; see outcome.ts for the other ways to end.
 *
 * It must be safe to run twice: an agent may die after the work and before its report.
 */
export type Handler<Input = unknown, Output = unknown> = {
  // A method, so that a handler of a narrower input may stand in a list of handlers; `parse` is what guards it.
  run(task: AgentTask<Input>, ctx: TaskContext): Output | Outcome | Promise<Output | Outcome>;
}["run"];

/** One task type that an agent can run. */
export interface Capability<Input = unknown, Output = unknown> {
  /** Runs one attempt. */
  readonly run: Handler<Input, Output>;
  /**
   * Checks and types the input before `run`. What it throws fails the task for good with INVALID_INPUT and the error's message.
   * Any schema library's `parse` fits. The input is passed on unchecked if left out.
   */
  readonly parse?: (input: unknown) => Input;
  /** The queue it is pulled from. The task type if left out. */
  readonly queue?: string;
  /** What it does, in a sentence of at most 1,024 characters. */
  readonly description?: string;
}

/** What an agent is made of. */
export interface AgentOptions {
  /** A name for people, shared by the agents of one fleet. 1 to 64 characters. */
  readonly name: string;
  /** The version of the agent's code. At most 64 characters. */
  readonly version?: string;
  /** What it can do, by task type: a handler, or a {@link Capability}. 1 to 64. */
  readonly capabilities: Readonly<Record<string, Handler | Capability>>;
  /** How many attempts it runs at once. From 1 to 1,000; 1 if left out. */
  readonly concurrency?: number;
  /** Labels, shown in lists of agents. At most 32. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** An agent that can be run with {@link runAgent}. */
export interface AgentDefinition {
  readonly name: string;
  readonly version: string;
  /** By task type. */
  readonly capabilities: ReadonlyMap<string, Capability>;
  readonly concurrency: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Types a capability by its `parse`: `capability({ parse: (v): { path: string } => …, run: async (task) => task.input.path })`. */
export function capability<Input, Output>(options: Capability<Input, Output>): Capability {
  return options;
}

/** Defines an agent. Throws {@link AgentError} INVALID_OPTION with the option, its value and what is allowed. */
export function defineAgent(options: AgentOptions): AgentDefinition {
  const types = Object.keys(options.capabilities);
  inRange("the number of capabilities", types.length, 1, MAX_CAPABILITIES);
  const labels = options.labels ?? {};
  inRange("the number of labels", Object.keys(labels).length, 0, MAX_LABELS);
  if (options.name.length < 1 || options.name.length > 64) {
    throw new AgentError("INVALID_OPTION", `name is ${JSON.stringify(options.name)}, must be 1 to 64 characters`);
  }
  const capabilities = new Map<string, Capability>();
  for (const type of types) {
    const entry = options.capabilities[type];
    const resolved = typeof entry === "function" ? { run: entry } : entry;
    if (resolved === undefined || typeof resolved.run !== "function") {
      throw new AgentError(
        "INVALID_OPTION",
        `capability ${JSON.stringify(type)} has no handler: give a function or { run }`,
      );
    }
    checkName("capability", type);
    if (resolved.queue !== undefined) checkName(`queue of capability ${JSON.stringify(type)}`, resolved.queue);
    capabilities.set(type, resolved);
  }
  return {
    name: options.name,
    version: options.version ?? "",
    capabilities,
    concurrency: Math.trunc(inRange("concurrency", options.concurrency ?? 1, 1, MAX_CONCURRENCY)),
    labels,
  };
}

function checkName(what: string, name: string): void {
  if (isName(name)) return;
  throw new AgentError(
    "INVALID_OPTION",
    `${what} is ${JSON.stringify(name)}, must be 1 to 64 characters of ${NAME_ALPHABET}`,
  );
}
