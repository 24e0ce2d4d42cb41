import { expect, test } from "vitest";
import type { LogFields, Logger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { sendingLogger, type ThreadLogLine, writeSent } from "../../../services/coordinator/index/thread-log.ts";

interface Line {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

/** What a logger in another thread makes of lines: each is copied as it is between threads. */
function linesOf(write: (logger: Logger) => void): Line[] {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void => {
      lines.push({ level, fields, message });
    };
  const receiving: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => receiving,
  };
  write(sendingLogger((line) => writeSent(receiving, structuredClone<ThreadLogLine>(line))));
  return lines;
}

test("a line arrives with its level, its fields and those of its logger", () => {
  const lines = linesOf((logger) => logger.child({ role: "index" }).info({ position: 7, names: ["a"] }, "caught up"));
  expect(lines).toEqual([
    { level: "info", fields: { role: "index", position: 7, names: ["a"] }, message: "caught up" },
  ]);
});

test("an error arrives as an error, with its name, its fields and what caused it", () => {
  const cause = new MeshError("BROKER_UNAVAILABLE", "no answer", { retryDelayMs: 100 });
  const [line] = linesOf((logger) => logger.warn({ err: new RangeError("too far", { cause }) }, "not kept"));
  const err = line?.fields["err"];
  expect(err).toBeInstanceOf(Error);
  expect(err).toMatchObject({ name: "RangeError", message: "too far" });
  expect(String((err as Error).stack)).toContain("thread-log.test.ts");
  expect((err as Error).cause).toMatchObject({ name: "MeshError", reason: "BROKER_UNAVAILABLE", retryDelayMs: 100 });
});

test("whatever can't be sent is told as text", () => {
  const circle: Record<string, unknown> = { run: () => 1, when: new Date(0), of: Symbol("s") };
  circle["self"] = circle;
  const [line] = linesOf((logger) => logger.debug({ circle }, "odd"));
  expect(line?.fields["circle"]).toMatchObject({ when: "1970-01-01T00:00:00.000Z", of: "Symbol(s)" });
  expect(JSON.stringify(line?.fields)).toContain("[deep]");
});
