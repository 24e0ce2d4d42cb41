// The configuration of deploy/nats, as it stands there: real servers start from it and carry a mesh.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { credsAuthenticator } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { BLOBS_BUCKET, OUTPUT_STREAM, TASKS_STREAM, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { localAddresses, openDeployment, startServers } from "../../support/deployment.ts";
import { natsServerBinary } from "../../support/nats.ts";
import { startProcess } from "../../support/processes.ts";

const GIB = 1024 ** 3;

test.for([
  ["single.conf", 1],
  ["cluster.conf", 3],
] as const)("a mesh runs on servers started from %s", { timeout: 180_000 }, async ([file, count]) => {
  await using stack = new AsyncDisposableStack();
  const deployment = stack.use(await openDeployment());
  const servers = await startServers(deployment, file, count, stack);
  const tls = join(await deployment.machine("one", "--client"), "tls");
  const [caFile = "", certFile = "", keyFile = ""] = ["ca.crt", "own.crt", "own.key"].map((name) => join(tls, name));
  const own = { NATS_CA_FILE: caFile, NATS_CERT_FILE: certFile, NATS_KEY_FILE: keyFile };
  await using coordinator = await startProcess("services/coordinator/main.ts", {
    ...own,
    ...localAddresses(servers, join(deployment.dir, "data")),
    MYCEL_NATS_TRUST: join(deployment.trust, "coordinator"),
  });
  const mesh = String(coordinator.ready["url"]);
  await using _agent = await startProcess("services/worker/main.ts", { ...own, MYCEL_URL: mesh });
  await using client = createClient({ url: mesh });
  expect(await client.run("echo", { message: "mycel" }).result()).toMatchObject({ message: "mycel" });

  for (const { monitor } of servers) {
    expect(await (await fetch(`${monitor}/varz`)).json()).toMatchObject({
      jetstream: { config: { max_storage: GIB, max_memory: 64 * 1024 ** 2, sync_always: true } },
      max_payload: 1024 ** 2,
      write_deadline: 10_000_000_000,
      ping_interval: 10_000_000_000,
    });
  }
  const options = { servers: servers.map(({ url }) => url), reconnect: false, tls: { caFile, certFile, keyFile } };
  await expect(connect(options)).rejects.toThrow(/Authorization/);
  const authenticator = credsAuthenticator(await readFile(join(deployment.trust, "people/admin.creds")));
  await expect(connect({ ...options, authenticator, tls: { caFile } })).rejects.toThrow(
    /certificate|closed|ECONNRESET/i,
  );
  await using connection = await connect({ ...options, reconnect: true, authenticator });
  expect(connection.info?.connect_urls ?? []).toEqual([]);
  const manager = await jetstreamManager(connection);
  for (const name of [TASKS_STREAM, OUTPUT_STREAM, TIMERS_STREAM, `OBJ_${BLOBS_BUCKET}`]) {
    const { config } = await manager.streams.info(name);
    expect(config.num_replicas).toBe(count);
    expect(config.max_bytes).toBe(name === TIMERS_STREAM ? -1 : GIB / 4);
  }
  if (count === 1) return;

  const leader = (await manager.streams.info(TASKS_STREAM)).cluster?.leader;
  servers.find((_, i) => `mycel-${i + 1}` === leader)?.child.kill("SIGKILL");
  expect(await client.run("echo", { message: "again" }).result()).toMatchObject({ message: "again" });
});

test(
  "a stranger's server with a client's certificate does not get into the cluster",
  { timeout: 180_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const deployment = stack.use(await openDeployment());
    const [server] = await startServers(deployment, "cluster.conf", 3, stack);
    const tls = join(await deployment.machine("stranger", "--client", "--host", "127.0.0.1"), "tls");
    const config = join(deployment.dir, "stranger.conf");
    const lines = (route: string): string =>
      [
        'server_name: "stranger"',
        "listen: 127.0.0.1:-1",
        "cluster {",
        '  name: "mycel"',
        "  listen: 127.0.0.1:-1",
        `  tls { cert_file: "${join(tls, "own.crt")}", key_file: "${join(tls, "own.key")}", ca_file: "${join(tls, "ca.crt")}" }`,
        `  routes: ["${route}"]`,
        "}",
      ].join("\n");
    for (const login of ["", "mycel:guessed@"]) {
      await writeFile(config, lines(`nats://${login}127.0.0.1:${server!.route}`));
      const child = spawn(await natsServerBinary(), ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
      try {
        let said = "";
        child.stderr.setEncoding("utf8");
        for await (const part of child.stderr as AsyncIterable<string>) {
          said += part;
          if (/Authorization Violation|Authentication Timeout/i.test(said)) break;
        }
        expect(said, "a refusal").toMatch(/Authorization Violation|Authentication Timeout/i);
        const { routes } = (await (await fetch(`${server!.monitor}/routez`)).json()) as {
          routes: { remote_name?: string }[];
        };
        expect(routes.map(({ remote_name }) => remote_name)).not.toContain("stranger");
      } finally {
        child.kill("SIGKILL");
      }
    }
  },
);

test("a missing variable is named, instead of a default that nobody knows of", async () => {
  await using folder = await openDeployment();
  const args = ["-c", join(folder.conf, "single.conf")];
  const child = spawn(await natsServerBinary(), args, { env: { NATS_NAME: "mycel-1" } });
  let said = "";
  child.stderr.on("data", (part: Buffer) => (said += part.toString()));
  expect(await once(child, "close")).toEqual([1, null]);
  expect(said).toMatch(/variable reference for 'NATS_\w+'.*can not be found/);
});

test("the example names exactly the variables that the files use", async () => {
  await using folder = await openDeployment();
  const text = async (file: string): Promise<string> => await readFile(join(folder.conf, file), "utf8");
  const all = ["common.conf", "single.conf", "cluster.conf", "trust.conf"];
  const files = (await Promise.all(all.map(text))).join("\n");
  const used = new Set([...files.matchAll(/^[^#\n]*\$(\w+)/gm)].map(([, name]) => name));
  const given = new Set(
    [...(await text("node.env.example")).matchAll(/^(?:# )?(NATS_\w+)=/gm)].map(([, name]) => name),
  );
  expect(given).toEqual(used);
});
