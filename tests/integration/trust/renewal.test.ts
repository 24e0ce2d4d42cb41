// All keys and credentials of a mesh are replaced on a running one: everything goes on with the new ones, and nothing takes the old ones.
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credsAuthenticator, jwtAuthenticator } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startNatsServer } from "../../../lib/nats/server/start-server.ts";
import { issueAgentCredential } from "../../../lib/nats/trust/agent-credential.ts";
import { agentsAccountClaims } from "../../../lib/nats/trust/accounts.ts";
import { signClaims } from "../../../lib/nats/trust/claims.ts";
import { ClaimsDesk } from "../../../lib/nats/trust/claims-desk.ts";
import { SigningKey } from "../../../lib/nats/trust/signing-key.ts";
import { readCoordinatorTrust, readServerTrust, renewTrust } from "../../../lib/nats/trust/trust-folder.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { natsServerBinary } from "../../support/nats.ts";
import { startProcess } from "../../support/processes.ts";
import { makeIn } from "../../support/trust.ts";

test("a mesh goes on with new keys, and the old ones are good for nothing", { timeout: 120_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-renew-")), (path) => rm(path, { recursive: true }));
  const [binary, trust] = [await natsServerBinary(), await makeIn(dir)];
  const dataDir = join(dir, "nats");
  const own = join(dir, "coordinator");
  await cp(trust.coordinatorDir, own, { recursive: true });
  const before = await startNatsServer({ binary, dataDir, trust: trust.server });
  const { url: natsUrl, port } = before;
  const start = async (listen: string) =>
    await startProcess("services/coordinator/main.ts", {
      NATS_URL: natsUrl,
      MYCEL_NATS_TRUST: own,
      MYCEL_LISTEN: listen,
      MYCEL_LEASE: "2s",
      MYCEL_HEARTBEAT: "500ms",
    });
  const first = await start("127.0.0.1:0");
  const url = String(first.ready["url"]);
  stack.use(
    await startProcess("tests/support/test-agent.ts", { MYCEL_URL: url, MYCEL_AGENT_ID: "agent", TEST_DIR: dir }),
  );
  const client = stack.use(createClient({ url }));
  expect(await client.run("reverse", { text: "before" }).result()).toBe("erofeb");

  const next = await renewTrust(trust.dir, Date.now());
  await cp(join(next, "coordinator"), own, { recursive: true, force: true });
  await before.stop();
  stack.use(await startNatsServer({ binary, dataDir, port, trust: await readServerTrust(next) }));
  first.signal("SIGTERM");
  await first.exited;
  stack.use(await start(new URL(url).host));
  expect(await client.run("reverse", { text: "after" }).result()).toBe("retfa");

  const old = await readCoordinatorTrust(trust.coordinatorDir);
  for (const file of [old.credentialsFile, old.systemFile, trust.adminFile]) {
    const authenticator = credsAuthenticator(await readFile(file));
    await expect(connect({ servers: natsUrl, authenticator, reconnect: false })).rejects.toThrow(/Authorization/);
  }
  const key = SigningKey.create("U");
  const request = {
    tenant: "default",
    agentId: "a",
    publicKey: key.publicKey,
    lanes: [],
    expiresMs: Date.now() + 60_000,
  };
  const signer = { signingKey: old.agentsSigning, account: old.ids.agents, nowMs: Date.now() };
  const authenticator = jwtAuthenticator(issueAgentCredential(request, signer), new TextEncoder().encode(key.seed));
  await expect(connect({ servers: natsUrl, authenticator, reconnect: false })).rejects.toThrow(/Authorization/);
  // With the old key of the operator, an account that takes the old key of agents again.
  const { systemFile } = await readCoordinatorTrust(own);
  await using desk = new ClaimsDesk({ servers: natsUrl, credentialsFile: systemFile });
  const issuedAtS = Math.floor(Date.now() / 1_000) + 60;
  const state = { issuedAtS, revoked: {}, signingKeys: [old.agentsSigning.publicKey] };
  await desk.push(signClaims(agentsAccountClaims(old.ids, state), old.operatorSigning)).catch(() => undefined);
  await expect(connect({ servers: natsUrl, authenticator, reconnect: false })).rejects.toThrow(/Authorization/);
  expect(await client.run("reverse", { text: "still" }).result()).toBe("llits");
});
