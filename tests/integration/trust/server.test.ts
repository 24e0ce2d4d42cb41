// A server that trusts somebody: what it stored before is still there, and whoever comes without credentials, or with others', is refused in
// a line that helps.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { startNatsServer } from "../../../lib/nats/server/start-server.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { coordinatorCredentials } from "../../../lib/nats/trust/trust-folder.ts";
import { natsServerBinary, openTestNats } from "../../support/nats.ts";
import { makeIn, testTrust } from "../../support/trust.ts";

const TOPOLOGY = { replicas: 1, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 60_000 };

test("what was stored by a server that trusted everybody, and by one with another trust, is kept", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "mycel-adopt-"));
  const binary = await natsServerBinary();
  const [one, two] = [await makeIn(dataDir), await makeIn(dataDir)];
  {
    await using server = await startNatsServer({ binary, dataDir });
    await using connection = await openNats({ servers: server.url, name: "test" });
    await ensureTopology(connection, TOPOLOGY);
    await connection.request("task.default.kept.q.echo.5", "from before");
  }
  for (const trust of [one, two, two]) {
    await using server = await startNatsServer({ binary, dataDir, trust: trust.server });
    const credentialsFile = coordinatorCredentials(trust.coordinatorDir);
    await using connection = await openNats({ servers: server.url, name: "test", credentialsFile });
    const manager = await ensureTopology(connection, TOPOLOGY);
    const message = await manager.streams.getMessage("MYCEL_TASKS", { last_by_subj: "task.default.kept.q.echo.5" });
    expect(message?.string()).toBe("from before");
    expect((await manager.streams.info("MYCEL_TASKS")).state.messages).toBe(1);
  }
  await rm(dataDir, { recursive: true, force: true });
});

test("whoever comes without credentials, or with those of another mesh, is told so", async () => {
  await using nats = await openTestNats({ trust: await testTrust() });
  await expect(openNats({ servers: nats.url, name: "test" })).rejects.toMatchObject({
    code: "NATS_REFUSED",
    message: `the NATS server at ${nats.url} refuses the connection: it asks for credentials (MYCEL_NATS_TRUST)`,
  });
  const stranger = coordinatorCredentials((await makeIn(nats.dataDir)).coordinatorDir);
  await expect(openNats({ servers: nats.url, name: "test", credentialsFile: stranger })).rejects.toMatchObject({
    code: "NATS_REFUSED",
    message: `the NATS server at ${nats.url} refuses the connection: it does not take those in ${stranger}`,
  });
  const missing = join(nats.dataDir, "missing.creds");
  await expect(openNats({ servers: nats.url, name: "test", credentialsFile: missing })).rejects.toMatchObject({
    message: `${missing} can't be read, or holds no credentials for NATS`,
  });
});

test("credentials that are replaced count from the next connection on, and half of a file counts for nothing", async () => {
  const trust = await testTrust();
  await using nats = await openTestNats({ trust });
  const file = join(nats.dataDir, "own.creds");
  await writeFile(file, await readFile(coordinatorCredentials(trust.coordinatorDir)));
  const refused: unknown[] = [];
  const onRefused = (error: unknown): void => void refused.push(error);
  await using connection = await openNats({ servers: nats.url, name: "test", credentialsFile: file, onRefused });
  // Only an admin may do this.
  const allowed = async (): Promise<unknown> =>
    await connection.request("nobody.listens").catch((error: unknown) => String(error));
  expect(await allowed()).toMatch(/Permissions Violation/);
  expect(String(refused)).toMatch(/Permissions Violation for Publish to "nobody.listens"/);
  await writeFile(file, await readFile(trust.adminFile));
  await connection.reconnect();
  await expect.poll(allowed, { timeout: 10_000 }).toMatch(/no ?responders/i);
  await writeFile(file, "-----BEGIN NATS USER JWT-----");
  await connection.reconnect();
  await expect.poll(allowed, { timeout: 10_000 }).toMatch(/no ?responders/i);
});

test("monitoring says nothing of the credentials, and the servers' account is closed to everybody else", async () => {
  const trust = await testTrust();
  await using nats = await openTestNats({ trust });
  await using admin = await connect(nats.access);
  const manager = await jetstreamManager(admin);
  expect((await manager.getAccountInfo()).streams).toBe(0);
  const heard: string[] = [];
  admin.subscribe("$SYS.>", { callback: (_, message) => void heard.push(message.subject) });
  await admin.flush();
  await (await connect(nats.access)).close();
  await admin.flush();
  expect(heard).toEqual([]);
});
