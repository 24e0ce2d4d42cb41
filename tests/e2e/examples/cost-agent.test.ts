// The cost agent of the examples, as a user would run it: as a process, through a real mesh, with figures that were reckoned apart from it
// (exact decimals in another language, from the same two tables).
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const AGENT = "examples/cost-agent/main.ts";
const run = promisify(execFile);

let mesh: TestMesh;
let agent: ChildProcess;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openMesh();
  const env = { ...process.env, MYCEL_URL: mesh.urls[0]! };
  agent = spawn(process.execPath, [AGENT], { cwd: ROOT, env, stdio: "ignore" });
  client = createClient({ url: mesh.urls[0]! });
  for await (const { kind } of client.watchAgents({ type: "right_size" })) if (kind === "added") break;
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  agent.kill("SIGKILL");
  await mesh[Symbol.asyncDispose]();
});

interface Failed {
  readonly stderr: string;
  readonly code: number;
}

interface Told {
  readonly [field: string]: unknown;
}

async function outcomeOf(
  type: string,
  input?: unknown,
): Promise<{ readonly result: Told; readonly chunks: readonly Told[]; readonly progress: readonly number[] }> {
  const started = client.run<Told>(type, input);
  const events = await Array.fromAsync(started);
  return {
    result: await started.result(),
    chunks: events.flatMap((event) => (event.kind === "chunk" ? [event.value as Told] : [])),
    progress: events.flatMap((event) => (event.kind === "progress" ? [event.fraction] : [])),
  };
}

/** Some fields of each entry. */
function pick(entries: unknown, ...fields: readonly string[]): unknown[][] {
  return (entries as Told[]).map((entry) => fields.map((field) => entry[field]));
}

test("analyze_cost tells where the money goes, dearest first", async () => {
  const { result, chunks, progress } = await outcomeOf("analyze_cost", { top: 3 });
  expect(result).toMatchObject({ usd: "8281.63", onDemandUsd: "8192.48", spotUsd: "89.14" });
  expect(pick(result["services"], "service", "usd")).toEqual([
    ["events", "2350.44"],
    ["orders-db", "1451.52"],
    ["recommender", "1184.40"],
    ["storefront", "975.79"],
    ["search", "665.28"],
    ["reports", "456.85"],
    ["checkout", "367.20"],
    ["ci", "292.16"],
    ["staging", "279.94"],
    ["internal-tools", "258.05"],
  ]);
  expect(pick(result["dearest"], "instanceId", "usd")).toEqual([
    ["i-1daf01", "1105.92"],
    ["i-1daf02", "1105.92"],
    ["i-0c3e03", "725.76"],
  ]);
  expect(pick(result["idle"], "instanceId", "usd")).toEqual([
    ["i-1c9e02", "138.24"],
    ["i-1b8d02", "119.81"],
    ["i-1c9e01", "69.12"],
  ]);
  expect(result["explanation"]).toBe(
    "36 instances cost $8281.63, 1.1 % of it for spot; 3 of them were idle and cost $327.17",
  );
  expect(chunks).toEqual(result["services"]);
  expect(progress.at(-1)).toBe(1);
});

test("analyze_cost keeps to the services that it is asked about", async () => {
  const { result } = await outcomeOf("analyze_cost", { services: ["checkout", "ci"] });
  expect(pick(result["services"], "service", "usd", "percent")).toEqual([
    ["checkout", "367.20", 55.7],
    ["ci", "292.16", 44.3],
  ]);
  expect(result["usd"]).toBe("659.36");
});

test("migrate_to_spot tells what may move, what it saves and risks, and why the rest stays", async () => {
  const { result, chunks } = await outcomeOf("migrate_to_spot");
  expect(result).toMatchObject({ usd: "8281.63", savingUsd: "1346.51", savingPercent: 16.3 });
  expect(pick(result["services"], "service", "savingUsd")).toEqual([
    ["storefront", "507.82"],
    ["checkout", "151.34"],
    ["reports", "248.83"],
    ["ci", "166.72"],
    ["internal-tools", "116.50"],
    ["staging", "86.26"],
    ["events", "69.05"],
  ]);
  expect(chunks).toEqual(result["moves"]);
  expect(chunks).toHaveLength(14);
  expect(chunks).toContainEqual({
    instanceId: "i-0e5a03",
    service: "reports",
    instanceType: "m6i.4xlarge",
    usd: "74.30",
    spotUsd: "29.62",
    savingUsd: "44.69",
    risk: "high",
    expectedInterruptions: 0.016,
    explanation: "96.75 h at $0.3061 instead of $0.768; 12 % are interrupted in a month",
  });
  const stays = result["stays"] as Told[];
  const reasons = Object.groupBy(stays, ({ reason }) => String(reason));
  expect(Object.fromEntries(Object.entries(reasons).map(([reason, all = []]) => [reason, all.length]))).toEqual({
    stateful: 10,
    "kept-on-demand": 5,
    "already-spot": 4,
    "interrupted-too-often": 3,
  });
  expect(stays).toContainEqual({
    instanceId: "i-0f6b03",
    service: "recommender",
    reason: "interrupted-too-often",
    explanation: "28 % of g5.xlarge are interrupted in a month, more than 15 %",
  });
});

test("migrate_to_spot takes fewer risks when it is told to", async () => {
  const { result, chunks } = await outcomeOf("migrate_to_spot", { maxInterruptionPercent: 10, keepOnDemand: 2 });
  expect(result["savingUsd"]).toBe("657.76");
  expect(pick(chunks, "instanceId").flat()).toEqual([
    "i-0a1c02",
    "i-0a1c03",
    "i-0b2d03",
    "i-1a7c01",
    "i-1a7c02",
    "i-1b8d02",
  ]);
});

test("right_size tells what fits, what that saves, and what is too small", async () => {
  const { result, chunks } = await outcomeOf("right_size");
  expect(result).toMatchObject({ savingUsd: "1702.34", savingPercent: 20.6, extraUsd: "138.60" });
  expect(pick(chunks, "instanceId", "advice", "betterType", "savingUsd")).toEqual([
    ["i-0a1c01", "shrink", "m6i.xlarge", "138.24"],
    ["i-0a1c02", "shrink", "m6i.xlarge", "138.24"],
    ["i-0a1c03", "shrink", "m6i.xlarge", "138.24"],
    ["i-0a1c04", "shrink", "m6i.xlarge", "60.00"],
    ["i-0c3e03", "shrink", "r6i.2xlarge", "362.88"],
    ["i-0e5a03", "shrink", "c6i.4xlarge", "8.51"],
    ["i-0f6b02", "shrink", "g4dn.xlarge", "81.36"],
    ["i-1b8d01", "shrink", "t3.medium", "29.95"],
    ["i-1b8d02", "shrink", "t3.medium", "89.86"],
    ["i-1c9e01", "shrink", "c6i.large", "7.92"],
    ["i-1c9e02", "shrink", "c6i.large", "77.04"],
    ["i-1c9e03", "shrink", "m6g.large", "17.14"],
    ["i-1daf01", "shrink", "m6i.4xlarge", "552.96"],
    ["i-1daf03", "grow", "m6g.2xlarge", "-110.88"],
    ["i-1daf04", "grow", "m6g.large", "-27.72"],
  ]);
  expect(result["instances"]).toHaveLength(36);
  expect((result["instances"] as Told[]).every(({ explanation }) => String(explanation).startsWith("needs "))).toBe(
    true,
  );
});

test.for<[type: string, input: unknown, failure: RegExp]>([
  ["analyze_cost", { top: 0, more: 1 }, /^INVALID_INPUT: invalid input: top: .+; .*more/],
  ["migrate_to_spot", { keepOnDemand: 1.5 }, /^INVALID_INPUT: invalid input: keepOnDemand: .+int/],
  ["right_size", { headroomPercent: "20" }, /^INVALID_INPUT: invalid input: headroomPercent: .+number/],
  ["right_size", "all", /^INVALID_INPUT: invalid input: .+object/],
])("%s says in one line why %j is wrong", async ([type, input, failure]) => {
  const { taskId } = await client.submit(type, input);
  const outcome = await client.outcome(taskId);
  const told = outcome.state === "completed" ? "" : `${outcome.failure?.reason}: ${outcome.failure?.message}`;
  expect(told).toMatch(failure);
  expect(told).not.toContain("\n");
  expect(outcome.status.attempt).toBe(1);
});

test("a service that there is not fails the task for good", async () => {
  const { taskId } = await client.submit("analyze_cost", { services: ["nowhere"] });
  const outcome = await client.outcome(taskId);
  expect(outcome.state === "failed" && outcome.failure?.message).toMatch(/^no service nowhere; there are storefront, /);
  expect(outcome.status.attempt).toBe(1);
});

test.for<[what: string, change: (text: string) => string, line: string]>([
  ["a word for a number", (text) => text.replace("720", "many"), ", line 2: hours must be a number"],
  ["an unknown type", (text) => text.replace("m6i.2xlarge", "x9.huge"), "i-0a1c01: no price for instance type x9.huge"],
  ["a line cut short", (text) => text.replace(",28.4,37.5", ""), " cannot be read: Invalid Record Length"],
])("a table with %s is told of in one line", async ([, change, line]) => {
  const folder = await mkdtemp(join(tmpdir(), "mycel-cost-"));
  const usage = join(folder, "usage.csv");
  await writeFile(usage, change(readFileSync(resolve(ROOT, "examples/cost-agent/data/usage.csv"), "utf8")));
  const env = { ...process.env, MYCEL_URL: mesh.urls[0]!, COST_USAGE: usage };
  const { stderr, code } = await run(process.execPath, [AGENT], { cwd: ROOT, env }).then(
    ({ stderr: text }): Failed => ({ stderr: text, code: 0 }),
    (error: Failed) => error,
  );
  expect(code).toBe(2);
  expect(stderr).toMatch(/^cost agent: .+\n$/);
  expect(stderr).toContain(line);
  await rm(folder, { recursive: true });
});

test("the lines of its README work when they are pasted", async () => {
  const readme = readFileSync(resolve(ROOT, "examples/cost-agent/README.md"), "utf8");
  expect(readme).toContain(`npx node ${AGENT}`);
  const lines = readme.split("\n").filter((line) => line.startsWith("npx mycel submit "));
  expect(lines).toHaveLength(4);
  // What npx would find in a checkout, without asking a registry for anything.
  const bin = await mkdtemp(join(tmpdir(), "mycel-readme-"));
  await writeFile(join(bin, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${ROOT}/cli/main.ts" "$@"\n`);
  await chmod(join(bin, "npx"), 0o755);
  const env = { ...process.env, MYCEL_URL: mesh.urls[0], PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
  for (const line of lines) {
    const { stdout, stderr } = await run("sh", ["-c", line], { cwd: ROOT, env });
    expect(stdout).toContain("explanation");
    expect(stderr).toBe("");
  }
  await rm(bin, { recursive: true });
});
