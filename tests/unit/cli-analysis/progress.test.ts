// Progress on a terminal and in a log.
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { openProgress } from "../../../cli/analysis/progress.ts";

function aStream(properties: { isTTY?: boolean; columns?: number } = {}): PassThrough & { text(): string } {
  const stream = new PassThrough();
  return Object.assign(stream, properties, { text: () => String(stream.read() ?? "") });
}

test("in a log there is one line for every tenth", () => {
  const stream = aStream();
  const progress = openProgress({ total: 40, stream, isTTY: false });
  for (let done = 1; done <= 40; done += 1) progress.update(done, { rate: done / 2, agents: 1 + (done % 2) });
  progress.stop();
  const lines = stream.text().trimEnd().split("\n");
  expect(lines).toHaveLength(10);
  expect(lines[0]).toBe(" 10 %  4/40 tasks  2.0/s  1 agent");
  expect(lines[9]).toBe("100 %  40/40 tasks  20/s  1 agent");
});

test("a job of few tasks has no line twice", () => {
  const stream = aStream();
  const progress = openProgress({ total: 2, stream, isTTY: false });
  for (const done of [0, 1, 1, 2, 2]) progress.update(done, { rate: 1, agents: 1 });
  expect(stream.text()).toBe(" 50 %  1/2 tasks  1.0/s  1 agent\n100 %  2/2 tasks  1.0/s  1 agent\n");
});

test("on a terminal a bar is redrawn, ends full, and gives the cursor back once", () => {
  const stream = aStream({ isTTY: true, columns: 60 });
  const progress = openProgress({ total: 4, stream: Object.assign(stream, { cursorTo: undefined }), isTTY: true });
  progress.update(2, { rate: 3, agents: 2 });
  progress.update(4, { rate: 12, agents: 2 });
  progress.update(1, { rate: 1, agents: 1 });
  progress.stop();
  progress.stop();
  const text = stream.text();
  expect(text).toContain("\u001B[?25l");
  expect(text).toContain(`  ${"■".repeat(10)} 100 %  4/4 tasks  12/s  2 agents`);
  expect(text.split("\u001B[?25h")).toHaveLength(2);
});

test("what comes after the end or out of order changes nothing", () => {
  const stream = aStream();
  {
    using progress = openProgress({ total: 10, stream, isTTY: false });
    progress.update(5, { rate: 1, agents: 1 });
    progress.update(3, { rate: 1, agents: 1 });
    progress[Symbol.dispose]();
    progress.update(10, { rate: 1, agents: 1 });
  }
  expect(stream.text()).toBe(" 50 %  5/10 tasks  1.0/s  1 agent\n");
});

test.for([0, -1, 1.5, Number.NaN])("a total of %d is refused", (total) => {
  expect(() => openProgress({ total, stream: aStream(), isTTY: false })).toThrow("total must be a whole number from 1");
});
