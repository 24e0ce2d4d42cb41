// `mycel queue` and `mycel explain` as a real process prints them, against a real coordinator.
import { fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService, type SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import { durationFromMs } from "../../../lib/wire/time-codec.ts";
import { runCli } from "../../support/cli.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let url: string;
let agents: Client<typeof AgentService>;
beforeAll(async () => {
  mesh = await openMesh({ leaseMs: 1_000 });
  url = mesh.urls[0]!;
  agents = createClient(AgentService, createGrpcTransport({ baseUrl: url }));
});
afterAll(() => mesh[Symbol.asyncDispose]());

const run = (...args: string[]): ReturnType<typeof runCli> => runCli(url, args);

/** Submits over the wire: processes are slow. */
async function submit(queue: string, more: MessageInitShape<typeof SubmitTaskRequestSchema> = {}): Promise<string> {
  return (await agents.submitTask({ type: "t", queue, ...more })).taskId;
}

/** Columns apart, as words. */
const words = (line: string | undefined): string[] => (line ?? "").trim().split(/ {2,}/);

describe("queue", () => {
  test("lists the queues, a line each", async () => {
    await submit("listed-b");
    await submit("listed-a", { priority: Priority.HIGH });
    const { code, stdout, stderr } = await run("queue", "list");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [head, ...lines] = stdout.trimEnd().split("\n");
    expect(words(head)).toEqual([
      "QUEUE",
      "STATE",
      "WAITING",
      "IN FLIGHT",
      "OLDEST",
      "IN/S",
      "OUT/S",
      "AGENTS",
      "BUSY",
    ]);
    const listed = lines.filter((line) => line.startsWith("listed-")).map(words);
    expect(listed).toEqual([
      ["listed-a", "open", "1", "0", expect.stringMatching(/^20.*Z$/), "-", "-", "0", "0/0"],
      ["listed-b", "open", "1", "0", expect.stringMatching(/^20.*Z$/), "-", "-", "0", "0/0"],
    ]);
    const json = JSON.parse((await run("queue", "list", "--json")).stdout) as { queues: { name: string }[] };
    expect(json.queues.find(({ name }) => name === "listed-a")).toMatchObject({
      waitingCount: "1",
      lanes: [{ priority: "PRIORITY_CRITICAL" }, { priority: "PRIORITY_HIGH", waitingCount: "1" }, {}, {}],
    });
  });

  test("shows one queue by priority", async () => {
    await submit("shown", { priority: Priority.LOW });
    const { stdout } = await run("queue", "show", "shown");
    const [facts = "", lanes = ""] = stdout.split("\n\n");
    expect(facts.split("\n").map(words)).toEqual([
      ["queue", "shown"],
      ["state", "open"],
      ["waiting", "1"],
      ["in flight", "0"],
      ["oldest", expect.stringMatching(/^20.*Z$/)],
      ["agents", "none"],
      ["busy", "0/0"],
    ]);
    expect(
      lanes
        .trimEnd()
        .split("\n")
        .map((line) => words(line).slice(0, 3)),
    ).toEqual([
      ["PRIORITY", "WAITING", "IN FLIGHT"],
      ["critical", "0", "0"],
      ["high", "0", "0"],
      ["normal", "0", "0"],
      ["low", "1", "0"],
    ]);
  });

  test("pauses and resumes", async () => {
    await submit("stopped");
    const paused = await run("queue", "pause", "stopped", "--for", "10m", "--reason", "deploy");
    expect(paused.code).toBe(0);
    expect(paused.stdout).toMatch(/state +paused\nsince +20\S+Z\nuntil +20\S+Z\nreason +deploy\n/);
    const endless = await run("queue", "pause", "stopped", "--json");
    expect(JSON.parse(endless.stdout)).toMatchObject({ name: "stopped", pause: { reason: "" } });
    expect((await run("queue", "list")).stdout).toMatch(/^stopped +paused/m);
    expect((await run("queue", "resume", "stopped")).stdout).toMatch(/state +open\n/);
  });

  test("purges until nothing is left, or its limit is reached", async () => {
    for (let i = 0; i < 3; i += 1) await submit("emptied");
    await submit("emptied", { start: { case: "delay", value: durationFromMs(3_600_000) } });
    const first = await run("queue", "purge", "emptied", "--limit", "1", "--state", "submitted");
    expect(first).toMatchObject({ code: 0, stdout: "1 task canceled; at least 2 left\n" });
    const rest = await run("queue", "purge", "emptied", "--reason", "wrong", "--json");
    expect(JSON.parse(rest.stdout)).toEqual({ purgedCount: "3", remainingCount: "0" });
    expect((await run("queue", "purge", "emptied")).stdout).toBe("0 tasks canceled\n");
  });

  test.for([
    [["show", "nobody"], 1, 'mycel: no queue "nobody"\n'],
    [
      ["pause", "stopped", "--for", "1m", "--until", "2030-01-01T00:00:00Z"],
      2,
      "mycel: give --for or --until, not both\n",
    ],
    [["pause", "stopped", "--until", "tomorrow"], 2, /Write a time like 2030-01-31T18:00:00Z/],
    [["pause", "stopped", "--for", "31d"], 2, /duration: must be from 1 s to 2592000 s/],
    [["purge", "stopped", "--state", "working"], 2, /Choose from submitted, scheduled, backing_off/],
    [["purge", "stopped", "--priority", "huge"], 2, /Choose from low, normal, high, critical/],
  ] as const)("%j ends in one line", async ([args, code, line]) => {
    await submit("stopped");
    const ended = await run("queue", ...args);
    expect([ended.code, ended.stdout]).toEqual([code, ""]);
    expect(ended.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(ended.stderr).toMatch(line);
  });
});

describe("explain", () => {
  test("says what a task waits for", async () => {
    await submit("asked");
    const taskId = await submit("asked", { timeouts: { scheduleToStart: durationFromMs(3_600_000) } });
    await run("queue", "pause", "asked", "--reason", "deploy");
    const { code, stdout } = await run("explain", taskId);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n").map(words)).toEqual([
      ["task", taskId],
      ["state", "submitted"],
      ["queue", "asked, normal priority"],
      ["because", expect.stringMatching(/^queue asked is paused since 20\S+Z, until it is resumed \(deploy\)$/)],
      ["and", "no registered agent takes tasks of type t from queue asked"],
      ["and", "1 task comes first"],
      ["limit", expect.stringMatching(/^start 20\S+Z, else the task ends$/)],
    ]);
    const json = JSON.parse((await run("explain", taskId, "--json")).stdout) as { reasons: { code: string }[] };
    expect(json.reasons.map((reason) => reason.code)).toEqual([
      "EXPLANATION_CODE_QUEUE_PAUSED",
      "EXPLANATION_CODE_NO_CAPABLE_AGENT",
      "EXPLANATION_CODE_BEHIND_OTHERS",
    ]);
  });

  test("says who works, and how a task ended", async () => {
    await using _agent = await mesh.startAgent("explained");
    const input = { kind: { case: "json", value: fromJson(ValueSchema, { until: "never" }) } } as const;
    const { taskId } = await agents.submitTask({ type: "work", input });
    await expect
      .poll(async () => (await agents.explainTask({ taskId })).explanation?.reasons[0]?.agentId, { timeout: 5_000 })
      .toBe("explained");
    expect((await run("explain", taskId)).stdout).toMatch(/because +agent explained runs attempt 1 since 20/);
    await agents.cancelTask({ taskId, reason: "enough" });
    expect((await run("explain", taskId)).stdout).toMatch(/because +it was canceled at 20\S+Z \(enough\)\n$/);
  });

  test("ends in one line for a task that is not there", async () => {
    expect(await run("explain", "nobody")).toMatchObject({ code: 1, stdout: "", stderr: 'mycel: no task "nobody"\n' });
  });
});
