// `mycel top` as a person meets it: the real command in a terminal of the kernel, over a mesh of real processes under load.
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { runCli } from "../../support/cli.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { NO_PSEUDO_TERMINAL, openPseudoTerminal, type PseudoTerminal } from "../../support/pseudo-terminal.ts";

const MAIN = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));
// What was on the screens, for people to look at.
const CAPTURES = fileURLToPath(new URL("../../../.cache/top/", import.meta.url));
const SHELL = "a line of the shell";

let mesh: TestMesh;
let client: MycelClient;
let load: { stop(): Promise<void> };

beforeAll(async () => {
  mesh = await openMesh();
  await mesh.startAgent("first");
  await mesh.startAgent("second");
  client = createClient({ url: mesh.urls[0]! });
  load = startLoad(client);
  await mkdir(CAPTURES, { recursive: true });
});
afterAll(async () => {
  await load?.stop();
  await client?.[Symbol.asyncDispose]();
  await mesh?.[Symbol.asyncDispose]();
});

describe.skipIf(NO_PSEUDO_TERMINAL !== undefined)(`in a terminal (${NO_PSEUDO_TERMINAL ?? "of the kernel"})`, () => {
  test.for([
    [80, 24],
    [200, 50],
  ])(
    "shows agents, queues, durations and failures of a mesh under load at %i × %i",
    async ([columns = 0, rows = 0]) => {
      await using top = await open({ columns, rows });
      const seen = await top.screen.until((text) =>
        [/2 active/, /^\d+ open: .*working/m, /fail .*HANDLER_ERROR/, /fail +\S+ +0%/].every((sign) => sign.test(text)),
      );
      await writeFile(`${CAPTURES}${columns}x${rows}.svg`, top.screen.picture());
      expect(top.screen.alternate).toBe(true);
      const lines = seen.split("\n");
      expect(lines[0]).toMatch(/^mycel top ● 127\.0\.0\.1:\d+ +every 0\.5s.* \d\d:\d\d:\d\d$/);
      expect(seen).toMatch(/first +test +active +[█░]{8} +\d\/4/);
      for (const title of ["Agents", "Queues", "Durations", "Failures"]) expect(seen).toMatch(new RegExp(`─ ${title}`));
      expect(lines.at(-1)).toMatch(/^Tab panel.*q quit/);
      expect(top.screen.coloured("● 127.0.0.1")).toBe(true);
      await quit(top);
    },
  );

  test("redraws the whole screen when its size changes, in both directions", async () => {
    await using top = await open({ columns: 80, rows: 24 });
    await top.screen.until("first");
    await top.resize(200, 50);
    // A frame arrives in pieces: each look waits for a whole one.
    await top.screen.until(
      (text) =>
        text.split("\n").filter((line) => line.length === 200).length > 40 &&
        text.includes("╮╭─ Durations") &&
        text.match(/mycel top/g)?.length === 1 &&
        text.split("\n").at(-1)?.includes("q quit") === true,
    );
    await top.resize(80, 24);
    await top.screen.until(
      (text) =>
        /q quit/.test(text.split("\n")[23] ?? "") &&
        text.startsWith("mycel top") &&
        text.match(/mycel top/g)?.length === 1 &&
        !text.includes("╭"),
    );
    await quit(top);
  });

  test("goes from an agent to its running task and its output, and back", async () => {
    const { taskId } = await client.submit("work", { workMs: 600_000, outputs: 6_000 });
    await using top = await open({ columns: 100, rows: 30 }, ["--type", "work"]);
    await top.screen.until(/Queues[^]*work +\d/);
    const { agentId } = await working(taskId);
    if (agentId === "second") top.type("j");
    await top.screen.until(new RegExp(`▸ ${agentId}`));
    top.type("\r");
    await top.screen.until((text) => text.includes(`Agent ${agentId}`) && text.includes(taskId));
    for (const line of (await top.screen.until("Running tasks")).matchAll(/│ [▸ ] (\S+) +work/g)) {
      if (line[1] === taskId) break;
      top.type("j");
    }
    await top.screen.until(new RegExp(`▸ ${taskId}`));
    top.type("\r");
    const story = await top.screen.until((text) => text.includes(`Task ${taskId}`) && /\{"i":\d+,"by":/.test(text));
    expect(story).toMatch(/submitted[^]*working/);
    top.type("g");
    expect(await top.screen.until("StreamResults")).toContain("grpcurl -plaintext");
    top.type("\u001b");
    await top.screen.until("Timeline");
    top.type("c");
    await top.screen.until(`Cancel task ${taskId}?`);
    top.type("y");
    await top.screen.until(/state +canceled/);
    expect((await client.status(taskId)).cancelReason).toBe("canceled in mycel top");
    top.type("\u001b");
    await top.screen.until("Running tasks");
    await quit(top);
  });

  test("pauses a queue after a yes, and resumes it", async () => {
    await using top = await open({ columns: 120, rows: 40 }, ["--type", "moody"]);
    await top.screen.until(/moody +0 /);
    top.type("\tP");
    await top.screen.until("Pause queue moody?");
    top.type("n");
    await top.screen.until("nothing was done");
    expect((await client.queues.getQueue({ queue: "moody" })).queue?.pause).toBeUndefined();
    top.type("P");
    await top.screen.until("Pause queue moody?");
    top.type("y");
    await top.screen.until(/moody .*paused \w+: paused in mycel top/);
    top.type("Py");
    await top.screen.until((text) => !/moody .*paused/.test(text));
    expect((await client.queues.getQueue({ queue: "moody" })).queue?.pause).toBeUndefined();
    await quit(top);
  });

  test("leaves the terminal as it was when it is terminated", async () => {
    await using top = await open({ columns: 80, rows: 24 });
    await top.screen.until("first");
    await top.signal("SIGTERM");
    await top.exited;
    expect(await top.screen.until(() => !top.screen.alternate)).toContain(SHELL);
  });

  test("has no colours where none are wanted", async () => {
    await using top = await open({ columns: 80, rows: 24 }, [], { NO_COLOR: "1" });
    await top.screen.until("first");
    expect(top.screen.coloured("● 127.0.0.1")).toBe(false);
    await quit(top);
  });

  test("keeps what it knew when the mesh is gone, says so, and goes on when it is back", async () => {
    await using small = await openMesh({ env: {} });
    await small.startAgent("lonely");
    await using top = await open({ columns: 100, rows: 30 }, [], { MYCEL_URL: small.urls[0]! });
    await top.screen.until("lonely");
    small.coordinators[0]!.signal("SIGSTOP");
    const lost = await top.screen.until("No coordinator serves");
    expect(lost).toContain("lonely");
    small.coordinators[0]!.signal("SIGCONT");
    await top.screen.until((text) => !text.includes("No coordinator serves") && text.includes("lonely"));
    await quit(top);
  });
});

test("without a terminal it says in one line what to do", async () => {
  const { code, stdout, stderr } = await runCli(mesh.urls[0]!, ["top"]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toBe("mycel: top needs a terminal; elsewhere, print one look with --once\n");
});

test("one look is a frame of plain text", async () => {
  const { code, stdout } = await runCli(mesh.urls[0]!, ["top", "--once"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^mycel top ● 127\.0\.0\.1:\d+ /);
  expect(stdout).toMatch(/first +test +active/);
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
});

test("one look is a document", async () => {
  const { code, stdout } = await runCli(mesh.urls[0]!, ["top", "--once", "--json", "--type", "work"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    healthy: true,
    coordinators: [{ url: mesh.urls[0], status: "serving", breaker: "closed" }],
    agents: [
      { condition: "active", agent: { agentId: "first" } },
      { condition: "active", agent: { agentId: "second" } },
    ],
    queues: [{ name: "work" }],
    failures: [],
  });
});

test("one look at a mesh that is not there ends with 1", async () => {
  const { code, stderr } = await runCli("http://127.0.0.1:1", ["top", "--once"]);
  expect(code).toBe(1);
  expect(stderr).toBe("mycel: no coordinator serves\n");
});

test("--grpcurl prints the calls of the first screen, and makes none", async () => {
  const { code, stdout } = await runCli("http://127.0.0.1:1", ["top", "--grpcurl", "--type", "echo"]);
  expect(code).toBe(0);
  expect(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split("/").at(-1)),
  ).toEqual(["Check", "ListAgents", "ListQueues", "CountTasks", "GetMetrics", "GetMetrics", "ListDeadLetters"]);
});

async function open(
  size: { readonly columns: number; readonly rows: number },
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<PseudoTerminal> {
  const command = [process.execPath, MAIN, "top", "--refresh", "0.5", ...args];
  return await openPseudoTerminal(command, { ...size, before: SHELL, env: { MYCEL_URL: mesh.urls[0]!, ...env } });
}

async function quit(top: PseudoTerminal): Promise<void> {
  top.type("q");
  expect(await top.exited).toBe(0);
  expect(await top.screen.until(() => !top.screen.alternate)).toContain(SHELL);
}

async function working(taskId: string): Promise<{ readonly agentId: string }> {
  for await (const event of client.watch(taskId, { kinds: ["state", "chunk"] })) {
    if (event.kind === "chunk") return { agentId: event.agentId };
  }
  throw new Error(`task ${taskId} ended before it streamed anything`);
}

/** Tasks that come, take a while, fail, and wait for nobody. */
function startLoad(over: MycelClient): { stop(): Promise<void> } {
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      const run = over.run("work", { workMs: 300 });
      await over.submitMany([
        ...Array.from({ length: 5 }, () => ({ type: "work", input: { workMs: 20 } })),
        { type: "fail", input: {}, retry: { maximumAttempts: 1 } },
        { type: "forgotten", input: {}, priority: "high" as const },
      ]);
      await run.result();
    }
  })();
  return {
    async stop() {
      stopped = true;
      await done;
    },
  };
}
