// The echo capability: what it accepts, what it streams, how it stops.
import { expect, test } from "vitest";
import { echo, parseEchoInput } from "../../../services/worker/echo.ts";

test("an echo without options is one output at once", () => {
  expect(parseEchoInput({ message: "hi" })).toEqual({
    kind: "valid",
    input: { message: "hi", repeat: 1, delayMs: 0 },
  });
});

test.for<[string, unknown, string[]]>([
  ["no object", "hi", [""]],
  ["a list", [], [""]],
  ["null", null, [""]],
  ["no message", {}, ["message"]],
  ["a message that is too long", { message: "x".repeat(65_537) }, ["message"]],
  ["a repeat of 0", { message: "", repeat: 0 }, ["repeat"]],
  ["a repeat of 1,001", { message: "", repeat: 1_001 }, ["repeat"]],
  ["a broken repeat", { message: "", repeat: 1.5 }, ["repeat"]],
  ["a repeat as text", { message: "", repeat: "2" }, ["repeat"]],
  ["a negative delay", { message: "", delayMs: -1 }, ["delayMs"]],
  ["a delay above a minute", { message: "", delayMs: 60_001 }, ["delayMs"]],
  ["a misspelt field", { message: "", repeats: 2 }, ["repeats"]],
  ["everything wrong at once", { message: 1, repeat: null, delayMs: {}, x: 1 }, ["x", "message", "repeat", "delayMs"]],
])("%s is refused, each wrong field by name", ([, value, fields]) => {
  const reading = parseEchoInput(value);
  expect(reading.kind === "invalid" && reading.violations.map(({ field }) => field)).toEqual(fields);
});

test.for([
  { message: "x".repeat(65_536), repeat: 1_000, delayMs: 60_000 },
  { message: "", repeat: 1, delayMs: 0 },
])("the bounds themselves are accepted", (input) => {
  expect(parseEchoInput(input)).toEqual({ kind: "valid", input });
});

test("repeat streams that many numbered outputs", async () => {
  const outputs = await Array.fromAsync(
    echo({ message: "hi", repeat: 3, delayMs: 0 }, { signal: new AbortController().signal }),
  );
  expect(outputs).toEqual([
    { message: "hi", index: 1 },
    { message: "hi", index: 2 },
    { message: "hi", index: 3 },
  ]);
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
