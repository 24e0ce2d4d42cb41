// Preloaded into the coordinators of a test: takes one safeguard out of the product, so that the checker can be seen to miss it.
// FAULT_BROKEN_BUILD says which. Never loaded by anything but such a test.
import process from "node:process";
import { OutputLog } from "../../lib/nats/output-log.ts";
import { StreamPublisher } from "../../lib/nats/stream-publisher.ts";
import { TaskLog } from "../../lib/nats/task-log.ts";
import type { TaskRecord } from "../../lib/wire/task-codec.ts";

/** The variable that names the build. */
export const BROKEN_BUILD_VARIABLE = "FAULT_BROKEN_BUILD";

/** What is missing in a build. */
export type BrokenBuild =
  /** Messages are published without any expectation. */
  | "no-compare-and-set"
  /** Who finds that somebody else has moved a task writes all the same. */
  | "last-write-wins"
  /** Some submissions are acknowledged and not stored. */
  | "acknowledged-not-stored"
  /** Readers that catch up miss the second message of outputs. */
  | "output-skipped"
  /** Tasks that were submitted with two attempts get three. */
  | "too-many-attempts";

/** Of so many submissions, one is not stored. */
const NOT_STORED_EVERY = 3;

// oxlint-disable typescript/unbound-method -- each is called on the object that it is called for
const { publish } = StreamPublisher.prototype;
const { append, dispatch, read, readLatest } = TaskLog.prototype;
const { read: readOutputs } = OutputLog.prototype;
// oxlint-enable typescript/unbound-method

const BUILDS: Readonly<Record<BrokenBuild, () => void>> = {
  "no-compare-and-set": () => {
    StreamPublisher.prototype.publish = function publishAnyhow({ subject, body, headers = {} }) {
      return publish.call(this, { subject, body, headers });
    };
  },
  "last-write-wins": () => {
    TaskLog.prototype.append = async function appendAnyhow(task, draft, context, expected, trace) {
      const outcome = await append.call(this, task, draft, context, expected, trace);
      if (outcome.kind === "stored") return outcome;
      const record = await this.readLatest(task.tenant, task.taskId);
      return await append.call(this, task, draft, context, record?.event?.sequence ?? 0, trace);
    };
  },
  "acknowledged-not-stored": () => {
    let submissions = 0;
    TaskLog.prototype.dispatch = async function dispatchSome(draft, expected) {
      submissions += expected === 0 ? 1 : 0;
      if (expected === 0 && submissions % NOT_STORED_EVERY === 0) return { kind: "stored", sequence: 1 };
      return await dispatch.call(this, draft, expected);
    };
  },
  "output-skipped": () => {
    OutputLog.prototype.read = async function readWithHole(...args) {
      return (await readOutputs.apply(this, args)).toSpliced(1, 1);
    };
  },
  "too-many-attempts": () => {
    TaskLog.prototype.read = async function readGenerously(...args) {
      return generous(await read.apply(this, args));
    };
    TaskLog.prototype.readLatest = async function readLatestGenerously(...args) {
      return generous(await readLatest.apply(this, args));
    };
  },
};

function generous(record: TaskRecord | undefined): TaskRecord | undefined {
  const policy = record?.dispatch.message.task?.retryPolicy;
  if (policy?.maximumAttempts === 2) policy.maximumAttempts = 3;
  return record;
}

for (const [name, install] of Object.entries(BUILDS)) if (name === process.env[BROKEN_BUILD_VARIABLE]) install();
