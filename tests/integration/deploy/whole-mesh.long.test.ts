// The whole mesh as deploy/ has it: three nats-servers, two coordinators, an agent, a client and the command, all of them with certificates of
// one authority, and one configuration file.
import { once } from "node:events";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type MycelClient, createClient } from "../../../sdk/client/index.ts";
import { runCli } from "../../support/cli.ts";
import {
  type DeployedNats,
  type Deployment,
  localAddresses,
  openDeployment,
  startServers,
} from "../../support/deployment.ts";
import { startProcess, type TestProcess } from "../../support/processes.ts";
import { soon } from "../../support/soon.ts";

const MACHINES = ["coordinator-1", "coordinator-2"] as const;

let stack: AsyncDisposableStack;
let deployment: Deployment;
let servers: readonly DeployedNats[];
let coordinators: readonly TestProcess[];
let urls: readonly string[];
let agent: TestProcess;
let person: string;

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  deployment = stack.use(await openDeployment());
  servers = await startServers(deployment, "cluster.conf", 3, stack);
  coordinators = await Promise.all(
    MACHINES.map(async (name) => {
      const folder = await deployment.machine(name, "--host", "127.0.0.1", "--both");
      await cp(join(deployment.trust, "coordinator"), join(folder, "trust"), { recursive: true });
      const env = localAddresses(servers, join(folder, "data"));
      return stack.use(
        await startProcess("services/coordinator/main.ts", env, ["--config", join(folder, "mycel.yaml")]),
      );
    }),
  );
  urls = coordinators.map(({ ready }) => String(ready["url"]));
  const machine = await deployment.machine("agent-1", "--client", "--spiffe", "spiffe://mesh/agent/one");
  const env = { MYCEL_URL: urls.join(",") };
  agent = stack.use(await startProcess("services/worker/main.ts", env, ["--config", join(machine, "mycel.yaml")]));
  person = await deployment.machine("person", "--client", "--spiffe", "spiffe://mesh/person/me");
}, 180_000);
afterAll(() => stack.disposeAsync());

const clientOf = (folder: string): MycelClient =>
  createClient({
    urls: [...urls],
    tls: { ca: join(folder, "tls/ca.crt"), cert: join(folder, "tls/own.crt"), key: join(folder, "tls/own.key") },
  });

test("everybody speaks TLS and shows a certificate", () => {
  expect(urls.every((url) => url.startsWith("https://127.0.0.1:"))).toBe(true);
  expect(servers.every(({ url }) => url.startsWith("tls://"))).toBe(true);
  expect(agent.ready["msg"]).toBe("ready");
});

test("a task is done by the agent for a client, and for the command", async () => {
  await using client = clientOf(person);
  expect(await client.run("echo", { message: "hello" }).result()).toMatchObject({ message: "hello" });
  const env = {
    MYCEL_CA_FILE: join(person, "tls/ca.crt"),
    MYCEL_CERT_FILE: join(person, "tls/own.crt"),
    MYCEL_KEY_FILE: join(person, "tls/own.key"),
  };
  const { code, stdout, stderr } = await runCli(urls.join(","), ["submit", "echo", '{"message":"again"}', "--wait"], {
    env,
  });
  expect([code, stderr]).toEqual([0, expect.not.stringContaining("mycel:")]);
  expect(stdout).toContain("again");
});

test("whoever shows no certificate, or one that is bound to nothing, gets nothing done", async () => {
  const stranger = await deployment.machine("stranger", "--client", "--spiffe", "spiffe://elsewhere/x");
  await using bound = clientOf(stranger);
  await expect(bound.submit("echo", { message: "x" })).rejects.toMatchObject({
    code: "permission_denied",
  });
  await using nobody = createClient({ urls: [...urls], tls: { ca: join(person, "tls/ca.crt") } });
  await expect(nobody.submit("echo", { message: "x" })).rejects.toMatchObject({
    code: "unauthenticated",
  });
});

test("certificates are renewed under load, and no call fails", { timeout: 180_000 }, async () => {
  await using client = clientOf(person);
  const stop = new AbortController();
  const failures: unknown[] = [];
  let done = 0;
  const callers = Array.from({ length: 4 }, async () => {
    while (!stop.signal.aborted) {
      await client
        .run("echo", { message: "still here" })
        .result()
        .catch((error: unknown) => failures.push(error));
      done += 1;
    }
  });
  const more = async (): Promise<void> => {
    const now = done;
    await soon(() => done).toBeGreaterThan(now + 20);
  };
  await more();
  const before = await Promise.all(urls.map(serialAt));
  const untilBefore = await Promise.all(servers.map(goodUntil));

  const renewed = await runCli("", ["certs", "renew", deployment.pki, "--days", "30"]);
  expect(renewed).toMatchObject({ code: 0, stderr: "" });
  for (const name of [...MACHINES, "nats-1", "nats-2", "nats-3", "agent-1", "person"]) await deployment.install(name);
  for (const { child } of servers) child.kill("SIGHUP");

  for (const [i, url] of urls.entries()) await soon(async () => await serialAt(url)).not.toBe(before[i]);
  for (const [i, server] of servers.entries()) await soon(async () => await goodUntil(server)).not.toBe(untilBefore[i]);
  await more();
  await using another = clientOf(person);
  expect(await another.run("echo", { message: "newly come" }).result()).toMatchObject({ message: "newly come" });
  stop.abort();
  await Promise.all(callers);
  expect(failures).toEqual([]);
});

/** The serial number of the certificate that a coordinator shows to whoever comes now. */
async function serialAt(url: string): Promise<string> {
  const { hostname: host, port } = new URL(url);
  const socket = connect({ host, port: Number(port), ALPNProtocols: ["h2"], rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

/** Until when the certificate of a nats-server is good. */
async function goodUntil({ monitor }: DeployedNats): Promise<unknown> {
  const facts = (await (await fetch(`${monitor}/varz`)).json()) as Readonly<Record<string, unknown>>;
  expect(facts).toHaveProperty("tls_cert_not_after");
  return facts["tls_cert_not_after"];
}
