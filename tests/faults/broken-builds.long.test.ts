// The whole of the proof is on trial: the same stories are played on the product as it is, which is acquitted, and on builds of it that lack
// one safeguard each, which the checker has to find out from outside.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { openNats } from "../../lib/nats/connection.ts";
import { createClient, type MycelClient, MycelError, type TaskOptions } from "../../sdk/client/index.ts";
import { BROKEN_BUILD_VARIABLE, type BrokenBuild } from "./broken-build.ts";
import { UNKNOWN_TASK } from "./checker/accepted-tasks.ts";
import { check, formatVerdict, type Verdict } from "./checker/check.ts";
import { readFinalLog } from "./final-log.ts";
import { monotonicMs, readHistory } from "./history.ts";
import { type FaultMesh, openFaultMesh } from "./mesh/fault-mesh.ts";
import type { TamperRule } from "./mesh/inside/tampering.ts";
import { Journal } from "./workload/journal.ts";
import { testTrust } from "../support/trust.ts";

const LEASE_MS = 1_000;
/** Long enough for a busy machine to cancel all of them while they run. */
const CANCELED_WORK_MS = 4_000;
const PRELOAD = pathToFileURL(resolve(import.meta.dirname, "broken-build.ts")).href;

/** No agent hears that an attempt of its is over; and no lease is renewed. */
const NO_SIGNAL: TamperRule = { step: "signal", way: "in", every: 1, how: "lose" };
const NO_RENEWAL: TamperRule = { step: "in-progress.task", way: "out", every: 1, how: "lose" };

/** What a story is played with. */
interface Scene {
  readonly mesh: FaultMesh;
  readonly client: MycelClient;
  readonly journal: Journal;
}

/** What happens on it. */
type Story = (scene: Scene) => Promise<void>;

/** Plays stories on a build, one after the other, and judges it when everything is over. */
async function play(build: BrokenBuild | undefined, ...stories: readonly Story[]): Promise<Verdict> {
  const env = build === undefined ? {} : { NODE_OPTIONS: `--import=${PRELOAD}`, [BROKEN_BUILD_VARIABLE]: build };
  await using mesh = await openFaultMesh({
    coordinators: 2,
    agents: 2,
    leaseMs: LEASE_MS,
    coordinatorEnv: env,
    agentEnv: { FAULT_DRAIN_MS: "10000" },
  });
  await using client = createClient({ urls: mesh.urls });
  const scene = { mesh, client, journal: new Journal(mesh.historyDir) };
  for (const story of stories) await story(scene);
  // Whoever shuts down reports what it still has to report.
  await Promise.all(mesh.agents.map((agent) => agent.terminate()));
  const connection = await openNats({
    servers: mesh.natsUrl,
    credentialsFile: (await testTrust()).adminFile,
    name: "checker",
  });
  try {
    return check(readHistory(mesh.historyDir), await readFinalLog(connection));
  } finally {
    await connection.close();
  }
}

/** Tasks that are canceled while their agents do not hear of it: these return, and report. */
async function canceledUnheard({ mesh, client, journal }: Scene): Promise<void> {
  await tamper({ mesh }, NO_SIGNAL);
  const taskIds = Array.from({ length: 8 }, (_, i) => `canceled-${i}`);
  await Promise.all(
    taskIds.map((taskId) => submit({ client, journal }, "work", { workMs: CANCELED_WORK_MS }, { taskId })),
  );
  // An attempt of which the mesh has not heard yet would be told so when it says that it runs.
  await expect.poll(() => statesOf(client, taskIds), { timeout: 10_000 }).toEqual(new Set([TaskState.WORKING]));
  for (const taskId of taskIds) {
    const startedAt = monotonicMs();
    journal.told("cancel", startedAt, await client.cancel(taskId));
  }
}

/** A task whose leases are not renewed, and whose handlers do not hear of it and return: others take over before they do. */
async function heldTooLong(scene: Scene): Promise<void> {
  const taskId = "held-too-long";
  await tamper(scene, NO_RENEWAL, NO_SIGNAL);
  const options = { taskId, retry: { maximumAttempts: 3, initialIntervalMs: 10 } };
  await submit(scene, "work", { workMs: LEASE_MS * 2.5 }, options);
  await outcome(scene, taskId);
  await expect.poll(() => runningOf(scene.mesh, taskId), { timeout: 10_000 }).toBe(0);
}

/** Tasks that just run. */
async function plain(scene: Scene): Promise<void> {
  const taskIds = Array.from({ length: 12 }, (_, i) => `plain-${i}`);
  await Promise.all(taskIds.map((taskId) => submit(scene, "quick", {}, { taskId })));
  await Promise.all(taskIds.map((taskId) => outcome(scene, taskId)));
}

/** A task that streams, read from its beginning when it is over. */
async function streamed(scene: Scene): Promise<void> {
  const taskId = "streamed";
  await submit(scene, "stream", { chunks: 6, everyMs: 30 }, { taskId });
  await outcome(scene, taskId);
  const place = { reader: "late", taskId, connection: 1 };
  const { client, journal } = scene;
  try {
    for await (const event of client.watch(taskId)) {
      const { kind, sequence } = event;
      if (kind === "snapshot" || kind === "state") {
        const { attempt, agentId } = event.status;
        journal.read({ ...place, kind, sequence, state: event.state, attempt, agentId });
      } else if (kind === "chunk") {
        const { attempt, agentId } = event;
        journal.read({ ...place, kind, sequence, attempt, agentId, index: (event.value as { index: number }).index });
      }
    }
    journal.read({ ...place, kind: "end", sequence: 0 });
  } catch (error) {
    journal.failed("watch", monotonicMs(), error);
  }
}

/** A task that fails each time. */
async function failing(scene: Scene): Promise<void> {
  const taskId = "failing";
  const retry = { maximumAttempts: 2, initialIntervalMs: 10, maximumIntervalMs: 10 };
  await submit(scene, "fail", { retryable: true }, { taskId, retry });
  await outcome(scene, taskId);
}

async function tamper({ mesh }: Pick<Scene, "mesh">, ...rules: readonly TamperRule[]): Promise<void> {
  await Promise.all(mesh.agents.map((agent) => agent.tamper(...rules)));
}

async function submit(
  { client, journal }: Pick<Scene, "client" | "journal">,
  type: string,
  input: object,
  options: TaskOptions & { readonly taskId: string },
): Promise<void> {
  const startedAt = monotonicMs();
  const { taskId, retry = {} } = options;
  const maximumAttempts = retry.maximumAttempts ?? 3;
  const { existing } = await client.submit(type, input, options);
  journal.submitted({ client: "c1", taskId, type, maximumAttempts }, startedAt, existing);
}

/** Waits for a task's end, or for the answer that there is no such task. */
async function outcome({ client, journal }: Scene, taskId: string): Promise<void> {
  const startedAt = monotonicMs();
  try {
    const { state, status, ...rest } = await client.outcome(taskId, { timeoutMs: 30_000 });
    const result = state === "completed" && "result" in rest ? (rest.result as { execution?: string }) : {};
    journal.told("outcome", startedAt, status, result.execution);
  } catch (error) {
    if (!(error instanceof MycelError) || error.code !== "not_found") throw error;
    const nowhere = { state: UNKNOWN_TASK, terminal: false, attempt: 0, agentId: "" };
    journal.write({ what: "told", at: monotonicMs(), startedAt, call: "outcome", taskId, ...nowhere });
  }
}

async function statesOf(client: MycelClient, taskIds: readonly string[]): Promise<Set<TaskState>> {
  const statuses = await Promise.all(taskIds.map((taskId) => client.status(taskId)));
  return new Set(statuses.map(({ state }) => state));
}

function runningOf({ historyDir }: FaultMesh, taskId: string): number {
  const own = readHistory(historyDir).filter((entry) => "execution" in entry && entry.taskId === taskId);
  return own.filter(({ what }) => what === "start").length - own.filter(({ what }) => what === "end").length;
}

function rulesOf({ violations }: Verdict, taskId: RegExp): Set<string> {
  return new Set(violations.filter((violation) => taskId.test(violation.taskId)).map(({ rule }) => rule));
}

test("the product keeps its promises, with reports refused that came too late", { timeout: 60_000 }, async () => {
  const verdict = await play(undefined, plain, streamed, failing, heldTooLong, canceledUnheard);

  expect(verdict.violations, formatVerdict(verdict)).toEqual([]);
  expect(verdict.counts).toMatchObject({ tasks: 23, accepted: 23, canceled: 8, readers: 1 });
  expect(verdict.counts.executionsFenced).toBeGreaterThanOrEqual(8);
});

describe("a build that breaks a promise is found out:", () => {
  test("one that publishes without expectation", async () => {
    const verdict = await play("no-compare-and-set", plain, canceledUnheard);

    expect(rulesOf(verdict, /^plain-/), formatVerdict(verdict)).toContain("chain_broken");
    expect(rulesOf(verdict, /^canceled-/)).toContain("ended_twice");
  });

  test("one that writes although somebody else has moved the task", async () => {
    const verdict = await play("last-write-wins", plain, heldTooLong, canceledUnheard);

    expect(rulesOf(verdict, /^canceled-/), formatVerdict(verdict)).toContain("ended_twice");
    expect(rulesOf(verdict, /^held-too-long$/)).toContain("not_the_holder");
    // The chain itself looks as it should: only who wrote what gives it away.
    expect(rulesOf(verdict, /./)).not.toContain("chain_broken");
    expect(rulesOf(verdict, /^plain-/)).toEqual(new Set());
  });

  test("one that acknowledges submissions which it does not store", async () => {
    const verdict = await play("acknowledged-not-stored", plain);

    expect(rulesOf(verdict, /^plain-/), formatVerdict(verdict)).toEqual(new Set(["accepted_lost", "forgotten"]));
  });

  test("one whose late readers miss an output", async () => {
    const verdict = await play("output-skipped", plain, streamed);

    expect(rulesOf(verdict, /^streamed$/), formatVerdict(verdict)).toContain("read_differs");
    expect(rulesOf(verdict, /^(?!streamed)/)).toEqual(new Set());
  });

  test("one that tries tasks more often than their policy allows", async () => {
    const verdict = await play("too-many-attempts", plain, failing);

    const found = rulesOf(verdict, /^failing$/);
    expect(found, formatVerdict(verdict)).toContain("attempt_above_policy");
    expect(found).toContain("too_many_executions");
  });
});
