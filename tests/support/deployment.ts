// A mesh as deploy/ has it, each machine a folder: its certificates of one `mycel certs`, its trust of one `mycel trust`, and the files of
// deploy/ as they stand there.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runCli } from "./cli.ts";
import { fixedPort } from "./fixed-port.ts";
import { natsServerBinary } from "./nats.ts";

const DEPLOY = resolve(import.meta.dirname, "../../deploy");

/** What an operator has made. */
export interface Deployment extends AsyncDisposable {
  readonly dir: string;
  /** What `mycel certs` made. */
  readonly pki: string;
  /** What `mycel trust` made. */
  readonly trust: string;
  /** The configuration of nats-servers. */
  readonly conf: string;
  /** Makes the folder of a machine, with mycel.yaml and a certificate that `args` of `mycel certs issue` describe. */
  machine(name: string, ...args: readonly string[]): Promise<string>;
  /** Puts the present certificate of a machine into its folder, as after a renewal. */
  install(name: string): Promise<void>;
}

/** Makes it. */
export async function openDeployment(): Promise<Deployment> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-deploy-")), (path) => rm(path, { recursive: true }));
  const [pki, trust, conf] = [join(dir, "pki"), join(dir, "trust"), join(dir, "conf")];
  await cp(join(DEPLOY, "nats"), conf, { recursive: true });
  await mycel("certs", "init", pki);
  await mycel("trust", "init", trust);
  await copyFile(join(trust, "nats/trust.conf"), join(conf, "trust.conf"));
  const install = async (name: string): Promise<void> => {
    for (const end of ["crt", "key"]) await copyFile(join(pki, `${name}.${end}`), join(dir, name, `tls/own.${end}`));
  };
  const owned = stack.move();
  return {
    dir,
    pki,
    trust,
    conf,
    install,
    async machine(name, ...args) {
      await mycel("certs", "issue", pki, "--name", name, ...args);
      const folder = join(dir, name);
      await mkdir(join(folder, "tls"), { recursive: true });
      await copyFile(join(pki, "ca.crt"), join(folder, "tls/ca.crt"));
      await install(name);
      for (const file of ["mycel.yaml", "policy.yaml"]) await copyFile(join(DEPLOY, file), join(folder, file));
      return folder;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A nats-server that runs. */
export interface DeployedNats extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly url: string;
  readonly monitor: string;
  /** The port for the other servers. */
  readonly route: number;
}

/** Starts servers from a file of deploy/nats, each on a machine of its own; `stack` stops them. */
export async function startServers(
  deployment: Deployment,
  file: string,
  count: number,
  stack: AsyncDisposableStack,
): Promise<readonly DeployedNats[]> {
  const { dir, conf } = deployment;
  const clusterPassword = `s${randomBytes(16).toString("hex")}`;
  const routes = await Promise.all(Array.from({ length: count }, fixedPort));
  const servers: DeployedNats[] = [];
  for (const [i, route] of routes.entries()) {
    const machine = await deployment.machine(`nats-${i + 1}`, "--host", "127.0.0.1", "--host", "localhost", "--both");
    const [port, monitor] = [await fixedPort(), await fixedPort()];
    const env = {
      NATS_NAME: `mycel-${i + 1}`,
      NATS_HOST: "127.0.0.1",
      NATS_PORT: String(port),
      NATS_MONITOR: `127.0.0.1:${monitor}`,
      NATS_TLS_CERT: join(machine, "tls/own.crt"),
      NATS_TLS_KEY: join(machine, "tls/own.key"),
      NATS_TLS_CA: join(machine, "tls/ca.crt"),
      NATS_STORE_DIR: join(dir, String(i)),
      NATS_RESOLVER_DIR: join(dir, `${i}-accounts`),
      NATS_MAX_FILE_STORE: "1GB",
      NATS_CLUSTER_LISTEN: `127.0.0.1:${route}`,
      NATS_CLUSTER_PASSWORD: clusterPassword,
      NATS_ROUTES: `[${routes.map((other) => `nats://mycel:${clusterPassword}@127.0.0.1:${other}`).join(", ")}]`,
    };
    const child = spawn(await natsServerBinary(), ["-c", join(conf, file)], { env, stdio: "ignore" });
    const exited = once(child, "exit");
    servers.push({
      child,
      url: `tls://127.0.0.1:${port}`,
      monitor: `http://127.0.0.1:${monitor}`,
      route,
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await exited;
      },
    });
    stack.use(servers[i]!);
  }
  for (const { monitor } of servers) await healthy(monitor);
  return servers;
}

/** What a coordinator is told that deploy/mycel.yaml cannot know: addresses of this machine. */
export function localAddresses(servers: readonly DeployedNats[], dataDir: string): Readonly<Record<string, string>> {
  const urls = servers.map(({ url }) => url).join(",");
  return {
    NATS_URL: urls,
    MYCEL_AGENT_NATS_URL: urls,
    MYCEL_REPLICAS: String(servers.length),
    MYCEL_LISTEN: "127.0.0.1:0",
    MYCEL_DATA_DIR: dataDir,
  };
}

/** Resolves when a server is ready. It tells nobody when that is. */
async function healthy(monitor: string): Promise<void> {
  const patience = AbortSignal.timeout(60_000);
  for (;;) {
    const status = await fetch(`${monitor}/healthz`, { signal: patience }).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    patience.throwIfAborted();
    await delay(100);
  }
}

async function mycel(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runCli("", args);
  if (code !== 0) throw new Error(`mycel ${args.join(" ")} ended with ${code}: ${stderr}`);
}
