// Owns learning where a just started nats-server listens and when it serves, without credentials and without a race
// for ports: the server picks them and writes them down. Polls, because another process gives no event.
import { readdir, readFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Where a server listens. */
export interface NatsServerAddresses {
  /** For NATS clients, e.g. `nats://127.0.0.1:4222`. */
  readonly url: string;
  /** TCP port of `url`. */
  readonly port: number;
  /** nats-server's monitoring pages (`/jsz`, `/connz`, …), loopback only, e.g. `http://127.0.0.1:38211`. */
  readonly monitorUrl: string;
  /** For NATS over WebSocket, e.g. `ws://127.0.0.1:9222`; undefined unless asked for. */
  readonly websocketUrl: string | undefined;
}

/** What {@link awaitReady} waits for. */
export interface AwaitReadyOptions {
  /** Folder that the server writes its ports file into; must have been empty before its start. */
  readonly portsDir: string;
  readonly pid: number;
  /** The interface that the server was told to listen on; the wildcard addresses are reached over loopback. */
  readonly host: string | undefined;
  /** Ends the wait, with the signal's reason. */
  readonly signal: AbortSignal;
}

/** An empty store is up within 30 ms, so a coarse poll would be most of the wait. */
const POLL_MS = 5;

/** Resolves with the addresses as soon as the server is healthy: listening, JetStream on, streams read back. */
export async function awaitReady(options: AwaitReadyOptions): Promise<NatsServerAddresses> {
  const { signal } = options;
  let addresses: NatsServerAddresses | undefined;
  for (;;) {
    addresses ??= await readAddresses(options);
    if (addresses !== undefined && (await isHealthy(addresses.monitorUrl, signal))) return addresses;
    await delay(POLL_MS, undefined, { signal });
  }
}

async function readAddresses({ portsDir, pid, host }: AwaitReadyOptions): Promise<NatsServerAddresses | undefined> {
  let ports: unknown;
  try {
    // The server names the file after its binary, which may be called anything.
    const name = (await readdir(portsDir)).find((file) => file.endsWith(`_${pid}.ports`));
    if (name === undefined) return undefined;
    ports = JSON.parse(await readFile(join(portsDir, name), "utf8"));
  } catch {
    return undefined; // Not written yet, or half.
  }
  const [nats, monitor, websocket] = ["nats", "monitoring", "websocket"].map((key) => portOf(ports, key));
  if (nats === undefined || monitor === undefined) return undefined;
  const reachable = reachableHost(host ?? "127.0.0.1");
  return {
    url: `nats://${reachable}:${nats}`,
    port: nats,
    monitorUrl: `http://127.0.0.1:${monitor}`,
    websocketUrl: websocket === undefined ? undefined : `ws://${reachable}:${websocket}`,
  };
}

/** The file says `{"nats": ["nats://127.0.0.1:4222", …], "monitoring": […], …}`; every address has the same port. */
function portOf(ports: unknown, key: string): number | undefined {
  if (typeof ports !== "object" || ports === null) return undefined;
  const addresses: unknown = Object.entries(ports).find(([name]) => name === key)?.[1];
  const first: unknown = Array.isArray(addresses) ? addresses[0] : undefined;
  const port = typeof first === "string" ? Number(/:(\d+)$/.exec(first)?.[1]) : Number.NaN;
  return Number.isInteger(port) ? port : undefined;
}

function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

async function isHealthy(monitorUrl: string, signal: AbortSignal): Promise<boolean> {
  return await new Promise((resolve) => {
    // No keep-alive: the one question must not leave a connection behind.
    const request = get(`${monitorUrl}/healthz`, { agent: false, signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false));
  });
}
