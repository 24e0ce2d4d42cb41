import { expect, test } from "vitest";
import { hearEnded } from "../../../bench/support/ended-tasks.ts";
import { TaskTracker } from "../../../bench/support/task-tracker.ts";

test("a measurement is over when the last of its tasks has ended, and others' do not count", async () => {
  const tracker = new TaskTracker();
  const batch = tracker.track("bulk-r1");
  tracker.ended("bulk-r1-0");
  const over = batch.reach(2);
  tracker.ended("bulk-r2-1");
  hearEnded(tracker, { other: true });
  const beforeMs = performance.now();
  hearEnded(tracker, { ended: ["bulk-r1-1"] });
  expect(await over).toBeGreaterThanOrEqual(beforeMs);
});

test("tasks that end before anybody waits count", async () => {
  const tracker = new TaskTracker();
  const batch = tracker.track("p");
  hearEnded(tracker, { ended: ["p-0", "p-1"] });
  await batch.reach(2);
});

test("a task that ends twice fails the measurement", async () => {
  const tracker = new TaskTracker();
  const batch = tracker.track("p");
  hearEnded(tracker, { ended: ["p-0", "p-0"] });
  await expect(batch.reach(2)).rejects.toThrow("task p-0 ended twice");
});

test("a task that ends badly fails the measurement with its reason", async () => {
  const tracker = new TaskTracker();
  const batch = tracker.track("p");
  tracker.failed("p-3", "ended in state 4");
  await expect(batch.reach(1)).rejects.toThrow("task p-3 ended in state 4");
});
