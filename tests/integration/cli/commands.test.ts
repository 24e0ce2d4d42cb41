// What the `mycel` command prints and how it ends, as a real process against a real port.
import { mkdtemp, readFile, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SubmitTaskRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import { runCli, startCli } from "../../support/cli.ts";
import { type FakeCoordinator, openFakeCoordinator } from "../../support/fake-coordinator.ts";
import { fakeAgent } from "../../support/fake-fleet.ts";

let mesh: FakeCoordinator;
beforeAll(async () => {
  mesh = await openFakeCoordinator();
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

describe("submit", () => {
  test("prints only the id", async () => {
    const { code, stdout, stderr } = await runCli(mesh.url, ["submit", "echo", '{"a":1}', "--id", "plain"]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "plain\n", stderr: "" });
  });

  test("puts its flags on the wire", async () => {
    const args = [
      "submit",
      "echo",
      "1",
      "--id",
      "flags",
      "--priority",
      "high",
      "--queue",
      "q",
      "--label",
      "team=a",
      "--label",
      "x=y=z",
    ];
    const more = ["--delay", "5s", "--start-to-close", "1.5m", "--max-attempts", "7", "--json"];
    const { code, stdout } = await runCli(mesh.url, [...args, ...more]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      taskId: "flags",
      existing: false,
      status: { state: "TASK_STATE_COMPLETED" },
    });
    const request = mesh.calls.findLast(({ method }) => method === "SubmitTask")!.request as SubmitTaskRequest;
    expect(request).toMatchObject({
      priority: Priority.HIGH,
      queue: "q",
      labels: { team: "a", x: "y=z" },
      start: { case: "delay", value: { seconds: 5n } },
      timeouts: { startToClose: { seconds: 90n } },
      retryPolicy: { maximumAttempts: 7 },
    });
  });

  test("prints the result with --wait, from stdin", async () => {
    const { code, stdout } = await runCli(mesh.url, ["submit", "echo", "-", "--wait"], { stdin: '{"from":"stdin"}' });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '{"from":"stdin"}\n' });
  });

  test("prints the whole task with --wait --json, from a file", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "mycel-")), "input.json");
    await writeFile(file, "[1,2]");
    const { code, stdout } = await runCli(mesh.url, ["submit", "echo", `@${file}`, "--wait", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      type: "echo",
      result: { json: [1, 2] },
      status: { state: "TASK_STATE_COMPLETED" },
    });
  });

  test("sends bytes as they are", async () => {
    const { code, stdout } = await runCli(mesh.url, ["submit", "echo", "-", "--wait", "--bytes", "text/plain"], {
      stdin: "not json",
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "not json" });
  });

  test("prints events with --stream", async () => {
    const { code, stdout } = await runCli(mesh.url, ["submit", "story", '"in"', "--stream"]);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/^\S+\s+/, ""));
    expect(lines[0]).toMatch(/^completed {4}task t-[0-9a-f]+ \(story\)$/);
    expect(lines.slice(1)).toEqual([
      "working      attempt 1 of 3 on agent-1",
      "log          INFO reading",
      "progress     50 % half way",
      'chunk        "one"',
      'chunk        "two"',
      'chunk        "three"',
      'completed    "in"',
    ]);
  });

  test("ends with 1 and one line when the task failed", async () => {
    const { code, stdout, stderr } = await runCli(mesh.url, ["submit", "fail", "--id", "bad-end", "--wait"]);
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: "",
      stderr: "mycel: task bad-end failed: division by zero\n",
    });
    const streamed = await runCli(mesh.url, ["submit", "fail", "--id", "bad-end", "--stream"]);
    expect(streamed.code).toBe(1);
    expect(streamed.stdout).toMatch(/failed +HANDLER_ERROR: division by zero\n$/);
    expect(streamed.stderr).toBe("");
  });

  test("stops staying after --timeout", async () => {
    const { code, stderr } = await runCli(mesh.url, ["submit", "idle", "--id", "slow", "--wait", "--timeout", "300ms"]);
    const line = "mycel: no end within 300ms: task slow goes on; follow it with: mycel watch slow\n";
    expect({ code, stderr }).toEqual({ code: 1, stderr: line });
  });

  test("names the task that goes on when Ctrl-C ends the stay", async () => {
    const run = startCli(mesh.url, ["submit", "idle", "--id", "left", "--stream"]);
    await run.until("submitted");
    run.process.kill("SIGINT");
    const { code, stderr } = await run.done;
    expect({ code, stderr }).toEqual({ code: 130, stderr: "task left goes on; follow it with: mycel watch left\n" });
  });
});

describe("one task", () => {
  test("status, get, cancel and retry say what is", async () => {
    await runCli(mesh.url, ["submit", "idle", '"x"', "--id", "life", "--label", "team=a"]);
    const status = await runCli(mesh.url, ["status", "life"]);
    expect(status.stdout).toMatch(/^task {5}life\nstate {4}submitted\ncreated {2}\d{4}-\d\d-\d\dT[\d:.]+Z\n$/);
    const got = await runCli(mesh.url, ["get", "life"]);
    expect(got.stdout).toMatch(
      /^task +life\ntype +idle\nqueue +idle\npriority +normal\nlabels +team=a\nstate +submitted\n/,
    );
    expect(got.stdout).toMatch(/\ninput +"x"\n$/);
    const canceled = await runCli(mesh.url, ["cancel", "life", "--reason", "not\u001b[31m needed", "--json"]);
    expect(JSON.parse(canceled.stdout)).toMatchObject({
      taskId: "life",
      state: "TASK_STATE_CANCELED",
      deadLetter: false,
    });
    const after = await runCli(mesh.url, ["status", "life"]);
    expect(after.stdout).toContain("canceled  not needed\n");
    await runCli(mesh.url, ["submit", "fail", "--id", "dead"]);
    const again = await runCli(mesh.url, ["retry", "dead"]);
    expect({ code: again.code, stdout: again.stdout }).toEqual({ code: 0, stdout: "dead-again\n" });
    expect(JSON.parse((await runCli(mesh.url, ["retry", "dead", "--json"])).stdout)).toMatchObject({ existing: true });
  });

  test("status --wait ends with 1 unless the task is completed", async () => {
    await runCli(mesh.url, ["submit", "echo", "--id", "fine"]);
    await runCli(mesh.url, ["submit", "idle", "--id", "never"]);
    expect((await runCli(mesh.url, ["status", "fine", "--wait", "5s"])).code).toBe(0);
    const never = await runCli(mesh.url, ["status", "never", "--wait", "50ms", "--json"]);
    expect(never.code).toBe(1);
    expect(JSON.parse(never.stdout)).toMatchObject({ state: "TASK_STATE_SUBMITTED" });
  });

  test("watch --json prints a JSON object a line, and goes on after a cursor", async () => {
    await runCli(mesh.url, ["submit", "story", "--id", "tale"]);
    const { code, stdout } = await runCli(mesh.url, [
      "watch",
      "tale",
      "--json",
      "--cursor",
      "c5",
      "--kinds",
      "chunk,state",
    ]);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ cursor }) => cursor)).toEqual(["c5", "c6", "c7"]);
    expect(lines[1]).toMatchObject({ sequence: "6", output: { attempt: 1, output: { chunk: { json: "three" } } } });
  });

  test("watch survives a lost connection, and Ctrl-C ends it with 130", async () => {
    await runCli(mesh.url, ["submit", "idle", "--id", "long"]);
    const run = startCli(mesh.url, ["watch", "long"]);
    await run.until("submitted");
    const before = mesh.count("StreamResults");
    mesh.cut();
    await expect.poll(() => mesh.count("StreamResults")).toBe(before + 1);
    run.process.kill("SIGINT");
    const { code, stderr } = await run.done;
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
  });
});

describe("lists", () => {
  test("list, count and dead-letters print tables and JSON", async () => {
    await using own = await openFakeCoordinator();
    for (let i = 0; i < 3; i += 1) await runCli(own.url, ["submit", "echo", "--id", `e-${i}`]);
    await runCli(own.url, ["submit", "fail", "--id", "f-0"]);
    const list = await runCli(own.url, ["list", "--type", "echo", "--limit", "2"]);
    const [head, ...rows] = list.stdout.trimEnd().split("\n");
    expect(head).toMatch(/^TASK {2}TYPE {2}STATE {6}TRY {2}AGENT {4}CREATED$/);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatch(/^e-0 {3}echo {2}completed {2}1\/3 {2}agent-1 {2}\d{4}-/);
    expect(list.stderr).toBe("There are more than these 2; see further with --limit\n");
    const json = JSON.parse((await runCli(own.url, ["list", "--json"])).stdout) as { tasks: unknown[]; more: boolean };
    expect([json.tasks.length, json.more]).toEqual([4, false]);
    expect((await runCli(own.url, ["count"])).stdout).toBe(
      "STATE      TASKS\ncompleted      3\nfailed         1\ntotal          4\n",
    );
    expect(JSON.parse((await runCli(own.url, ["count", "--json"])).stdout)).toMatchObject({ totalCount: "4" });
    expect((await runCli(own.url, ["dead-letters"])).stdout).toMatch(
      /^TASK {2}TYPE .*\nf-0 {3}fail .*HANDLER_ERROR {2}division by zero\n$/,
    );
    const none = await runCli(own.url, ["list", "--state", "canceled"]);
    expect({ code: none.code, stdout: none.stdout, stderr: none.stderr }).toEqual({
      code: 0,
      stdout: "",
      stderr: "no tasks\n",
    });
  });

  test("agents are listed and watched", async () => {
    await using own = await openFakeCoordinator();
    expect((await runCli(own.url, ["agents"])).stderr).toBe("no agents are registered\n");
    expect((await runCli(own.url, ["agents", "--type", "x"])).stderr).toBe('no agents are registered for "x"\n');
    own.agents.set("agent-1", fakeAgent("agent-1", ["echo", "code-analysis"], 2));
    const { stdout } = await runCli(own.url, ["agents"]);
    expect(stdout).toMatch(/^AGENT .*\nagent-1 {2}worker 1\.2\.3 {2}active {2}2\/4 {3}echo, code-analysis {2}\d{4}-/);
    expect(JSON.parse((await runCli(own.url, ["agents", "--json"])).stdout)).toMatchObject({
      agents: [{ agentId: "agent-1" }],
    });
    const run = startCli(own.url, ["agents", "--watch", "--json"]);
    await run.until("AGENT_CHANGE_SYNCED");
    run.process.kill("SIGINT");
    const { code, stdout: lines } = await run.done;
    expect(code).toBe(130);
    expect(lines.split("\n")[0]).toContain('"change":"AGENT_CHANGE_ADDED"');
  });
});

describe("blobs", () => {
  test("go there and back", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mycel-"));
    const [source, target] = [join(folder, "source"), join(folder, "target")];
    const content = Buffer.alloc(500_000, "mycel");
    await writeFile(source, content);
    const put = await runCli(mesh.url, ["blob", "put", source, "--content-type", "text/plain", "--json"]);
    const { blobId, sizeBytes } = JSON.parse(put.stdout) as { blobId: string; sizeBytes: string };
    expect(sizeBytes).toBe("500000");
    expect((await runCli(mesh.url, ["blob", "get", blobId, "-o", target])).code).toBe(0);
    expect((await readFile(target)).equals(content)).toBe(true);
    const piped = await runCli(mesh.url, ["blob", "put", "-"], { stdin: "short" });
    expect((await runCli(mesh.url, ["blob", "get", piped.stdout.trim()])).stdout).toBe("short");
    const missing = await runCli(mesh.url, ["blob", "get", "nothing", "-o", join(folder, "none")]);
    expect({ code: missing.code, stderr: missing.stderr }).toEqual({ code: 1, stderr: 'mycel: no blob "nothing"\n' });
    expect((await readdir(folder)).sort()).toEqual(["source", "target"]);
  });
});

describe("mistakes", () => {
  const cases: [string[], number, string | RegExp][] = [
    [["sumbit"], 2, "mycel: unknown command 'sumbit' (did you mean submit?)\n"],
    [["submit", "echo", "--labell", "x"], 2, "mycel: unknown option '--labell' (did you mean --label?)\n"],
    [["submit"], 2, "mycel: missing required argument 'type'; see \"mycel submit --help\"\n"],
    [
      ["submit", "echo", '{"a" 1}'],
      2,
      "mycel: the input is not JSON: Expected ':' after property name at line 1, column 6\n",
    ],
    [["submit", "echo", '{"a":\n 1,,}'], 2, /^mycel: the input is not JSON: .* at line 2, column 4\n$/],
    [
      ["submit", "echo", '{"a":'],
      2,
      "mycel: the input is not JSON: Unexpected end of JSON input at line 1, column 6\n",
    ],
    [
      ["submit", "echo", "hello"],
      2,
      /^mycel: the input is not JSON: Unexpected token 'h' at line 1, column \d+\. A string needs its own quotes: '"hello"'\n$/,
    ],
    [["submit", "echo", "-"], 2, "mycel: stdin is not JSON: it is empty\n"],
    [["submit", "echo", "@/no/such.json"], 2, "mycel: cannot read /no/such.json: no such file\n"],
    [
      ["submit", "echo", "--delay", "5"],
      2,
      /^mycel: option '--delay <duration>' argument '5' is invalid\. Write a duration like 500ms, 5s, 2m, 1h or 1d; see "mycel submit --help"\n$/,
    ],
    [["submit", "echo", "--priority", "urgent"], 2, /Allowed choices are low, normal, high, critical/],
    [["submit", "echo", "--wait", "--stream"], 2, /cannot be used with/],
    [["submit", "echo", "--timeout", "1s"], 2, "mycel: --timeout needs --wait or --stream\n"],
    [["list", "--state", "done"], 2, /Choose from scheduled, submitted, working/],
    [["--url", "localhost:8080", "count"], 2, 'mycel: url must be like http://127.0.0.1:8080, got "localhost:8080"\n'],
    [["blob", "put", "/no/such"], 2, "mycel: cannot read /no/such: no such file\n"],
    [["status", "nobody"], 1, 'mycel: no task "nobody"\n'],
    [["submit", "not ok"], 2, "mycel: type: must be 1 to 64 characters of A-Z a-z 0-9 _ -\n"],
    [
      ["--url", "http://127.0.0.1:1", "count"],
      1,
      'mycel: cannot connect to http://127.0.0.1:1: connection refused. Is a coordinator running? Start one with "mycel up", or name one with --url\n',
    ],
  ];
  test.for(cases)("%o ends with %i and one line", async ([args, code, line]) => {
    const result = await runCli(mesh.url, args);
    expect(result.stdout).toBe("");
    if (typeof line === "string") expect(result.stderr).toBe(line);
    else expect(result.stderr).toMatch(line);
    expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(result.code).toBe(code);
  });
});

describe("the process", () => {
  test("says nothing when its reader has seen enough", async () => {
    await runCli(mesh.url, ["submit", "idle", "--id", "piped"]);
    const run = startCli(mesh.url, ["watch", "piped", "--json"]);
    await run.until("snapshot");
    run.process.stdout.destroy();
    mesh.complete("piped", "x".repeat(100_000));
    const { code, stderr } = await run.done;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("prints no colours into a pipe", async () => {
    await runCli(mesh.url, ["submit", "echo", "--id", "grey"]);
    expect((await runCli(mesh.url, ["status", "grey"], { env: { FORCE_COLOR: "0" } })).stdout).not.toContain("\u001b");
  });

  test("takes several coordinators", async () => {
    const { code, stdout } = await runCli("http://127.0.0.1:1", [
      "--url",
      `http://127.0.0.1:1, ${mesh.url}`,
      "submit",
      "echo",
      "7",
      "--wait",
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "7\n" });
  });

  test.for([
    "submit",
    "watch",
    "status",
    "get",
    "cancel",
    "list",
    "count",
    "dead-letters",
    "retry",
    "agents",
    "doctor",
  ])("teaches by example in the help of %s", async (command) => {
    const { code, stdout } = await runCli(mesh.url, [command, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`\\nExamples:\\n {2}\\$ mycel ${command}`));
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(110);
  });
});

describe("doctor", () => {
  test("finds a mesh in order", async () => {
    await using own = await openFakeCoordinator();
    own.agents.set("agent-1", fakeAgent("agent-1"));
    const { code, stdout } = await runCli(own.url, ["doctor", "--json"]);
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { name: string; state: string }[] };
    expect([code, ok]).toEqual([0, true]);
    expect(checks.filter(({ name }) => name !== "nats").map(({ name, state }) => `${name}:${state}`)).toEqual([
      "node:ok",
      "coordinator:ok",
      "reflection:ok",
      "clock:ok",
      "agents:ok",
      "inference:skipped",
      "round trip:ok",
    ]);
  });

  test.for<[line: string, type: string, labels: Record<string, string>]>([
    [
      "– inference    no agent offers it: no key is set\n               Start an agent with OPENAI_API_KEY",
      "echo",
      { inference: "no key is set" },
    ],
    [
      "✓ inference    1 of 1 agents: openai, small by default\n",
      "inference",
      { inference: "openai, small by default" },
    ],
  ])("says %j of an agent for %s with labels %j", async ([line, type, labels]) => {
    await using own = await openFakeCoordinator();
    own.agents.set("agent-1", { ...fakeAgent("agent-1", [type]), labels });
    const { code, stdout } = await runCli(own.url, ["doctor"]);
    expect(code).toBe(0);
    expect(stdout).toContain(line);
  });

  test("ends with 1 and advice when nobody answers", async () => {
    const { code, stdout, stderr } = await runCli("http://127.0.0.1:1", ["doctor"], {
      env: { NATS_URL: "nats://user:secret@127.0.0.1:1" },
    });
    expect(code).toBe(1);
    expect(stderr).toBe("");
    expect(stdout).toContain(
      '✗ coordinator  http://127.0.0.1:1: connection refused\n               Start one with "mycel up"',
    );
    expect(stdout).toContain("✗ nats         no NATS server answers at nats://127.0.0.1:1\n");
    expect(stdout).toContain("– agents       not checked: it needs the coordinator\n");
  });
});
