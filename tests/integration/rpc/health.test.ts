// Health as a stock gRPC client (@grpc/grpc-js) sees it, with the protos of grpc-health-check.
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { openRpcServer } from "../../support/rpc-server.ts";

const packageFolder = dirname(createRequire(import.meta.url).resolve("grpc-health-check/package.json"));
const definition = loadSync(join(packageFolder, "proto/health/v1/health.proto"), { enums: String });

interface Call extends NodeJS.EventEmitter {
  cancel(): void;
}
interface HealthClient extends Client {
  check(request: object, done: (error: ServiceError | null, response?: { status: string }) => void): void;
  watch(request: object): Call;
}

function connect(port: number): HealthClient & Disposable {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the loader builds classes at run time
  const loaded = loadPackageDefinition(definition) as unknown as {
    grpc: { health: { v1: { Health: new (address: string, credentials: object) => HealthClient } } };
  };
  const client = new loaded.grpc.health.v1.Health(`127.0.0.1:${port}`, credentials.createInsecure());
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

function check(client: HealthClient, service: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.check({ service }, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

test("grpc-js checks a service, and gets NOT_FOUND for an unknown one", async () => {
  await using server = await openRpcServer();
  using client = connect(server.port);
  expect(await check(client, "grpc.health.v1.Health")).toEqual({ status: "SERVING" });
  await expect(check(client, "no.such")).rejects.toMatchObject({
    code: status.NOT_FOUND,
    details: 'unknown service "no.such"',
  });
});

test("grpc-js watches a service through a drain, until the server says UNAVAILABLE", async () => {
  const shutdown = new AbortController();
  await using server = await openRpcServer({ router: { shutdownSignal: shutdown.signal } });
  using client = connect(server.port);
  const call = client.watch({ service: "" });
  expect(await once(call, "data")).toEqual([{ status: "SERVING" }]);
  const told = once(call, "data");
  server.health.drain();
  expect(await told).toEqual([{ status: "NOT_SERVING" }]);
  const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
  shutdown.abort(new ConnectError("draining", Code.Unavailable));
  expect(await server.listener.drain(30_000)).toEqual({ forced: 0 });
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE, details: "draining" });
  expect(server.health.watchers).toBe(0);
});

test("grpc-js hears NOT_SERVING even from a server that ends its streams in the same moment", async () => {
  const shutdown = new AbortController();
  await using server = await openRpcServer({ router: { shutdownSignal: shutdown.signal } });
  using client = connect(server.port);
  const call = client.watch({ service: "" });
  const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
  expect(await once(call, "data")).toEqual([{ status: "SERVING" }]);
  const told = once(call, "data");
  server.health.drain();
  shutdown.abort(new ConnectError("draining", Code.Unavailable));
  expect(await told).toEqual([{ status: "NOT_SERVING" }]);
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
});

test("a grpc-js watcher that cancels is forgotten", async () => {
  await using server = await openRpcServer();
  using client = connect(server.port);
  const call = client.watch({ service: "no.such" });
  call.on("error", () => undefined);
  expect(await once(call, "data")).toEqual([{ status: "SERVICE_UNKNOWN" }]);
  expect(server.health.watchers).toBe(1);
  call.cancel();
  await expect.poll(() => server.health.watchers).toBe(0);
});
