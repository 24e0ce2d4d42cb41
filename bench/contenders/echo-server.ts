// A server that answers the empty call and can do nothing else, as a contender: what an RPC costs without a mesh behind it.

import process from "node:process";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Health, HealthCheckRequestSchema } from "../../gen/health/v1/health_pb.ts";
import type { Contender, ContenderOptions } from "../support/contender.ts";
import type { UnaryCall } from "../support/grpc-caller.ts";
import { startProcess } from "../support/process.ts";
import { TaskTracker } from "../support/task-tracker.ts";

/** The empty call of a server: the health check that the mesh answers, too. */
export function emptyCallTo(url: string): UnaryCall {
  return {
    url,
    path: `/${Health.typeName}/${Health.method.check.name}`,
    message: toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema)),
  };
}

/** Starts `echo.ts` of a contender's folder. Rejects with BenchError; then nothing of it is left. */
export async function openEchoServer(
  { environment, profileDir }: ContenderOptions,
  { id, title }: Pick<Contender, "id" | "title">,
): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const profile = ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${id}-server.cpuprofile`];
  const server = stack.use(
    await startProcess({
      entry: `bench/contenders/${id}/echo.ts`,
      nodeArgs: profileDir === undefined ? [] : profile,
      env: environment,
    }),
  );
  const url = String(server.ready["url"]);
  const sessionManager = stack.adopt(new Http2SessionManager(url), (opened) => opened.abort());
  // The client is the mesh's, so that only the servers differ.
  const health = createClient(Health, createGrpcTransport({ baseUrl: url, sessionManager }));
  const tracker = new TaskTracker();
  const started = stack.move();
  return {
    id,
    title,
    pids: { client: process.pid, server: server.pid },
    failed: server.failed,
    unaryCalls: { empty: emptyCallTo(url) },
    track: (prefix) => tracker.track(prefix),
    settle: () => Promise.resolve(),
    emptyCall: async () => {
      await health.check({});
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
