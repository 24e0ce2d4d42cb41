import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSpanFile } from "../../../cli/traces/span-file.ts";
import type { SpanRecord } from "../../../cli/traces/span-record.ts";
import { type Logger, silentLogger } from "../../../lib/core/logger.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-spans-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

function aSpan(index: number): SpanRecord {
  return {
    traceId: "a".repeat(32),
    spanId: index.toString(16).padStart(16, "0"),
    name: "n".repeat(100),
    service: "s",
    role: "internal",
    startUs: index,
    endUs: index + 1,
    failed: false,
    attributes: [],
    events: [],
    links: [],
  };
}

test("the folder stays within twice the limit and gives back the latest spans, oldest first", async () => {
  const maxBytes = 4096;
  const file = await openSpanFile(dir, maxBytes, silentLogger);
  for (let index = 0; index < 100; index += 1) await file.append([aSpan(index)]);
  expect((await readdir(dir)).sort()).toEqual(["traces.1.jsonl", "traces.jsonl"]);
  for (const name of await readdir(dir)) expect((await stat(join(dir, name))).size).toBeLessThanOrEqual(maxBytes);

  const { past } = await openSpanFile(dir, maxBytes, silentLogger);
  const starts = past.map((span) => span.startUs);
  expect(starts.at(-1)).toBe(99);
  expect(starts).toEqual(Array.from({ length: starts.length }, (_, index) => 100 - starts.length + index));
});

test("appends that are not awaited are written in order", async () => {
  const file = await openSpanFile(dir, 1_000_000, silentLogger);
  await Promise.all(Array.from({ length: 20 }, (_, index) => file.append([aSpan(index)])));
  const { past } = await openSpanFile(dir, 1_000_000, silentLogger);
  expect(past.map((span) => span.startUs)).toEqual(Array.from({ length: 20 }, (_, index) => index));
});

test("a folder that cannot be written is logged and does not fail the caller", async () => {
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_fields, message) => warnings.push(message) };
  const file = await openSpanFile(join(dir, "gone"), 1000, logger);
  await rm(join(dir, "gone"), { recursive: true });
  await file.append([aSpan(1)]);
  expect(warnings).toEqual(["traces could not be written to disk"]);
});

test("lines that are not spans are left out", async () => {
  await writeFile(join(dir, "traces.jsonl"), `null\n{"spanId":1}\nnot json\n${JSON.stringify(aSpan(7))}\n`);
  const { past } = await openSpanFile(dir, 1000, silentLogger);
  expect(past.map((span) => span.startUs)).toEqual([7]);
});
