// The echo task: what it accepts, what it streams, how it stops.
import { expect, test } from "vitest";
import { echo } from "../../../services/worker/echo/echo.ts";
import { echoTask } from "../../../services/worker/echo/echo-task.ts";
import { callCapability } from "../../support/handler-call.ts";

test("an echo without options is one result and no output", async () => {
  expect(await callCapability(echoTask, { message: "hi" })).toMatchObject({ result: { message: "hi" }, chunks: [] });
  expect((await callCapability(echoTask, { message: "" })).result).toEqual({ message: "" });
});

test("an echo that repeats streams that many numbered outputs and says how many", async () => {
  const { result, chunks } = await callCapability(echoTask, { message: "hi", repeat: 2 });
  expect(chunks).toEqual([
    { message: "hi", index: 1 },
    { message: "hi", index: 2 },
  ]);
  expect(result).toEqual({ message: "hi", outputs: 2 });
});

test.for<[string, unknown, string[]]>([
  ["no object", "hi", ["must be an object with message, repeat, delayMs"]],
  ["a list", [], ["must be an object with message, repeat, delayMs"]],
  ["null", null, ["must be an object with message, repeat, delayMs"]],
  ["no message", {}, ["message: must be given"]],
  [
    "a message that is too long",
    { message: "x".repeat(65_537) },
    ["message: must have at most 65536 characters, has 65537"],
  ],
  ["a repeat of 0", { message: "", repeat: 0 }, ["repeat: must be a whole number from 1 to 1000, is 0"]],
  ["a repeat of 1,001", { message: "", repeat: 1_001 }, ["repeat: must be a whole number from 1 to 1000, is 1001"]],
  ["a broken repeat", { message: "", repeat: 1.5 }, ["repeat: must be a whole number"]],
  ["a repeat as text", { message: "", repeat: "2" }, ["repeat: must be a whole number"]],
  ["a negative delay", { message: "", delayMs: -1 }, ["delayMs: must be a whole number from 0 to 60000, is -1"]],
  [
    "a delay above a minute",
    { message: "", delayMs: 60_001 },
    ["delayMs: must be a whole number from 0 to 60000, is 60001"],
  ],
  [
    "a misspelt field",
    { message: "", repeats: 2 },
    ["repeats: unknown field; the fields are message, repeat, delayMs"],
  ],
  [
    "everything wrong at once",
    { message: 1, repeat: null, delayMs: {}, x: 1 },
    [
      "x: unknown field; the fields are message, repeat, delayMs",
      "message: must be a string",
      "repeat: must not be null; leave the field out",
      "delayMs: must be a whole number",
    ],
  ],
])("%s is refused, each wrong field by name", async ([, value, violations]) => {
  expect((await callCapability(echoTask, value)).failure).toBe(
    `INVALID_INPUT: invalid input: ${violations.join("; ")}`,
  );
});

test("the bounds themselves are accepted", async () => {
  const controller = new AbortController();
  controller.abort(new Error("far enough"));
  const longest = { message: "x".repeat(65_536), repeat: 1_000, delayMs: 60_000 };
  expect((await callCapability(echoTask, longest, { signal: controller.signal })).failure).toBe(
    "HANDLER_ERROR: far enough",
  );
  expect((await callCapability(echoTask, { message: "", repeat: 1, delayMs: 0 })).failure).toBeUndefined();
});

test("an abort between two outputs ends the stream with its reason", async () => {
  const controller = new AbortController();
  const reason = new Error("canceled");
  const seen: number[] = [];
  const run = async (): Promise<void> => {
    for await (const { index } of echo({ message: "hi", repeat: 9, delayMs: 0 }, { signal: controller.signal })) {
      seen.push(index);
      if (index === 2) controller.abort(reason);
    }
  };
  await expect(run()).rejects.toBe(reason);
  expect(seen).toEqual([1, 2]);
});

test("an abort during the wait ends it at once with its reason", async () => {
  const controller = new AbortController();
  const reason = new Error("canceled");
  const first = echo({ message: "hi", repeat: 1, delayMs: 60_000 }, { signal: controller.signal }).next();
  controller.abort(reason);
  await expect(first).rejects.toBe(reason);
});
