// Submissions that travel together, against the same ones that travel alone, to a real coordinator: nobody can tell the difference.
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient, MycelError } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let together: MycelClient;
let alone: MycelClient;

beforeAll(async () => {
  mesh = await openMesh();
  together = createClient({ url: mesh.urls[0]! });
  alone = createClient({ url: mesh.urls[0]!, gatherSubmissions: false });
});

afterAll(async () => {
  await Promise.all([together, alone].map((client) => client[Symbol.asyncDispose]()));
  await mesh[Symbol.asyncDispose]();
});

const wrong = fc.constantFrom(
  { queue: "not ok" },
  { type: "not ok" },
  { startToCloseMs: 1 },
  { labels: { "": "a" } },
  { retry: { maximumAttempts: 1_000 } },
  { resultTtlMs: 1, delayMs: 1e12 },
  { taskId: "not ok" },
  { labels: { a: "x".repeat(5_000) } },
);
const right = fc.record(
  {
    priority: fc.constantFrom("low", "critical"),
    queue: fc.constantFrom("a", "b"),
    labels: fc.constant({ team: "a" }),
    scheduleToCloseMs: fc.constant(60_000),
    delayMs: fc.constantFrom(0, 1_000),
  },
  { requiredKeys: [] },
);
const submission = fc.record({
  options: fc.oneof({ weight: 4, arbitrary: right }, { weight: 1, arbitrary: wrong }),
  input: fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.uint8Array(), fc.constant("x".repeat(20_000))),
  // Few ids: some are submitted twice, with the same content or with another.
  id: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
});

interface Submission {
  readonly options: object;
  readonly input: unknown;
  readonly id: number | undefined;
}

let runs = 0;

async function outcomesOf(client: MycelClient, submissions: readonly Submission[]): Promise<unknown[]> {
  const prefix = `run-${(runs += 1)}-`;
  const answers = await Promise.allSettled(
    submissions.map(({ options, input, id }) =>
      client.submit("nobody-does-this", input, {
        ...(id === undefined ? {} : { taskId: `${prefix}${id}` }),
        ...options,
      }),
    ),
  );
  const outcomes = answers.map((answer, i) => {
    if (answer.status === "fulfilled") {
      const { existing, status } = answer.value;
      return { existing, state: status.state, id: submissions[i]!.id };
    }
    const { code, reason, message, violations, retryDelayMs, metadata } = answer.reason as MycelError;
    return { code, reason, message, violations, retryDelayMs, metadata, id: submissions[i]!.id };
  });
  // Which of two with the same id comes first is nobody's promise.
  return outcomes.map((outcome) => JSON.stringify(outcome).replaceAll(prefix, "")).sort();
}

test("submissions that travel together are answered as those that travel alone", async () => {
  // Of two with the same id, only one content: which of two would stand is nobody's promise either.
  const submissions = fc
    .array(submission, { minLength: 2, maxLength: 120 })
    .map((all) => all.map((each) => all.find(({ id }) => id !== undefined && id === each.id) ?? each));
  await fc.assert(
    fc.asyncProperty(submissions, async (all) => {
      expect(await outcomesOf(together, all)).toEqual(await outcomesOf(alone, all));
    }),
    { numRuns: 15 },
  );
});

test("of two different submissions with one id, only one is accepted", async () => {
  const answers = await Promise.allSettled([
    together.submit("nobody-does-this", 1, { taskId: "twice" }),
    together.submit("nobody-does-this", 2, { taskId: "twice" }),
    together.submit("nobody-does-this", 3),
  ]);
  expect(answers).toMatchObject([
    { status: "fulfilled" },
    { status: "rejected", reason: { reason: "TASK_ALREADY_EXISTS", metadata: { existing_task_id: "twice" } } },
    { status: "fulfilled" },
  ]);
});
