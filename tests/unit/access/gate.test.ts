// What the gate decides without a server: what looking again at calls survives, and where stream tokens end.
import { createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { DescMethod } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ServerReflection as ServerReflectionV1 } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { CallPass } from "../../../lib/rpc/call-gate.ts";
import { type Decision, openGate } from "../../../services/coordinator/access/gate.ts";
import { testCredentials, testHeader, testPrincipal } from "../../support/test-credentials.ts";

const GRANTS = [{ actions: new Set(["task:read"] as const), taskTypes: ["*"], labels: {} }];

function callOf(method: DescMethod, name: string): HandlerContext {
  const call = { method, values: createContextValues(), requestHeader: new Headers(testHeader(name)) };
  return call as unknown as HandlerContext;
}

test("calls are looked at again, each and every time, whatever became of telling about one", async () => {
  const names = ["one", "two", "three"];
  const principals = Object.fromEntries(names.map((id) => [id, testPrincipal(GRANTS, { id })]));
  const credentials = testCredentials(principals);
  const onDecision = ({ refusal }: Decision): void => {
    if (refusal !== undefined) throw new Error("nobody writes this down");
  };
  using gate = openGate({ authenticators: [credentials], clock: { now: () => 1 }, onDecision });
  const ended: string[] = [];
  for (const name of names) {
    const pass = (await gate.admit(callOf(AgentService.method.watchTasks, name))) as CallPass;
    pass.watch(() => ended.push(name));
  }
  credentials.principals.delete("one");
  credentials.principals.delete("two");
  gate.recheck();
  await expect.poll(() => ended).toEqual(["one", "two"]);
  credentials.principals.delete("three");
  gate.recheck();
  await expect.poll(() => ended).toEqual(["one", "two", "three"]);
});

const MESHWIDE = [Health, ServerReflectionV1, ServerReflectionV1Alpha]
  .flatMap(({ methods }) => methods as readonly DescMethod[])
  .filter((method) => method !== Health.method.check);

test.for(MESHWIDE.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
  "%s is not for stream tokens, and for everybody else who has a name",
  async ([, method]) => {
    const token = testPrincipal(GRANTS, { kind: "stream-token", taskId: "t" });
    const reader = testPrincipal(GRANTS);
    using gate = openGate({ authenticators: [testCredentials({ token, reader })], clock: { now: () => 1 } });
    const admit = async (name: string): Promise<unknown> => await gate.admit(callOf(method, name));
    await expect(admit("token")).rejects.toMatchObject({ cause: { reason: "ACTION_NOT_ALLOWED" } });
    await expect(admit("reader")).resolves.toBeDefined();
  },
);
