// Whom the limit of bad credentials keeps out: those who show one, and nobody else who comes from the same address.
import { Code, ConnectError, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { DescMethod } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import type { CallGate } from "../../../lib/rpc/call-gate.ts";
import { openGate } from "../../../services/coordinator/access/gate.ts";
import { createRateLimits } from "../../../services/coordinator/limits/rate-limits.ts";
import { testCredentials, testHeader, testPrincipal } from "../../support/test-credentials.ts";

const AGENT = testPrincipal([{ actions: new Set(["agent:register"]), taskTypes: ["*"], labels: {} }]);

const { registerAgent, deregisterAgent, listAgents } = AgentService.method;

function openLimited(): (name: string, method?: DescMethod) => Promise<string> {
  const gate = openGate({ authenticators: [testCredentials({ good: AGENT })], clock: { now: () => 1 } });
  const limits = createRateLimits({
    requestsPerAddress: 0,
    tasksPerPrincipal: 0,
    tasksPerTenant: 0,
    badCredentialsPerAddress: 3,
    trustedProxies: [],
  });
  const admit = limits.limited(gate.admit) as CallGate;
  return async (name, method = registerAgent) => {
    const call = { method, values: createContextValues(), requestHeader: new Headers(testHeader(name)) };
    try {
      await admit(call as unknown as HandlerContext);
      return "let in";
    } catch (error) {
      return readDetails(ConnectError.from(error)).reason ?? Code[ConnectError.from(error).code];
    }
  };
}

test("an address of which many bad credentials came lets in who shows a good one", async () => {
  const outcomeOf = openLimited();
  const bad: string[] = [];
  for (let i = 0; i < 5; i += 1) bad.push(await outcomeOf(`guess ${i}`));
  expect(bad).toEqual([
    "CREDENTIAL_INVALID",
    "CREDENTIAL_INVALID",
    "CREDENTIAL_INVALID",
    "RATE_LIMITED",
    "RATE_LIMITED",
  ]);
  expect([await outcomeOf("good", registerAgent), await outcomeOf("good", deregisterAgent)]).toEqual([
    "let in",
    "let in",
  ]);
  // What a good credential lacks is no bad one's matter.
  expect(await outcomeOf("good", listAgents)).toBe("ACTION_NOT_ALLOWED");
  expect(await outcomeOf("one more guess")).toBe("RATE_LIMITED");
});
