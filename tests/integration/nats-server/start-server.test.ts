// The life of a real nats-server that Mycel runs itself.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";

import { isAlive, isProcessWith } from "../../../lib/nats/server/process-identity.ts";
import { startNatsServer } from "../../../lib/nats/server/start-server.ts";
import { natsServerBinary, openTestNats } from "../../support/nats.ts";

async function openFolder() {
  const path = await mkdtemp(join(tmpdir(), "mycel-start-"));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

test("a started server speaks JetStream on its URL at once, with the settings it was given", async () => {
  await using nats = await openTestNats({ syncInterval: "always", maxFileBytes: 123_456_789, websocket: { port: -1 } });
  await using connection = await connect({ servers: nats.url });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "S", subjects: ["s.>"] });
  expect(connection.info?.max_payload).toBe(1_048_576);
  const response = await fetch(`${nats.monitorUrl}/varz`, { headers: { connection: "close" } });
  expect(await response.json()).toMatchObject({
    jetstream: { config: { max_storage: 123_456_789, sync_always: true } },
    write_deadline: 10_000_000_000,
  });
  expect(nats.websocketUrl).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
});

test("a consumer may ask for up to 100,000 unacknowledged messages", async () => {
  await using nats = await openTestNats();
  await using connection = await connect({ servers: nats.url });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "S", subjects: ["s.>"], max_consumers: 10 });
  await manager.consumers.add("S", { durable_name: "most", ack_policy: "explicit", max_ack_pending: 100_000 });
  await expect(
    manager.consumers.add("S", { durable_name: "more", ack_policy: "explicit", max_ack_pending: 100_001 }),
  ).rejects.toThrow(/max ack pending/i);
});

describe("what was stored is there again on the same URL", () => {
  test.for(["a clean restart", "a crash"])("after %s", async (how) => {
    await using nats = await openTestNats();
    const first = await connect({ servers: nats.url });
    await (await jetstreamManager(first)).streams.add({ name: "S", subjects: ["s.>"] });
    await jetstream(first).publish("s.1", "kept");
    await first.close();
    const before = nats.process.pid;
    if (how === "a crash") await nats.kill();
    await nats.restart();
    expect(nats.process.pid).not.toBe(before);
    await using second = await connect({ servers: nats.url });
    const message = await (await jetstreamManager(second)).streams.getMessage("S", { seq: 1 });
    expect(message?.string()).toBe("kept");
  });
});

test("stop may be called twice and ends the process; exited tells how", async () => {
  await using nats = await openTestNats();
  await Promise.all([nats.process.stop(), nats.process.stop()]);
  await nats.process.stop();
  expect(await nats.process.exited).toEqual({ code: 0, signal: null });
  expect(await isAlive(nats.process.pid)).toBe(false);
});

test("a taken port is one clear error, and the data folder is free again", async () => {
  await using folder = await openFolder();
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const binary = await natsServerBinary();
  await expect(startNatsServer({ binary, dataDir: folder.path, port })).rejects.toThrow(
    `nats-server could not listen on 127.0.0.1:${port}: the address is already in use`,
  );
  taken.close();
  await once(taken, "close");
  await using server = await startNatsServer({ binary, dataDir: folder.path, port });
  expect(server.url).toBe(`nats://127.0.0.1:${port}`);
});

test("a configuration that the server refuses is told in its own words", async () => {
  await using folder = await openFolder();
  const binary = await natsServerBinary();
  await expect(startNatsServer({ binary, dataDir: folder.path, extraConfig: "nonsense: 1" })).rejects.toThrow(
    /^nats-server ended during its start: .*unknown field "nonsense"/,
  );
});

test("a binary that cannot be run is one clear error", async () => {
  await using folder = await openFolder();
  const binary = join(folder.path, "no-such-server");
  await expect(startNatsServer({ binary, dataDir: folder.path })).rejects.toThrow(`${binary} could not be run`);
});

test("a data folder in use by a living server is refused", async () => {
  await using nats = await openTestNats();
  const second = startNatsServer({ binary: nats.binary, dataDir: nats.dataDir });
  await expect(second).rejects.toThrow(
    `${nats.dataDir} is in use by a running nats-server (process ${nats.process.pid})`,
  );
  expect(await isAlive(nats.process.pid)).toBe(true);
});

test("of two starts in one folder at the same moment exactly one wins", async () => {
  await using folder = await openFolder();
  const binary = await natsServerBinary();
  const start = async () => await startNatsServer({ binary, dataDir: folder.path });
  const outcomes = await Promise.allSettled([start(), start()]);
  const won = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  await Promise.all(won.map(async (server) => await server.stop()));
  expect(won).toHaveLength(1);
  // The other one comes while the first is starting, or just after.
  const starting = `process ${process.pid} is starting a nats-server in ${folder.path}`;
  const started = `${folder.path} is in use by a running nats-server (process ${won[0]?.pid})`;
  const refusal = String(outcomes.find((outcome) => outcome.status === "rejected")?.reason);
  expect(
    [starting, started].some((expected) => refusal.includes(expected)),
    refusal,
  ).toBe(true);
});

test("a record of a server that is gone does not block, even when its process id lives again", async () => {
  await using folder = await openFolder();
  const stranger = { serverPid: process.pid, ownerPid: process.pid };
  await writeFile(join(folder.path, "nats-server.json"), JSON.stringify(stranger));
  await writeFile(join(folder.path, "starting.lock"), "999999999");
  await using server = await startNatsServer({ binary: await natsServerBinary(), dataDir: folder.path });
  expect(JSON.parse(await readFile(join(folder.path, "nats-server.json"), "utf8"))).toEqual({
    serverPid: server.pid,
    ownerPid: process.pid,
  });
});

test("a server ends with its owner, even one killed with -9, and the next owner gets the folder", async () => {
  await using folder = await openFolder();
  const binary = await natsServerBinary();
  const owner = spawn(process.execPath, ["--input-type=module-typescript", "--eval", OWNER, binary, folder.path], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: new URL("../../..", import.meta.url),
  });
  const lines = createInterface(owner.stdout)[Symbol.asyncIterator]();
  const pid = Number((await lines.next()).value);
  expect(await isProcessWith(pid, folder.path)).toBe(true);
  owner.kill("SIGKILL");
  await once(owner, "exit");
  await using server = await startNatsServer({ binary, dataDir: folder.path });
  expect(server.pid).not.toBe(pid);
  expect(await isProcessWith(pid, folder.path)).toBe(false);
});

const OWNER = `
  import { startNatsServer } from "./lib/nats/server/start-server.ts";
  const [binary, dataDir] = process.argv.slice(-2);
  const server = await startNatsServer({ binary, dataDir });
  console.log(server.pid);
  await server.exited;
`;
