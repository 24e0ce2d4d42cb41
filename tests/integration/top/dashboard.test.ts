// The dashboard in this process, on streams that say that they are a terminal: runs where no pseudo-terminal can be made, too. Its
// coordinator is an older one, without queues and metrics.
import { PassThrough, Writable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentChange } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { runDashboard } from "../../../cli/top/dashboard.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { type EmulatedTerminal, openEmulatedTerminal } from "../../support/emulated-terminal.ts";
import { type FakeCoordinator, openFakeCoordinator } from "../../support/fake-coordinator.ts";
import { fakeAgent } from "../../support/fake-fleet.ts";

let mesh: FakeCoordinator;
beforeAll(async () => {
  mesh = await openFakeCoordinator();
  mesh.agents.set("alpha", fakeAgent("alpha"));
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

test("parts that an older coordinator does not have say so, and the others are there", async () => {
  await using top = open(80, 24);
  const seen = await top.screen.until((text) => text.match(/not served by this coordinator/g)?.length === 3);
  expect(seen).toMatch(/^rates are not served/m);
  expect(seen).toMatch(/Queues ─+\n {2}not served/);
  expect(seen).toMatch(/Durations ─+\n {2}not served/);
  expect(seen).toContain("alpha");
  expect(top.screen.alternate).toBe(true);
  top.type("q");
  await top.ended;
  await top.screen.until(() => !top.screen.alternate);
  expect(top.rawModes.at(-1)).toBe(false);
});

test("a failed task is submitted again after a yes, and its story is told", async () => {
  await using client = createClient({ url: mesh.url });
  const { taskId } = await client.submit("fail", {}, { taskId: "dead-1" });
  await using top = open(110, 30);
  await top.screen.until(/fail .*dead-1/);
  top.type("\u001b[Z");
  await top.screen.until(`▸`);
  top.type("r");
  await top.screen.until(`Submit ${taskId} again, as a new task?`);
  expect(mesh.count("RetryTask")).toBe(0);
  top.type("y");
  await top.screen.until("submitted again as dead-1-again");
  expect(mesh.count("RetryTask")).toBe(1);
  top.type("\r");
  const story = await top.screen.until(/Task dead-1[^]*Timeline[^]*failed/);
  expect(story).toMatch(/submitted/);
  top.type("q");
  await top.ended;
});

test("an agent that is lost is told as lost, one that leaves is not told any more", async () => {
  mesh.agents.set("doomed", fakeAgent("doomed"));
  mesh.agents.set("leaver", fakeAgent("leaver"));
  const watches = mesh.count("WatchAgents");
  await using top = open(100, 30);
  await top.screen.until(/doomed .*active[^]*leaver .*active/);
  await expect.poll(() => mesh.count("WatchAgents")).toBeGreaterThan(watches);
  for (const [agentId, change] of [
    ["doomed", AgentChange.LOST],
    ["leaver", AgentChange.REMOVED],
  ] as const) {
    const agent = mesh.agents.get(agentId)!;
    mesh.agents.delete(agentId);
    mesh.tellAgents(change, agent);
  }
  const seen = await top.screen.until((text) => /doomed .*lost/.test(text) && !text.includes("leaver"));
  expect(seen).toMatch(/1 lost/);
  top.type("q");
  await top.ended;
});

test("what is held does not move, and goes on after the same key", async () => {
  await using top = open(80, 24);
  await top.screen.until("alpha");
  top.type("p");
  await top.screen.until("paused");
  const looks = mesh.count("ListAgents");
  mesh.agents.set("beta", fakeAgent("beta"));
  top.resize(100, 30);
  const held = await top.screen.until((text) => text.split("\n")[29]?.includes("q quit") === true);
  expect(held).not.toContain("beta");
  expect(mesh.count("ListAgents")).toBe(looks);
  top.type("p");
  await top.screen.until("beta");
  top.type("q");
  await top.ended;
});

interface OpenDashboard extends AsyncDisposable {
  readonly screen: EmulatedTerminal;
  readonly ended: Promise<void>;
  readonly rawModes: readonly boolean[];
  type(keys: string): void;
  resize(columns: number, rows: number): void;
}

function open(columns: number, rows: number): OpenDashboard {
  const screen = openEmulatedTerminal(columns, rows);
  const rawModes: boolean[] = [];
  const output = Object.assign(
    new Writable({
      write(data: Buffer, _encoding, done) {
        // As the kernel does.
        screen.write(data.toString().replaceAll("\n", "\r\n"));
        done();
      },
    }),
    { isTTY: true, columns, rows },
  );
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (mode: boolean) => void rawModes.push(mode),
    ref: () => undefined,
    unref: () => undefined,
  });
  const interruption = new AbortController();
  const client = createClient({ url: mesh.url, retry: { attempts: 1 } });
  const ended = runDashboard({
    client,
    input: input as unknown as ReadStream,
    output: output as unknown as WriteStream,
    colours: true,
    refreshMs: 500,
    windowMs: 300_000,
    types: [],
    target: { url: mesh.url, caFile: undefined, insecure: false },
    interrupted: interruption.signal,
  });
  return {
    screen,
    ended,
    rawModes,
    type: (keys) => void input.write(keys),
    resize(newColumns, newRows) {
      screen.resize(newColumns, newRows);
      Object.assign(output, { columns: newColumns, rows: newRows });
      output.emit("resize");
    },
    async [Symbol.asyncDispose]() {
      interruption.abort();
      await ended;
      await client[Symbol.asyncDispose]();
      screen[Symbol.dispose]();
    },
  };
}
