import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { expect, test } from "vitest";
import { silentLogger } from "../../../lib/core/logger.ts";
import { createLogger } from "../../../lib/telemetry/logging.ts";

function setup(level = "info") {
  const lines: string[] = [];
  const logger = createLogger({
    name: "coordinator",
    level,
    pretty: false,
    destination: { write: (line) => void lines.push(line) },
  });
  return { logger, lines, parsed: () => lines.map((line): Record<string, unknown> => JSON.parse(line)) };
}

test("a line is one JSON object with name, level, time, fields and message", () => {
  const { logger, lines, parsed } = setup();
  logger.info({ wait_ms: 12 }, "started");
  expect(lines[0]).toMatch(/^\{.*\}\n$/);
  expect(parsed()[0]).toMatchObject({ level: "info", name: "coordinator", wait_ms: 12, msg: "started" });
  expect(Date.parse(String(parsed()[0]!["time"]))).not.toBeNaN();
});

test("lines below the level are not written", () => {
  const { logger, lines } = setup("warn");
  logger.debug({}, "a");
  logger.info({}, "b");
  logger.warn({}, "c");
  expect(lines).toHaveLength(1);
});

test("an unknown level is refused in one line that names the allowed ones", () => {
  const attempt = (): unknown => createLogger({ name: "x", level: "loud" });
  expect(attempt).toThrow(RangeError);
  expect(attempt).toThrow('log level must be one of trace, debug, info, warn, error, fatal, silent, not "loud"');
  expect(() => createLogger({ name: "x", level: " WARN " })).not.toThrow();
});

test("a child adds its bindings to each of its lines, and grandchildren add theirs", () => {
  const { logger, parsed } = setup();
  logger
    .child({ task_id: "t-1", attempt: 2 })
    .child({ agent_id: "a-1" })
    .error({ err: new Error("boom") }, "failed");
  expect(parsed()[0]).toMatchObject({
    task_id: "t-1",
    attempt: 2,
    agent_id: "a-1",
    err: { type: "Error", message: "boom" },
  });
});

test.for([
  "authorization",
  "Authorization",
  "token",
  "access_token",
  "password",
  "secret",
  "client-secret",
  "api_key",
  "apiKey",
  "x-api-key",
  "creds",
  "seed",
  "jwt",
])("the value under %s is redacted at any depth, in fields and bindings", (key) => {
  const { logger, lines } = setup();
  logger
    .child({ [key]: "hunter2-a" })
    .info({ [key]: "hunter2-b", request: { headers: [{ [key]: "hunter2-c" }] } }, "x");
  expect(lines[0]).not.toContain("hunter2");
  expect(lines[0]!.match(/\[redacted\]/g)).toHaveLength(3);
});

test("names that only resemble secrets are shown, and the logged object is left as it was", () => {
  const { logger, parsed } = setup();
  const fields = { tokens_used: 12, inner: { secret: "s" } };
  logger.info(fields, "x");
  expect(parsed()[0]).toMatchObject({ tokens_used: 12, inner: { secret: "[redacted]" } });
  expect(fields.inner.secret).toBe("s");
});

test("a cyclic object and a big integer can be logged", () => {
  const { logger, parsed } = setup();
  const cyclic: Record<string, unknown> = { sequence: 5n };
  cyclic["self"] = cyclic;
  logger.info({ cyclic }, "x");
  expect(parsed()[0]).toMatchObject({ cyclic: { sequence: "5" } });
});

test("lines inside an active span carry its ids, others do not", () => {
  const { logger, parsed } = setup();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  try {
    const ids = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };
    context.with(trace.setSpanContext(context.active(), ids), () => logger.info({}, "inside"));
    logger.info({}, "outside");
  } finally {
    context.disable();
  }
  const [inside, outside] = parsed();
  expect(inside).toMatchObject({ trace_id: "0af7651916cd43dd8448eb211c80319c", span_id: "b7ad6b7169203331" });
  expect(outside).not.toHaveProperty("trace_id");
});

test("pretty lines are for people", () => {
  const lines: string[] = [];
  const logger = createLogger({
    name: "worker",
    pretty: true,
    destination: { write: (line) => void lines.push(line) },
  });
  logger.info({ queue: "echo", password: "hunter2" }, "pulling");
  expect(lines.join("")).toMatch(/INFO.*worker.*pulling/);
  expect(lines.join("")).not.toContain("hunter2");
});

test("the silent logger takes everything, children included", () => {
  expect(() => silentLogger.child({ a: 1 }).error({ err: new Error("x") }, "y")).not.toThrow();
});
