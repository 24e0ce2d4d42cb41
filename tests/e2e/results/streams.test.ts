// StreamResults over real processes: resumed anywhere it tells the same story, and readers cost no JetStream consumers.

import { writeFileSync } from "node:fs";
import { createClient as createRpcClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService, ResultKind, type StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { type AgentClient, agentClient, ended, json, results } from "../../support/task-calls.ts";

let mesh: TestMesh;
let first: AgentClient;
let second: AgentClient;

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2 });
  await mesh.startAgent("streamer", { MYCEL_CONCURRENCY: "8" });
  first = agentClient(mesh.urls[0]!);
  second = agentClient(mesh.urls[1]!);
});

afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

/** What a reader was told, without the snapshots and keep-alives that belong to a call and not to the task. */
function story(messages: readonly StreamResultsResponse[]): StreamResultsResponse[] {
  return messages.filter(({ kind }) => kind.case === "stateChange" || kind.case === "output");
}

test("a stream resumed from any cursor, on another coordinator, after the end, tells what an uninterrupted one told", async () => {
  const taskId = "resumed";
  await first.submitTask({ taskId, type: "work", input: json({ workMs: 600, outputs: 30 }) });
  const live = story(await results(first, taskId));
  await ended(first, taskId);

  expect(live.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 32 }, (_, i) => i + 1));
  for (const [at, { cursor }] of live.entries()) {
    const rest = await results(second, taskId, cursor);
    expect(rest[0]?.kind.case).toBe("snapshot");
    expect(story(rest)).toEqual(live.slice(at + 1));
  }
  expect(story(await results(second, taskId))).toEqual(live);
});

test("a stream that is cut in the middle and resumed elsewhere while the task runs has no hole and no repetition", async () => {
  const taskId = "cut";
  await first.submitTask({ taskId, type: "work", input: json({ workMs: 900, outputs: 45 }) });
  const seen: StreamResultsResponse[] = [];
  let cursor = "";
  for (let calls = 0; seen.at(-1)?.kind.case !== "stateChange" || calls < 2; calls += 1) {
    for await (const message of (calls % 2 === 0 ? first : second).streamResults({ taskId, cursor })) {
      cursor = message.cursor;
      const before = seen.length;
      seen.push(...story([message]));
      if (seen.length > before && seen.length % 9 === 0) break;
    }
  }
  expect(seen).toEqual(story(await results(first, taskId)));
});

test("kinds are filtered, but the end is always told", async () => {
  const taskId = "filtered";
  await first.submitTask({ taskId, type: "work", input: json({ workMs: 50, outputs: 3 }) });
  const cases: (string | undefined)[] = [];
  for await (const { kind } of first.streamResults({ taskId, kinds: [ResultKind.CHUNK] })) cases.push(kind.case);
  expect(cases).toEqual(["snapshot", "output", "output", "output", "stateChange"]);
});

test("1,000 concurrent streams open no JetStream consumer and all see the end", async () => {
  const connection = await connect(mesh.nats.access);
  const manager = await jetstreamManager(connection);
  const consumers = async (): Promise<string[]> => {
    const names: string[] = [];
    for await (const stream of manager.streams.names()) {
      for await (const { name } of manager.consumers.list(stream)) names.push(`${stream}/${name}`);
    }
    return names.sort();
  };
  const taskId = "popular";
  await first.submitTask({ taskId, type: "work", input: json({ until: "popular.go" }) });
  for await (const { kind } of first.streamResults({ taskId })) if (kind.case === "stateChange") break;
  const before = await consumers();

  const sessions = new Http2SessionManager(mesh.urls[0]!);
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]!, sessionManager: sessions });
  const client = createRpcClient(AgentService, transport);
  let opened = 0;
  const allOpen = Promise.withResolvers<void>();
  const readers = Array.from({ length: 1_000 }, async () => {
    let last: StreamResultsResponse | undefined;
    for await (const message of client.streamResults({ taskId })) {
      if (message.kind.case === "snapshot" && (opened += 1) === 1_000) allOpen.resolve();
      last = message;
    }
    return last?.kind.case === "stateChange" && last.kind.value.status?.endTime !== undefined;
  });
  await allOpen.promise;
  expect(await consumers()).toEqual(before);
  writeFileSync(`${mesh.dir}/popular.go`, "");
  expect((await Promise.all(readers)).every(Boolean)).toBe(true);

  sessions.abort();
  await connection.close();
});
