// A hostile agent of a tenant, with every right that it has on the bus: what it says of work that it was not given counts for nothing.

import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ReportSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { stateOf } from "../../../lib/core/task.ts";
import { LeaseTokens } from "../../../lib/wire/lease-token.ts";
import { encodeDispatch, viewOf } from "../../../lib/wire/task-codec.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { type Delivery, openParts, type Parts } from "../coordinator/open-parts.ts";

const SERVED = "default=work=5";
const tokens = new LeaseTokens("a secret");
let parts: Parts;

beforeEach(async () => {
  parts = await openParts(
    {},
    { tokens, serves: ({ agentId }, consumer) => agentId !== "stranger" && consumer === SERVED },
  );
});

afterEach(() => parts[Symbol.asyncDispose]());

const COMPLETE: MessageInitShape<typeof ReportSchema> = { kind: { case: "complete", value: {} } };
const begin = (redelivery: boolean): MessageInitShape<typeof ReportSchema> => ({
  kind: { case: "begin", value: { redelivery } },
});

async function given(taskId: string): Promise<Delivery & { readonly leaseToken: string }> {
  await parts.submit({ taskId });
  const delivery = await parts.pull();
  const record = await parts.taskLog.readLatest(TENANT, taskId);
  return { ...delivery, leaseToken: record!.dispatch.message.leaseToken };
}

async function state(taskId: string): Promise<string> {
  return stateOf(viewOf((await parts.taskLog.readLatest(TENANT, taskId))!));
}

test("whoever was given a task completes it at once with the token of its dispatch", async () => {
  const delivery = await given("own");
  const result = await parts.report(delivery, { ...COMPLETE, leaseToken: delivery.leaseToken }, "honest");
  expect(result.outcome.case).toBe("accepted");
  expect(await state("own")).toBe("completed");
  await expect.poll(() => parts.unacknowledged()).toBe(0);
});

test.for<[string, MessageInitShape<typeof ReportSchema>]>([
  ["completed", COMPLETE],
  ["failed", { kind: { case: "fail", value: { failure: { message: "no", retryable: false } } } }],
  ["begun", begin(false)],
  ["begun as a redelivery", begin(true)],
  ["snoozed", { kind: { case: "snooze", value: {} } }],
  ["handed back", { kind: { case: "handBack", value: { started: true } } }],
])("a task that somebody else was given is not %s by an agent that made its delivery up", async ([, report]) => {
  const held = await given("foreign");
  const own = await given("own");
  const forged = [
    // As it could know it: everything but the token.
    { ...held, leaseToken: "" },
    { ...held, leaseToken: own.leaseToken },
    { ...own, taskId: held.taskId, leaseToken: own.leaseToken },
    { ...held, leaseToken: `d${"A".repeat(22)}` },
  ];
  for (const { leaseToken, ...delivery } of forged) {
    const { outcome } = await parts.report(delivery, { ...report, leaseToken }, "hostile");
    expect(outcome).toMatchObject({ case: "refused", value: { reason: "INVALID_REPORT" } });
  }
  expect(await state("foreign")).toBe("submitted");
  expect(await parts.unacknowledged()).toBe(2);
});

test("an attempt is ended only by the agent that began it, even if another one knows its number, its fence and its dispatch's token", async () => {
  const held = await given("begun");
  const { outcome } = await parts.report(held, { ...begin(false), leaseToken: held.leaseToken }, "honest");
  if (outcome.case !== "accepted") throw new Error("not begun");
  const { fence, leaseToken } = outcome.value;
  for (const token of [leaseToken, held.leaseToken, ""]) {
    const stolen = await parts.report(held, { ...COMPLETE, fence, leaseToken: token }, "hostile");
    expect(stolen.outcome).toMatchObject({ case: "refused", value: { reason: "INVALID_REPORT" } });
  }
  expect(await parts.unacknowledged()).toBe(1);
  const ended = await parts.report(held, { ...COMPLETE, fence, leaseToken }, "honest");
  expect(ended.outcome.case).toBe("accepted");
});

test("what an agent was given over one lane acknowledges nothing of another", async () => {
  const held = await given("own");
  const other = held.reply.replace("default=work=5", "default=payroll=5");
  const { outcome } = await parts.report(
    { ...held, reply: other },
    { ...COMPLETE, leaseToken: held.leaseToken },
    "hostile",
  );
  expect(outcome).toMatchObject({ case: "refused", value: { reason: "INVALID_REPORT" } });
});

test("coordinators with another secret go by the log: the agent that holds an attempt ends it, and no other", async () => {
  const [first, second] = [await given("begun"), await given("unseen")];
  const { outcome } = await parts.report(first, { ...begin(false), leaseToken: first.leaseToken }, "honest");
  if (outcome.case !== "accepted") throw new Error("not begun");
  const report = parts.reportElsewhere({ tokens: new LeaseTokens("another secret"), serves: () => true });
  const { fence, leaseToken } = outcome.value;

  const stolen = await report(first, { ...COMPLETE, fence, leaseToken }, "hostile");
  expect(stolen.outcome.case).toBe("refused");
  expect((await report(first, { ...COMPLETE, fence, leaseToken }, "honest")).outcome.case).toBe("accepted");
  expect((await report(second, { ...COMPLETE, leaseToken: "" }, "hostile")).outcome.case).toBe("refused");
  const { outcome: ended } = await report(second, { ...COMPLETE, leaseToken: second.leaseToken }, "honest");
  expect(ended.case).toBe("accepted");
});

test("a dispatch from before there were tokens is for whoever serves its lane", async () => {
  const body = encodeDispatch(
    create(DispatchSchema, { task: { taskId: "old", type: "work", queue: "work" }, attempt: 1, fence: 0n }),
  );
  await parts.submit({ taskId: "makes-the-lane" });
  await parts.pull();
  const trace = { traceparent: "", tracestate: "" };
  await parts.taskLog.dispatch({ tenant: TENANT, taskId: "old", queue: "work", priority: 5, body, trace }, 0);
  const delivery = await parts.pull();

  expect((await parts.report(delivery, COMPLETE, "stranger")).outcome.case).toBe("refused");
  expect((await parts.report(delivery, COMPLETE, "honest")).outcome.case).toBe("accepted");
});
