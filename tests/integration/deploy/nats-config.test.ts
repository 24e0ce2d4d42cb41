// The configuration of deploy/nats, as it stands there: real servers start from it and carry a mesh.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { credsAuthenticator } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { BLOBS_BUCKET, OUTPUT_STREAM, TASKS_STREAM, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { runCli } from "../../support/cli.ts";
import { fixedPort } from "../../support/fixed-port.ts";
import { natsServerBinary } from "../../support/nats.ts";
import { startProcess } from "../../support/processes.ts";

const DEPLOY = resolve(import.meta.dirname, "../../../deploy/nats");
const GIB = 1024 ** 3;
const WAIT = { timeout: 60_000, interval: 100 };

interface Server extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly url: string;
  readonly monitor: string;
}

/** The folder as an operator has it: its own files, and the one that `mycel trust init` makes. */
async function openFolder() {
  const stack = new AsyncDisposableStack();
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-deploy-")), (path) => rm(path, { recursive: true }));
  const [conf, trust] = [join(dir, "nats"), join(dir, "trust")];
  await cp(DEPLOY, conf, { recursive: true });
  const made = await runCli("", ["trust", "init", trust]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  await copyFile(join(trust, "nats/trust.conf"), join(conf, "trust.conf"));
  return { dir, conf, trust, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Starts servers from one file of the folder, each with an environment of its own. */
async function openServers(file: string, count: number) {
  const stack = new AsyncDisposableStack();
  const { dir, conf, trust } = stack.use(await openFolder());
  const routes = await Promise.all(Array.from({ length: count }, fixedPort));
  const servers: Server[] = [];
  for (const [i, route] of routes.entries()) {
    const [port, monitor] = [await fixedPort(), await fixedPort()];
    const env = {
      NATS_NAME: `mycel-${i + 1}`,
      NATS_HOST: "127.0.0.1",
      NATS_PORT: String(port),
      NATS_MONITOR: `127.0.0.1:${monitor}`,
      NATS_STORE_DIR: join(dir, String(i)),
      NATS_RESOLVER_DIR: join(dir, `${i}-accounts`),
      NATS_MAX_FILE_STORE: "1GB",
      NATS_CLUSTER_LISTEN: `127.0.0.1:${route}`,
      NATS_ROUTES: `[${routes.map((other) => `nats://127.0.0.1:${other}`).join(", ")}]`,
    };
    const child = spawn(await natsServerBinary(), ["-c", join(conf, file)], { env, stdio: "ignore" });
    const exited = once(child, "exit");
    servers.push({
      child,
      url: `nats://127.0.0.1:${port}`,
      monitor: `http://127.0.0.1:${monitor}`,
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await exited;
      },
    });
    stack.use(servers[i]!);
  }
  for (const { monitor } of servers) {
    await expect.poll(() => fetch(`${monitor}/healthz`).then(({ status }) => status, String), WAIT).toBe(200);
  }
  return { dir, trust, servers, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test.for([
  ["single.conf", 1],
  ["cluster.conf", 3],
] as const)("a mesh runs on servers started from %s", { timeout: 180_000 }, async ([file, count]) => {
  await using nats = await openServers(file, count);
  const url = nats.servers.map((server) => server.url).join(",");
  await using coordinator = await startProcess("services/coordinator/main.ts", {
    NATS_URL: url,
    MYCEL_LISTEN: "127.0.0.1:0",
    MYCEL_NATS_TRUST: join(nats.trust, "coordinator"),
    MYCEL_REPLICAS: String(count),
  });
  const mesh = String(coordinator.ready["url"]);
  await using _agent = await startProcess("tests/support/test-agent.ts", {
    MYCEL_URL: mesh,
    MYCEL_AGENT_ID: "agent",
    TEST_DIR: nats.dir,
  });
  await using client = createClient({ url: mesh });
  expect(await client.run("reverse", { text: "mycel" }).result()).toBe("lecym");

  for (const { monitor } of nats.servers) {
    expect(await (await fetch(`${monitor}/varz`)).json()).toMatchObject({
      jetstream: { config: { max_storage: GIB, max_memory: 64 * 1024 ** 2, sync_always: true } },
      max_payload: 1024 ** 2,
      write_deadline: 10_000_000_000,
      ping_interval: 10_000_000_000,
    });
  }
  const servers = url.split(",");
  await expect(connect({ servers, reconnect: false })).rejects.toThrow(/Authorization/);
  const authenticator = credsAuthenticator(await readFile(join(nats.trust, "people/admin.creds")));
  await using connection = await connect({ servers, authenticator });
  expect(connection.info?.connect_urls ?? []).toEqual([]);
  const manager = await jetstreamManager(connection);
  for (const name of [TASKS_STREAM, OUTPUT_STREAM, TIMERS_STREAM, `OBJ_${BLOBS_BUCKET}`]) {
    const { config } = await manager.streams.info(name);
    expect(config.num_replicas).toBe(count);
    expect(config.max_bytes).toBe(name === TIMERS_STREAM ? -1 : GIB / 4);
  }
  if (count === 1) return;

  const leader = (await manager.streams.info(TASKS_STREAM)).cluster?.leader;
  nats.servers.find((_, i) => `mycel-${i + 1}` === leader)?.child.kill("SIGKILL");
  expect(await client.run("reverse", { text: "again" }).result()).toBe("niaga");
});

test("a missing variable is named, instead of a default that nobody knows of", async () => {
  await using folder = await openFolder();
  const args = ["-c", join(folder.conf, "single.conf")];
  const child = spawn(await natsServerBinary(), args, { env: { NATS_NAME: "mycel-1" } });
  let said = "";
  child.stderr.on("data", (part: Buffer) => (said += part.toString()));
  expect(await once(child, "close")).toEqual([1, null]);
  expect(said).toMatch(/variable reference for 'NATS_\w+'.*can not be found/);
});

test("the example names exactly the variables that the files use", async () => {
  await using folder = await openFolder();
  const text = async (file: string): Promise<string> => await readFile(join(folder.conf, file), "utf8");
  const all = ["common.conf", "single.conf", "cluster.conf", "trust.conf"];
  const files = (await Promise.all(all.map(text))).join("\n");
  const used = new Set([...files.matchAll(/^[^#\n]*\$(\w+)/gm)].map(([, name]) => name));
  const given = new Set([...(await text("node.env.example")).matchAll(/^(\w+)=/gm)].map(([, name]) => name));
  expect(given).toEqual(used);
});
