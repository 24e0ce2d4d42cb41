// `npm run test:soak`: a mesh under a steady load for a long time, and whether every process then holds what it held before.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pause } from "../../lib/time/pause.ts";
import { openTcpProxy, type TcpProxy } from "../faults/mesh/tcp-proxy.ts";
import { openTestNats } from "../support/nats.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import { runTool } from "../support/tool.ts";
import { memoryChart } from "./chart.ts";
import type { ClientReport } from "./client.ts";
import { comeAndGo, type Happenings } from "./comings-and-goings.ts";
import { readOptions, type SoakOptions } from "./options.ts";
import { isClean, reportText, type SoakResult } from "./report.ts";
import { type Holdings, lookAtNats, lookAtNode, type Sample } from "./sample.ts";
import { compare } from "./verdict.ts";
import { testTrust } from "../support/trust.ts";

/** Ended tasks, blobs and timers are gone after this long, in milliseconds. */
const RETENTION_MS = 60_000;
const REST_LOOK_MS = 15_000;
const NICENESS = 5;

async function soak(options: SoakOptions, args: readonly string[]): Promise<SoakResult> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-soak-")), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const trust = await testTrust();
  const nats = stack.use(await openTestNats({ trust }));
  const proxies: TcpProxy[] = [];
  for (let i = 0; i < 3; i += 1)
    proxies.push(stack.use(await openTcpProxy({ targetPort: Number(new URL(nats.url).port) })));
  const [first = "", second = "", agents = ""] = proxies.map(({ port }) => `nats://127.0.0.1:${port}`);
  const probe = { NODE_OPTIONS: `--import=${new URL("probe.ts", import.meta.url).href}` };
  const startCoordinator = (natsUrl: string): Promise<TestProcess> =>
    startProcess("services/coordinator/main.ts", {
      ...probe,
      NATS_URL: natsUrl,
      MYCEL_NATS_TRUST: trust.coordinatorDir,
      MYCEL_AGENT_NATS_URL: agents,
      MYCEL_LISTEN: "127.0.0.1:0",
      MYCEL_LEASE: "3s",
      MYCEL_HEARTBEAT: "1s",
      MYCEL_RETENTION: `${RETENTION_MS}ms`,
    });
  const coordinators = [stack.use(await startCoordinator(first)), stack.use(await startCoordinator(second))];
  const urls = coordinators.map(({ ready }) => String(ready["url"])).join(",");
  const startAgent = (id: string): Promise<TestProcess> =>
    startProcess("tests/support/test-agent.ts", {
      ...probe,
      MYCEL_URL: urls,
      MYCEL_AGENT_ID: id,
      MYCEL_CONCURRENCY: "32",
      TEST_DIR: dir,
    });
  const agent = stack.use(await startAgent("resident"));
  const client = stack.use(
    await startProcess("tests/soak/client.ts", { ...probe, MYCEL_URL: urls, SOAK_RATE: String(options.rate) }),
  );
  const members: Readonly<Record<string, TestProcess>> = {
    "coordinator 1": coordinators[0] ?? client,
    "coordinator 2": coordinators[1] ?? client,
    agent,
    client,
  };

  const samples: Sample[] = [];
  const startMs = performance.now();
  const look = async (phase: string): Promise<Readonly<Record<string, Holdings>>> => {
    const processes: Record<string, Holdings> = { "nats-server": await lookAtNats(nats) };
    for (const [name, member] of Object.entries(members)) processes[name] = await lookAtNode(member);
    samples.push({ second: (performance.now() - startMs) / 1_000, phase, processes });
    return processes;
  };
  const happened: Happenings = { agents: 0, coordinators: 0, cuts: 0 };
  const underLoad = async (phase: string, minutes: number): Promise<ClientReport> => {
    const leave = new AbortController();
    const visits = comeAndGo(
      {
        startAgent,
        startCoordinator: () => startCoordinator(nats.url),
        cuts: proxies.map((proxy) => () => proxy.reset()),
      },
      happened,
      leave.signal,
    );
    client.child.send("start");
    const endMs = performance.now() + minutes * 60_000;
    while (performance.now() < endMs) {
      await Promise.race([visits, pause(Math.min(options.sampleSeconds * 1_000, endMs - performance.now()))]);
      const processes = await look(phase);
      say(`${phase} ${minutesSince(startMs)}: ${shortly(processes)}`);
    }
    // They leave first: the last operations must find a mesh that stands.
    leave.abort();
    await visits;
    const report = answerOf(client);
    client.child.send("stop");
    return await report;
  };
  const atRest = async (phase: string): Promise<Readonly<Record<string, Holdings>>> => {
    const untilMs = performance.now() + options.restSeconds * 1_000;
    while (performance.now() < untilMs) {
      await pause(Math.min(REST_LOOK_MS, untilMs - performance.now()));
      await look(phase);
    }
    const processes = await look(phase);
    say(`${phase} ${minutesSince(startMs)}: ${shortly(processes)}`);
    return processes;
  };

  await underLoad("warm-up", options.warmUpMinutes);
  const before = await atRest("baseline");
  Object.assign(happened, { agents: 0, coordinators: 0, cuts: 0 });
  const clients = await underLoad("load", options.minutes);
  const after = await atRest("end");
  const command = ["npm run test:soak", ...(args.length === 0 ? [] : ["--", ...args])].join(" ");
  return { command, minutes: options.minutes, samples, comparisons: compare(before, after), clients, happened };
}

async function answerOf(client: TestProcess): Promise<ClientReport> {
  return await new Promise((resolve) => {
    const onMessage = (message: unknown): void => {
      if (!isReport(message)) return;
      client.child.off("message", onMessage);
      resolve(message);
    };
    client.child.on("message", onMessage);
  });
}

function isReport(message: unknown): message is ClientReport {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === "soak-client";
}

function minutesSince(startMs: number): string {
  return `${((performance.now() - startMs) / 60_000).toFixed(1)} min`;
}

function shortly(processes: Readonly<Record<string, Holdings>>): string {
  const parts = Object.entries(processes).map(([name, { rss = 0, "heap after gc": heap, handles }]) => {
    const own = heap === undefined ? "" : ` (heap ${(heap / 1e6).toFixed(1)}, ${handles} handles)`;
    return `${name} ${(rss / 1e6).toFixed(0)} MB${own}`;
  });
  const { consumers = 0, subscriptions = 0, messages = 0 } = processes["nats-server"] ?? {};
  return `${parts.join(", ")}; ${consumers} consumers, ${subscriptions} subscriptions, ${messages} messages`;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

await runTool("test:soak", async (args) => {
  const options = readOptions(args);
  // Everything that is started inherits it: a soak runs beside other work.
  setPriority(NICENESS);
  const result = await soak(options, args);
  process.stdout.write(`${reportText(result)}\n`);
  if (options.out !== undefined) {
    await mkdir(options.out, { recursive: true });
    await writeFile(join(options.out, "soak.json"), `${JSON.stringify(result, undefined, 1)}\n`);
    const names = ["coordinator 1", "coordinator 2", "agent", "client", "nats-server"];
    await writeFile(join(options.out, "soak.svg"), memoryChart(result.samples, names));
  }
  return isClean(result) ? 0 : 1;
});
