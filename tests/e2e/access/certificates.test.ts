// Callers who show who they are by a client certificate, over real TLS.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CallOptions, Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { failureOf } from "../../support/rpc-call.ts";

const POLICY = `
bindings:
  - { principal: "certificate:spiffe://mesh/billing/*", tenant: acme, roles: [submitter] }
  - { principal: "certificate:dashboard", tenant: acme, roles: [reader] }
`;

interface Shown {
  readonly cert?: string;
  readonly key?: string;
}

const PROTOCOLS: Readonly<Record<string, (baseUrl: string, tls: object) => Transport>> = {
  gRPC: (baseUrl, nodeOptions) => createGrpcTransport({ baseUrl, nodeOptions }),
  "gRPC-Web": (baseUrl, nodeOptions) => createGrpcWebTransport({ baseUrl, httpVersion: "2", nodeOptions }),
  "Connect over HTTP/1.1": (baseUrl, nodeOptions) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
};

let authority: TestAuthority;
let mesh: TestMesh;
let url: string;
const shown = new Map<string, Shown>();
beforeAll(async () => {
  authority = await openTestAuthority();
  const server = await authority.issue("coordinator");
  const policy = join(authority.dir, "policy.yaml");
  await writeFile(policy, POLICY);
  mesh = await openMesh({
    coordinators: 0,
    trusted: false,
    env: {
      MYCEL_POLICY: policy,
      MYCEL_TLS_CERT_FILE: server.certFile,
      MYCEL_TLS_KEY_FILE: server.keyFile,
      MYCEL_TLS_CLIENT_CA_FILE: authority.caFile,
      MYCEL_TLS_CLIENT_CERTIFICATES: "optional",
    },
  });
  url = (await mesh.addCoordinator()).replace("127.0.0.1", "localhost");
  shown.set("nothing", {});
  shown.set("billing", await authority.issue("billing", { uris: ["spiffe://mesh/billing/1"] }));
  shown.set("dashboard", await authority.issue("dashboard"));
  shown.set("stranger", await authority.issue("stranger", { uris: ["spiffe://mesh/billing"] }));
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

describe.each(Object.keys(PROTOCOLS))("over %s", (protocol) => {
  const as = (name: string) => {
    const { cert, key } = shown.get(name)!;
    return createClient(AgentService, PROTOCOLS[protocol]!(url, { ca: authority.cert, cert, key }));
  };
  const refusal = async (name: string, options: CallOptions = {}): Promise<unknown> => {
    const error = await failureOf(as(name).submitTask({ type: "echo" }, options));
    return [error.code, readDetails(error).reason];
  };

  test("a certificate's URI, or its common name, has the roles that the policy binds to it, in their tenant", async () => {
    const { taskId } = await as("billing").submitTask({ type: "echo" });
    expect((await as("dashboard").getTask({ taskId })).task?.type).toBe("echo");
    expect(await refusal("dashboard")).toEqual([Code.PermissionDenied, "ACTION_NOT_ALLOWED"]);
  });

  test("a certificate that nothing is bound to allows nothing, and none at all is no credential", async () => {
    expect(await refusal("stranger")).toEqual([Code.PermissionDenied, "ACTION_NOT_ALLOWED"]);
    expect(await refusal("nothing")).toEqual([Code.Unauthenticated, "CREDENTIAL_MISSING"]);
  });

  test("a bad token is not made up for by a good certificate", async () => {
    const headers = { authorization: `Bearer mk_0123456789abcdef_${"x".repeat(43)}` };
    expect(await refusal("billing", { headers })).toEqual([Code.Unauthenticated, "CREDENTIAL_INVALID"]);
  });
});
