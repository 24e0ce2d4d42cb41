// The lives that a task can have under faults without a promise being broken, told on the model of a mesh.
import type { Random } from "../../random.ts";
import { SampleStage, SampleTask, type SampleRun } from "./sample-run.ts";

/** One life of a task. */
export type SampleStory = (stage: SampleStage, taskId: string) => void;

/** Completed by an attempt of which nobody knew while it ran. */
export const unseen: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.ask();
  task.complete(task.start("a1", false));
  task.ask("outcome");
};

/** Streams while two readers follow, one of whom comes and goes. */
export const streamed: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.follow(`${taskId}-r1`);
  task.follow(`${taskId}-r2`);
  const execution = task.start("a1", true);
  for (let i = stage.random.between(4, 9); i > 0; i -= 1) {
    task.chunk(execution);
    if (i % 3 === 0) task.resume(`${taskId}-r1`);
    if (i % 4 === 0) task.ask();
  }
  task.complete(execution);
  task.ask("outcome");
  task.leave();
};

/** The agent stands still, another one takes over, and the first comes back as a zombie that streams and returns. */
export const fenced: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.follow(`${taskId}-r1`);
  const zombie = task.start("a1", true);
  task.chunk(zombie);
  task.chunk(zombie);
  task.fence(zombie);
  const second = task.start("a2", true, 2);
  task.ask();
  task.chunk(zombie, false);
  task.chunk(second);
  task.resume(`${taskId}-r1`);
  task.end(zombie);
  task.chunk(second);
  task.complete(second);
  task.ask("outcome");
  task.leave();
};

/** Fails twice, is tried again by an attempt that had to ask, and succeeds. */
export const retried: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.fail(task.start("a1", false));
  task.ask();
  task.dispatch();
  task.ask();
  task.fail(task.start("a2", true));
  task.dispatch();
  task.complete(task.start("a1", true));
  task.ask();
};

/** Kills its agents until its attempts are spent. */
export const poisonous: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  const lost = ["a1", "a2", "a3"].map((agentId, i) => task.start(agentId, true, i + 1)).at(-1);
  task.event("failed", { failure: { reason: "AGENT_LOST", retryable: true } }, lost);
  task.ask("outcome");
};

/** Fails for good at once; nobody may try again. */
export const hopeless: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.fail(task.start("a1", false), false);
  task.ask("outcome");
};

/** Canceled while it waits: its work item is taken away. */
export const canceledWaiting: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.ask();
  task.event("canceled");
  task.withdraw();
  task.ask("cancel");
};

/** Canceled while it runs: what its handler does then counts for nothing. */
export const canceledRunning: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.follow(`${taskId}-r1`);
  const execution = task.start("a1", true);
  task.chunk(execution);
  task.fence(execution);
  task.event("canceled", {}, execution);
  task.chunk(execution, false);
  task.end(execution);
  task.ask("cancel");
  task.leave();
};

/** Waits for its start time. */
export const delayed: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit("accepted", true, "_delayed");
  task.ask();
  task.dispatch();
  task.complete(task.start("a1", false));
  task.ask();
};

/** Given back by an agent that shuts down, and run again under the same number. */
export const givenBack: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit();
  task.follow(`${taskId}-r1`);
  const first = task.start("a1", true);
  task.chunk(first);
  task.giveBack(first);
  const second = task.start("a2", true, 2);
  task.chunk(second);
  task.complete(second);
  task.leave();
};

/** The answer to its submission got lost; it stands and is done all the same. */
export const ambiguousFound: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId);
  task.submit("unknown", true);
  task.complete(task.start("a1", false));
};

/** The answer to its submission got lost, and so did the submission. */
export const ambiguousLost: SampleStory = (stage, taskId) => {
  new SampleTask(stage, taskId).submit("unknown", false);
};

/** Not a valid submission. */
export const refused: SampleStory = (stage, taskId) => {
  new SampleTask(stage, taskId).submit("refused");
};

/** A redrive whose answer got lost: nobody has heard of its id. */
export const redriven: SampleStory = (stage, taskId) => {
  const task = new SampleTask(stage, taskId, { redriveOf: "dead" });
  stage.tasks.set(taskId, task.log);
  task.dispatch();
  task.complete(task.start("a1", false));
};

/** All stories. */
export const STORIES: Readonly<Record<string, SampleStory>> = {
  unseen,
  streamed,
  fenced,
  retried,
  poisonous,
  hopeless,
  canceledWaiting,
  canceledRunning,
  delayed,
  givenBack,
  ambiguousFound,
  ambiguousLost,
  refused,
  redriven,
};

/** A run with one task for each story, named after it. */
export function sampleRun(random: Random): SampleRun {
  const stage = new SampleStage(random);
  stage.history.push({ what: "fault", at: stage.tick(), name: "kill an agent", phase: "injected" });
  for (const [name, story] of Object.entries(STORIES)) story(stage, name);
  return stage.run();
}

/** A run of many tasks with a story each. */
export function longRun(random: Random, tasks: number): SampleRun {
  const stage = new SampleStage(random);
  const stories = Object.values(STORIES);
  for (let i = 1; i <= tasks; i += 1) random.pick(stories)(stage, `t${i}`);
  return stage.run();
}
