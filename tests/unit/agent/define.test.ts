import { expect, test } from "vitest";
import { outcomeOfError } from "../../../sdk/agent/outcome.ts";
import {
  AgentError,
  type AgentOptions,
  capability,
  defineAgent,
  retryAfter,
  RetryableError,
  TerminalError,
} from "../../../sdk/agent/index.ts";

const RUN = { echo: () => 1 };

test.for([
  ["no capability", { name: "a", capabilities: {} }, /number of capabilities is 0, must be from 1 to 64/],
  [
    "a bad type",
    { name: "a", capabilities: { "a.b": () => 1 } },
    /capability is "a\.b", must be 1 to 64 characters of A-Z/,
  ],
  [
    "a bad queue",
    { name: "a", capabilities: { a: { run: () => 1, queue: "x y" } } },
    /queue of capability "a" is "x y"/,
  ],
  ["no handler", { name: "a", capabilities: JSON.parse('{"a":{}}') }, /capability "a" has no handler/],
  ["no name", { name: "", capabilities: RUN }, /name is "", must be 1 to 64 characters/],
  ["a concurrency of 0", { name: "a", capabilities: RUN, concurrency: 0 }, /concurrency is 0, must be from 1 to 1000/],
] as [string, AgentOptions, RegExp][])("%s is refused with option, value and range", ([, options, message]) => {
  expect(() => defineAgent(options)).toThrow(message);
  expect(() => defineAgent(options)).toThrow(AgentError);
});

test("defaults are filled in and a handler alone is a capability", () => {
  const agent = defineAgent({ name: "a", capabilities: RUN });
  expect(agent).toMatchObject({ name: "a", version: "", concurrency: 1, labels: {} });
  expect(agent.capabilities.get("echo")!.run).toBe(RUN.echo);
});

test("a capability is typed by its parse", () => {
  const typed = capability({
    parse: (input): { readonly n: number } => ({ n: Number(input) }),
    run: (task) => task.input.n + 1,
  });
  expect(defineAgent({ name: "a", capabilities: { typed } }).capabilities.get("typed")).toBe(typed);
});

test("outcomes refuse delays and reasons that the contract does not know", () => {
  expect(() => retryAfter(-1)).toThrow(/delayMs is -1, must be from 0 to 518400000/);
  expect(() => new TerminalError("x", { reason: "no good" })).toThrow(/reason is "no good", must be UPPER_SNAKE_CASE/);
});

test.for<[string, unknown, string, boolean, RegExp]>([
  ["a terminal error", new TerminalError("x", { reason: "NO_GOOD" }), "NO_GOOD", false, /^TerminalError: x\n/],
  ["a terminal error that says no more", new TerminalError("x"), "HANDLER_FAILED", false, /^TerminalError: x\n/],
  ["a retryable error", new RetryableError("x", { reason: "BUSY", details: "y" }), "BUSY", true, /^y$/],
  ["a retryable error that says no more", new RetryableError("x"), "HANDLER_FAILED", true, /^RetryableError: x\n/],
  ["any other error", new TypeError("x"), "HANDLER_ERROR", true, /^TypeError: x\n/],
])("%s fails the attempt with its reason", ([, error, reason, retryable, details]) => {
  expect(outcomeOfError(error)).toMatchObject({
    kind: "fail",
    failure: { message: "x", reason, retryable, source: "agent", details: expect.stringMatching(details) },
  });
});
