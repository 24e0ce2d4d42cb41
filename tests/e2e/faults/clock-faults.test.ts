// Machines whose wall clock is wrong: times that tasks ask for are kept all the same, and what is told of a task makes sense.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type MycelClient, type TaskOutcome } from "../../../sdk/client/index.ts";
import { type FaultMesh, openFaultMesh } from "../../faults/mesh/fault-mesh.ts";

const HOUR_MS = 3_600_000;
/** What a coordinator's time may differ from the broker's stamps. */
const SKEW_MS = 100;
const WAIT_MS = 1_500;
/** Far less than any jump, and far more than a task takes beyond its wait. */
const PATIENCE_MS = 20_000;

let mesh: FaultMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openFaultMesh({ coordinators: 1, agents: 1 });
  client = createClient({ urls: mesh.urls });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

/** How a task ended, and how long that took by this process' monotonic clock. */
async function timed(type: string, input: object, options: object): Promise<{ outcome: TaskOutcome; tookMs: number }> {
  const startedAt = performance.now();
  const { taskId } = await client.submit(type, input, options);
  const outcome = await client.outcome(taskId, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return { outcome, tookMs: performance.now() - startedAt };
}

describe.for([HOUR_MS, -HOUR_MS])("a coordinator whose clock has jumped by %i ms", (jumpMs) => {
  beforeAll(async () => {
    await mesh.coordinators[0]!.jumpClock(jumpMs);
  });

  afterAll(async () => {
    await mesh.coordinators[0]!.jumpClock(-jumpMs);
  });

  test("starts a delayed task when it asked for", { timeout: 30_000 }, async () => {
    const { outcome, tookMs } = await timed("quick", {}, { delayMs: WAIT_MS });
    expect(outcome.state).toBe("completed");
    // A timer may be a little early: what it was asked for in whole milliseconds is measured by two clocks.
    expect(tookMs).toBeGreaterThan(WAIT_MS - 100);
  });

  test("retries a failed task after its backoff", { timeout: 30_000 }, async () => {
    const retry = { maximumAttempts: 2, initialIntervalMs: WAIT_MS };
    const { outcome, tookMs } = await timed("flaky", { failures: 1 }, { retry });
    expect(outcome).toMatchObject({ state: "completed", status: { attempt: 2 } });
    expect(tookMs).toBeGreaterThan(WAIT_MS * 0.8 - 100);
  });

  test("ends a task that nobody starts at its deadline", { timeout: 30_000 }, async () => {
    const { outcome, tookMs } = await timed("nobody", {}, { scheduleToCloseMs: WAIT_MS });
    expect(outcome.state).toBe("timed_out");
    expect(tookMs).toBeGreaterThan(WAIT_MS - 100);
  });

  test(
    "stamps a task with the broker's time, and says once that its own clock is off",
    { timeout: 30_000 },
    async () => {
      const { outcome } = await timed("quick", {}, {});
      for (const time of [outcome.status.createTime!, outcome.status.endTime!]) {
        expect(Math.abs(timestampMs(time) - Date.now())).toBeLessThan(PATIENCE_MS);
      }
      const warnings = (): number => mesh.coordinators[0]!.output().split("clock is off").length - 1;
      await expect.poll(warnings, { timeout: 10_000 }).toBe(jumpMs > 0 ? 1 : 2);
    },
  );
});

describe.for([HOUR_MS, -HOUR_MS])("an agent whose clock has jumped by %i ms", (jumpMs) => {
  beforeAll(async () => {
    await mesh.agents[0]!.jumpClock(jumpMs);
  });

  afterAll(async () => {
    await mesh.agents[0]!.jumpClock(-jumpMs);
  });

  test.for<[string, string, object, object]>([
    ["one that ends at once", "quick", {}, {}],
    ["one that is begun", "work", { workMs: 1_500 }, { startToCloseMs: 10_000 }],
    ["one that fails", "fail", {}, {}],
  ])("starts its attempts between their submission and their end: %s", async ([, type, input, options]) => {
    const { outcome } = await timed(type, input, options);
    const { createTime, attemptStartTime, endTime, attempt } = outcome.status;
    expect(attempt).toBe(1);
    expect(timestampMs(attemptStartTime!)).toBeGreaterThanOrEqual(timestampMs(createTime!) - SKEW_MS);
    expect(timestampMs(attemptStartTime!)).toBeLessThanOrEqual(timestampMs(endTime!));
  });
});
