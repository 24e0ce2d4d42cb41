// What the command shows of a whole mesh, from real processes.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { type CliRun, runCli, startCli } from "../../support/cli.ts";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";

let stock: StockMesh;
let client: MycelClient;

beforeAll(async () => {
  stock = await openStockMesh();
  client = createClient({ url: stock.url });
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await stock[Symbol.asyncDispose]();
});

const json = async (...args: string[]): Promise<unknown> => {
  const { code, stdout, stderr } = await runCli(stock.url, [...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as unknown;
};

describe("mycel status", () => {
  test("shows the mesh at a glance, with the queue that nobody pulls from and what has failed", async () => {
    const { taskId } = await client.submit("echo", { unknown: true });
    await client.outcome(taskId);
    const waiting = await client.submit("nobody-can", 1);
    await client.queues.pauseQueue({ queue: "nobody-can", reason: "until somebody can" });
    await expect.poll(async () => (await client.count({ types: ["nobody-can"] })).total).toBe(1);
    await expect.poll(async () => (await client.count({ states: ["failed"] })).total).toBe(1);
    const { code, stdout } = await runCli(stock.url, ["status"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`✓ ${stock.url}  serving\n\nagents        1 active; 0 of `);
    expect(stdout).toMatch(/^open tasks {4}1 submitted$/m);
    expect(stdout).toMatch(/^dead letters {2}1 in the last hour$/m);
    expect(stdout).toMatch(/^nobody-can +1 +0 +\S+Z +0 +paused: until somebody can$/m);
    expect(stdout).toMatch(new RegExp(`^${taskId} +echo +\\S+Z +INVALID_INPUT: `, "m"));
    expect(await json("status")).toMatchObject({
      healthy: true,
      coordinators: [{ url: stock.url, status: "serving" }],
      agents: [{ state: "AGENT_STATE_ACTIVE" }],
      openTasks: { total: 1, byState: { submitted: 1 } },
      queues: expect.arrayContaining([expect.objectContaining({ name: "nobody-can", waitingCount: "1" })]),
      deadLettersOfLastHour: { letters: [{ task: { taskId } }], more: false },
    });
    await client.cancel(waiting.taskId);
  });

  test("still shows how far a task is when one is named, and wants one for --wait", async () => {
    const { taskId } = await client.submit("echo", { message: "x" });
    await client.result(taskId);
    expect((await runCli(stock.url, ["status", taskId])).stdout).toMatch(/^task +\S+\nstate +completed\n/);
    const wrong = await runCli(stock.url, ["status", "--wait", "1s"]);
    expect(wrong).toMatchObject({ code: 2, stderr: "mycel: --wait needs a task\n" });
  });

  test("names every coordinator, and ends with 1 when none serves", async () => {
    const gone = "http://127.0.0.1:9";
    const half = await runCli(`${gone},${stock.url}`, ["status"]);
    expect(half.code).toBe(0);
    expect(half.stdout).toMatch(new RegExp(`^✗ ${gone} {2}unreachable: .*\\n✓ ${stock.url} {2}serving\\n`));
    const none = await runCli(gone, ["status"]);
    expect(none).toMatchObject({ code: 1, stderr: "mycel: no coordinator serves\n" });
  });
});

describe("mycel capabilities", () => {
  test("lists what agents offer, and who offers one type", async () => {
    expect((await runCli(stock.url, ["capabilities"])).stdout).toMatch(/^echo +1 +\d+ +\d+ +echo +\S.*$/m);
    expect(await json("capabilities", "echo")).toMatchObject({ type: "echo", agents: 1, queues: ["echo"] });
    const [agent] = await Array.fromAsync(client.agents());
    expect((await runCli(stock.url, ["capabilities", "echo"])).stdout).toContain(`\n${agent!.agentId}  `);
    const none = await runCli(stock.url, ["capabilities", "nobody-can"]);
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/^mycel: no registered agent can do "nobody-can": there are .*echo.*\n$/);
  });
});

describe("mycel bench", () => {
  test("says how many tasks were completed, how fast, and what failed", async () => {
    const args = ["bench", "--tasks", "40", "--concurrency", "8", "--bytes", "10"];
    const { code, stdout, stderr } = await runCli(stock.url, args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`echo × 40, 8 at once, 10-byte messages, to ${stock.url}\n\ncompleted       40 of 40 in `);
    expect(stdout).toMatch(/^rate +[\d,]+\/s\nacknowledged +p50 .* max .*\nresult in hand +p50 .*\nerrors +none$/m);
    const wrong = await runCli(stock.url, ["bench", "--tasks", "4", "--input", '{"message":7}', "--json"]);
    expect(wrong.code).toBe(1);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ tasks: 4, completed: 0, errors: { INVALID_INPUT: 4 } });
  });

  test("runs nothing of a type that nobody can do", async () => {
    const line = 'mycel: no registered agent can do "nobody-can"; see "mycel capabilities"\n';
    expect(await runCli(stock.url, ["bench", "--type", "nobody-can"])).toMatchObject({ code: 1, stderr: line });
  });
});

describe("mycel tail", () => {
  test("prints the changes of tasks as they come, those that match and no others", async () => {
    await using everything = await tail(["tail"]);
    await using failures = await tail(["tail", "--state", "failed", "--json"]);
    const good = await client.submit("echo", { message: "good" });
    const bad = await client.submit("echo", { message: 7 });
    await Promise.all([everything.run.until(`${bad.taskId}  INVALID_INPUT`), failures.run.until(bad.taskId)]);
    const lines = everything.lines();
    expect(lines.filter((line) => line.includes(good.taskId))).toEqual([
      expect.stringMatching(/^\S+Z {2}submitted {4}echo {2}\S+$/),
      expect.stringMatching(/^\S+Z {2}completed {4}echo {2}\S+ {2}\d+ms on stock-\S+$/),
    ]);
    const told = failures.lines().map((line) => (JSON.parse(line) as { change: { taskId: string } }).change.taskId);
    expect(told).toContain(bad.taskId);
    expect(told).not.toContain(good.taskId);
  });
});

interface Tail extends AsyncDisposable {
  readonly run: CliRun;
  /** What was printed so far, whole lines. */
  lines(): string[];
}

/** Starts a tail, and resolves when it tells of what happens: of tasks that fail, one after the other, until it does. */
async function tail(args: string[]): Promise<Tail> {
  const run = startCli(stock.url, args);
  let text = "";
  run.process.stdout.on("data", (piece: Buffer) => (text += piece.toString()));
  await expect
    .poll(
      async () => {
        const { taskId } = await client.submit("echo", { message: 1 });
        await client.outcome(taskId);
        return text;
      },
      { timeout: 30_000 },
    )
    .not.toBe("");
  return {
    run,
    lines: () => text.split("\n").slice(0, -1),
    async [Symbol.asyncDispose]() {
      run.process.kill("SIGINT");
      expect((await run.done).code).toBe(130);
    },
  };
}
