// Somebody else, who calls a coordinator while it is attacked: others are served all the while, and nothing is left when the attack is over.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect } from "vitest";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { TestMesh } from "../support/processes.ts";
import { expectUnharmed, type Vitals, vitalsOf } from "./vitals.ts";

/** Calls during a group of tests: each call must succeed, and in the end the coordinator is as well as before. */
export function besideOthers(meshOf: () => TestMesh): void {
  let before: Vitals;
  let calling: Promise<number>;
  const left = new AbortController();
  beforeAll(async () => {
    before = await vitalsOf(meshOf());
    calling = callUntil(meshOf().urls[0]!, left.signal);
    calling.catch(() => undefined);
  });
  afterAll(async () => {
    left.abort();
    expect(await calling).toBeGreaterThan(0);
    await expectUnharmed(meshOf(), before);
  });
}

async function callUntil(baseUrl: string, signal: AbortSignal): Promise<number> {
  const rpc = createClient(AgentService, createGrpcTransport({ baseUrl }));
  let calls = 0;
  for (; !signal.aborted; calls += 1) {
    await rpc.listTasks({ pageSize: 1 }, { timeoutMs: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return calls;
}
