import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type FakeMesh, openFakeMesh } from "./fake-mesh.ts";

const SCRIPT = fileURLToPath(new URL("agent-process.ts", import.meta.url));

test("SIGTERM hands running work back, deregisters and ends the process with 0", async () => {
  await using mesh = await openFakeMesh();
  await using agent = start(mesh, 50);
  await mesh.submit({ taskId: "t1", type: "wait" });
  await mesh.until(() => mesh.reportsOf("t1", "begin").length > 0);
  const exited = once(agent.child, "exit");
  agent.child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  expect(mesh.reportsOf("t1", "handBack")[0]!.kind.value).toMatchObject({ started: true });
  expect(mesh.deregistered).toEqual(["p1"]);
});

test("a second signal ends the process at once with 1", async () => {
  await using mesh = await openFakeMesh();
  await using agent = start(mesh, 60_000);
  await mesh.submit({ taskId: "t1", type: "wait", input: "stubborn" });
  await mesh.until(() => mesh.reportsOf("t1", "begin").length > 0);
  const exited = once(agent.child, "exit");
  agent.child.kill("SIGTERM");
  await mesh.until(() => mesh.heartbeats.some((beat) => beat.draining));
  agent.child.kill("SIGTERM");
  expect(await exited).toEqual([1, null]);
});

test.for([
  ["while it runs a handler", false],
  ["before it hears that it may start", true],
] as const)("an agent that stands still beyond its lease %s leaves the task to the next one", async ([, asks]) => {
  await using mesh = await openFakeMesh({ leaseMs: 1_000 });
  await using stopped = start(mesh, 50);
  await mesh.until(() => mesh.registrations.length === 1);
  await mesh.submit({ taskId: "t1", type: "wait", beginRequired: asks });
  await mesh.until(() => mesh.reportsOf("t1", "begin").length > 0);
  stopped.child.kill("SIGSTOP");
  await using other = start(mesh, 50, "p2");
  await mesh.until(() => mesh.reports.some((seen) => seen.agentId === "p2" && seen.report.kind.case === "begin"));
  stopped.child.kill("SIGCONT");
  await mesh.until(() => stopped.errors().includes("lease lost"));
  const exited = once(stopped.child, "exit");
  stopped.child.kill("SIGTERM");
  await exited;
  expect(mesh.reports.filter((seen) => seen.agentId === "p1" && seen.report.kind.case !== "begin")).toEqual([]);
  expect(mesh.tasks.get("t1")).toMatchObject({ owner: "p2", attempt: 2, ended: undefined });
  other.child.kill("SIGTERM");
  await once(other.child, "exit");
});

interface AgentProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  errors(): string;
}

function start(mesh: FakeMesh, graceMs: number, agentId = "p1"): AgentProcess {
  const child = spawn(process.execPath, [SCRIPT, mesh.url, String(graceMs), agentId], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (data) => {
    errors += String(data);
    mesh.notify();
  });
  return {
    child,
    errors: () => errors,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
      }
    },
  };
}
