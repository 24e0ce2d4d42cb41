// How a coordinator is, seen from outside and through its inspector: memory after a collection, handles, descriptors, subscriptions,
// and what it logged.
import { readdirSync } from "node:fs";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, vi } from "vitest";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { openMesh, type TestMesh, type TestMeshOptions, type TestProcess } from "../support/processes.ts";
import { failureOf } from "../support/rpc-call.ts";

/** What a process holds. */
export interface Vitals {
  readonly heapMb: number;
  readonly externalMb: number;
  readonly rssMb: number;
  readonly descriptors: number;
  readonly timers: number;
  readonly sockets: number;
  readonly subscriptions: number;
}

/** What a process may hold more than before. Generous: caches fill, and the allocator keeps what it once had. */
const ALLOWED: Vitals = {
  heapMb: 24,
  externalMb: 24,
  rssMb: 160,
  descriptors: 6,
  timers: 24,
  sockets: 3,
  subscriptions: 3,
};

/** What a promise that nobody handled, or an error that nobody expected, leaves in a log. */
const ALARMS = [
  /unhandled/i,
  /uncaught/i,
  /"stack":/,
  /^\s+at .*\(?(?:file:|node:)/m,
  /"level":"(?:error|fatal)"/,
  /handler for rpc/,
];

/** A mesh whose coordinators can be looked into. */
export async function openWatchedMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  const mesh = await openMesh({
    ...options,
    trusted: false,
    env: { NODE_OPTIONS: "--inspect=127.0.0.1:0", ...options.env },
  });
  // The first calls compile, connect and fill caches, which is no leak.
  const client = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
  await client.submitTask({ type: "warm-up" });
  // On a machine that is busy the index may take longer to open than a coordinator waits for it.
  await vi.waitFor(() => client.listTasks({}), { timeout: 30_000 });
  return mesh;
}

/** What a coordinator holds now, after a collection. */
export async function vitalsOf(mesh: TestMesh, at = 0): Promise<Vitals> {
  const process = mesh.coordinators[at]!;
  const { memory, resources } = await inspect(process);
  const mb = (bytes: number): number => Math.round(bytes / 1_048_576);
  return {
    heapMb: mb(memory.heapUsed),
    externalMb: mb(memory.external + memory.arrayBuffers),
    rssMb: mb(memory.rss),
    descriptors: readdirSync(`/proc/${process.pid}/fd`).length,
    timers: resources.filter((name) => name === "Timeout").length,
    sockets: resources.filter((name) => name.startsWith("TCPSocket")).length,
    subscriptions: await subscriptionsOf(mesh),
  };
}

/** What a machine under load brings about by itself: a broker that answers late. It is told, and it is nobody's mistake. */
const LATE_BROKER = /BROKER_UNAVAILABLE/;

/** Checks that a coordinator is as well as before, answers at once, and logged nothing that an operator would have to look at. */
export async function expectUnharmed(
  mesh: TestMesh,
  before: Vitals,
  { at = 0, allowed = {} }: { readonly at?: number; readonly allowed?: Partial<Vitals> } = {},
): Promise<void> {
  const process = mesh.coordinators[at]!;
  expect(process.child.exitCode, process.output()).toBe(null);
  const client = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[at]! }));
  const { taskId } = await client.submitTask({ type: "legitimate" }, { timeoutMs: 5_000 });
  expect(await client.getTask({ taskId }, { timeoutMs: 5_000 })).toMatchObject({ task: { taskId } });
  await client.cancelTask({ taskId }, { timeoutMs: 5_000 });
  expect(alarmsIn(process.output())).toEqual([]);
  // Sockets close and timers run out a moment after the last answer.
  const isWell = async (): Promise<void> =>
    expect(excess(before, await vitalsOf(mesh, at), { ...ALLOWED, ...allowed })).toEqual({});
  await vi.waitFor(isWell, { timeout: 20_000, interval: 500 });
}

/** Checks that a task was not accepted. */
export async function expectNoTask(mesh: TestMesh, taskId: string): Promise<void> {
  const client = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
  const failure = await failureOf(client.getTask({ taskId }));
  expect(failure.rawMessage).toContain("no task");
}

/** The lines of a log that somebody would have to look at. */
export function alarmsIn(log: string): string[] {
  const lines = log.split("\n").filter((line) => ALARMS.some((alarm) => alarm.test(line)) && !LATE_BROKER.test(line));
  // One of a kind is enough to look for the rest.
  return [
    ...new Set(
      lines.map(
        (line) => (/"err":\{.{0,300}/.exec(line)?.[0] ?? line.slice(0, 300)) + (/"msg":.*/.exec(line)?.[0] ?? ""),
      ),
    ),
  ].slice(0, 5);
}

function excess(before: Vitals, now: Vitals, allowed: Vitals): Partial<Record<keyof Vitals, string>> {
  const names = Object.keys(ALLOWED) as (keyof Vitals)[];
  const more = names.filter((name) => now[name] > before[name] + allowed[name]);
  return Object.fromEntries(more.map((name) => [name, `${before[name]} before, ${now[name]} now`]));
}

interface Inspected {
  readonly memory: {
    readonly heapUsed: number;
    readonly external: number;
    readonly arrayBuffers: number;
    readonly rss: number;
  };
  readonly resources: readonly string[];
}

async function inspect(process: TestProcess): Promise<Inspected> {
  const address = /Debugger listening on (ws:\S+)/.exec(process.output())?.[1];
  if (address === undefined) throw new Error("the coordinator has no inspector");
  const socket = new WebSocket(address);
  await new Promise((opened, failed) => {
    socket.addEventListener("open", opened);
    socket.addEventListener("error", failed);
  });
  let id = 0;
  const ask = (method: string, params: object = {}): Promise<unknown> => {
    id += 1;
    const asked = id;
    return new Promise((resolve) => {
      socket.addEventListener("message", ({ data }) => {
        const answer = JSON.parse(String(data)) as { readonly id?: number; readonly result?: unknown };
        if (answer.id === asked) resolve(answer.result);
      });
      socket.send(JSON.stringify({ id, method, params }));
    });
  };
  try {
    await ask("HeapProfiler.collectGarbage");
    const expression = "({ memory: process.memoryUsage(), resources: process.getActiveResourcesInfo() })";
    const answer = (await ask("Runtime.evaluate", { expression, returnByValue: true })) as {
      readonly result: { readonly value: Inspected };
    };
    return answer.result.value;
  } finally {
    socket.close();
  }
}

async function subscriptionsOf(mesh: TestMesh): Promise<number> {
  const response = await fetch(`${mesh.nats.monitorUrl}/connz`);
  const { connections } = (await response.json()) as {
    readonly connections: readonly { readonly name?: string; readonly subscriptions: number }[];
  };
  const own = connections.filter(({ name }) => name === "mycel coordinator");
  return own.reduce((sum, { subscriptions }) => sum + subscriptions, 0);
}
