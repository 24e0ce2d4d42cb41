// A whole mesh in which everybody shows a certificate of one authority: three nats-servers and their routes, two coordinators, agents,
// clients of every protocol. All certificates and keys are replaced while it works, and no call fails.
import { cp, readFile } from "node:fs/promises";
import { Agent, request as httpsRequest } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { certificatesIn, pinOf } from "../../../lib/tls/certificate-facts.ts";
import {
  type ClientOptions,
  type ClientTlsOptions,
  createClient,
  type MycelClient,
} from "../../../sdk/client/index.ts";
import { runCli } from "../../support/cli.ts";
import {
  type DeployedNats,
  type Deployment,
  localAddresses,
  openDeployment,
  startServers,
} from "../../support/deployment.ts";
import { startProcess, type TestProcess } from "../../support/processes.ts";

const COORDINATORS = ["coordinator-1", "coordinator-2"] as const;
const AGENTS = ["agent-1", "agent-2"] as const;
const SERVERS = ["nats-1", "nats-2", "nats-3"] as const;
const PATIENCE = { timeout: 60_000, interval: 200 };

let stack: AsyncDisposableStack;
let deployment: Deployment;
let servers: readonly DeployedNats[];
let processes: readonly TestProcess[];
let urls: readonly string[];

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  deployment = stack.use(await openDeployment());
  servers = await startServers(deployment, "cluster.conf", SERVERS.length, stack);
  const coordinators = await Promise.all(
    COORDINATORS.map(async (name) => {
      const folder = await deployment.machine(name, "--host", "127.0.0.1", "--both");
      await cp(join(deployment.trust, "coordinator"), join(folder, "trust"), { recursive: true });
      const env = { ...localAddresses(servers, join(folder, "data")), MYCEL_TLS_CLIENT_CERTIFICATES: "required" };
      const args = ["--config", join(folder, "mycel.yaml")];
      return stack.use(await startProcess("services/coordinator/main.ts", env, args));
    }),
  );
  urls = coordinators.map(({ ready }) => String(ready["url"]));
  const agents = await Promise.all(
    AGENTS.map(async (name) => {
      const folder = await deployment.machine(name, "--client", "--spiffe", `spiffe://mesh/agent/${name}`);
      const env = { MYCEL_URL: urls.join(","), MYCEL_AGENT_ID: name };
      return stack.use(await startProcess("services/worker/main.ts", env, ["--config", join(folder, "mycel.yaml")]));
    }),
  );
  await deployment.machine("person", "--client", "--spiffe", "spiffe://mesh/person/me");
  processes = [...coordinators, ...agents];
}, 300_000);
afterAll(() => stack.disposeAsync());

const file = (machine: string, name: string): string => join(deployment.dir, machine, "tls", name);
const tlsOf = (machine: string): { ca: string; cert: string; key: string } => ({
  ca: file(machine, "ca.crt"),
  cert: file(machine, "own.crt"),
  key: file(machine, "own.key"),
});
const clientWith = (more: Partial<ClientOptions> = {}, tls: ClientTlsOptions = tlsOf("person")): MycelClient =>
  createClient({ urls: [...urls], tls, ...more });
const pinIn = async (machine: string): Promise<string> =>
  pinOf(certificatesIn(await readFile(file(machine, "own.crt"), "utf8"))[0]!);

test("nobody gets in without a certificate: neither to coordinators nor to NATS", async () => {
  const { ca } = tlsOf("person");
  for (const url of urls) {
    await using client = createClient({ url, tls: { ca }, retry: { attempts: 1 } });
    await expect(client.status("x")).rejects.toThrow("it requires a client certificate");
  }
  const credentialsFile = join(deployment.trust, "coordinator", "coordinator.creds");
  for (const { url } of servers) {
    const nobody = openNats({ servers: url, name: "nobody", connectTimeoutMs: 3_000, tls: { ca }, credentialsFile });
    await expect(nobody).rejects.toMatchObject({ code: "NATS_UNREACHABLE" });
  }
  // The routes of the cluster: two to each other server, at least, and every one of them by TLS.
  for (const { monitor } of servers) {
    const { routes } = (await (await fetch(`${monitor}/routez`)).json()) as { routes: { did_solicit: boolean }[] };
    expect(routes.length).toBeGreaterThanOrEqual(2);
    const varz = (await (await fetch(`${monitor}/varz`)).json()) as {
      cluster: { tls_required?: boolean };
      tls_verify?: boolean;
    };
    expect(varz.cluster.tls_required).toBe(true);
    expect(varz.tls_verify).toBe(true);
  }
});

test("all certificates and keys are replaced while the mesh works, and no call fails", async () => {
  const over = new AbortController();
  const done: Record<string, number> = {};
  const loop = async (name: string, call: () => Promise<unknown>): Promise<void> => {
    while (!over.signal.aborted) {
      await call();
      done[name] = (done[name] ?? 0) + 1;
    }
  };
  const ran = async (client: MycelClient): Promise<void> => {
    expect(await client.run("echo", { message: "hello" }, { timeoutMs: 60_000 }).result()).toMatchObject({
      message: "hello",
    });
  };
  await using standing = clientWith();
  await using web = clientWith({ transport: "connect" });
  // Two files are never replaced at one stroke. Who is running copes with that; who is just starting takes what it holds in its hands.
  let own = await texts("person");
  const browser = new Agent({ keepAlive: true, ...own });
  const load = [
    loop("gRPC", () => ran(standing)),
    loop("Connect", () => ran(web)),
    loop("gRPC, a connection for each", async () => {
      await using fresh = clientWith({}, own);
      await ran(fresh);
    }),
    loop("HTTP/1.1", () => post(`${urls[0]}/mycel.v1.AgentService/ListAgents`, browser)),
    loop("HTTP/1.1, a connection for each", async () =>
      post(`${urls[1]}/mycel.v1.AgentService/ListAgents`, new Agent(own)),
    ),
  ];
  // Whatever fails, fails the test at once.
  const failed = Promise.all(load);
  const whileItWorks = async <T>(step: Promise<T>): Promise<T> =>
    await Promise.race([step, failed.then((): never => expect.unreachable("the load ended"))]);
  const goesOn = async (): Promise<void> => {
    const before = { ...done };
    const went = (): boolean =>
      Object.keys(done).length === 5 && Object.keys(done).every((name) => done[name]! > (before[name] ?? 0));
    await whileItWorks(expect.poll(went, PATIENCE).toBe(true));
  };
  await goesOn();

  const machines = [...SERVERS, ...COORDINATORS, ...AGENTS, "person"];
  const pinsBefore = await Promise.all(machines.map(pinIn));
  const renewed = await whileItWorks(runCli("", ["certs", "renew", deployment.pki, "--new-key"]));
  expect(renewed).toMatchObject({ code: 0, stderr: "" });
  for (const machine of machines) await deployment.install(machine);
  own = await texts("person");
  for (const { child } of servers) child.kill("SIGHUP");
  const pins = await Promise.all(machines.map(pinIn));
  expect(pins.filter((pin) => pinsBefore.includes(pin))).toEqual([]);

  // Who connects from now on is shown the new keys, by everybody.
  const pinOfMachine = (machine: string): string => pins[machines.indexOf(machine)]!;
  for (const [index, name] of COORDINATORS.entries()) {
    const shown = async (): Promise<boolean> => {
      const tls = { ...tlsOf("person"), pins: [pinOfMachine(name)] };
      await using client = createClient({ url: urls[index]!, tls, retry: { attempts: 1 } });
      return (await client.health()).healthy;
    };
    await whileItWorks(expect.poll(shown, PATIENCE).toBe(true));
  }
  for (const [index, name] of SERVERS.entries()) {
    const shown = async (): Promise<boolean> => {
      const { ca, cert, key } = tlsOf(COORDINATORS[0]);
      const tls = { ca, cert, key, pins: [pinOfMachine(name)] };
      const credentialsFile = join(deployment.trust, "coordinator", "coordinator.creds");
      try {
        await using _ = await openNats({ servers: servers[index]!.url, name: "look", tls, credentialsFile });
        return true;
      } catch {
        return false;
      }
    };
    await whileItWorks(expect.poll(shown, PATIENCE).toBe(true));
  }
  await goesOn();
  over.abort();
  await failed;
  browser.destroy();

  // A server that goes away has everybody who was there connect anew, to servers with new certificates and by their own new ones; its
  // routes are not missed either. A client tries again meanwhile.
  const connections = await Promise.all(
    servers.map(async ({ monitor }) => {
      const { num_connections: count } = (await (await fetch(`${monitor}/connz`)).json()) as {
        num_connections: number;
      };
      return count;
    }),
  );
  expect(Math.max(...connections)).toBeGreaterThan(0);
  servers[connections.indexOf(Math.max(...connections))]!.child.kill("SIGTERM");
  for (let calls = 0; calls < 10; calls += 1) await ran(standing);
  for (const running of processes) expect(running.child.exitCode, running.output()).toBeNull();
  const logs = processes.map((running) => running.output()).join("\n");
  expect(logs).toContain("TLS files reloaded");
  expect(logs).not.toContain("are not good");
}, 300_000);

test("the command works with the certificates of the same authority", async () => {
  const { ca, cert, key } = tlsOf("person");
  const args = ["--ca", ca, "--cert", cert, "--key", key, "submit", "echo", '{"message":"by hand"}', "--wait"];
  const { code, stdout } = await runCli(urls.join(","), args);
  expect(code).toBe(0);
  expect(stdout).toContain("by hand");
});

async function texts(machine: string): Promise<{ ca: string; cert: string; key: string }> {
  const { ca, cert, key } = tlsOf(machine);
  return { ca: await readFile(ca, "utf8"), cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
}

function post(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      url,
      { agent, method: "POST", headers: { "content-type": "application/json" } },
      (response) => {
        response.resume();
        response.once("end", () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
        );
        response.once("error", reject);
      },
    );
    sent.once("error", reject);
    sent.end("{}");
  });
}
