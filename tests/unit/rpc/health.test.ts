// What health tells to callers and watchers, through an in-memory router.
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Health as HealthService, HealthCheckResponse_ServingStatus } from "../../../gen/health/v1/health_pb.ts";
import { createHealth } from "../../../lib/rpc/health/health.ts";
import type { HealthOptions } from "../../../lib/rpc/health/health.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { failureOf, iteratorOf } from "../../support/rpc-call.ts";

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

function setup(options: Partial<HealthOptions> = {}) {
  const health = createHealth({ services: [HealthService, "other.v1.Other"], ...options });
  const client = createClient(
    HealthService,
    createRouterTransport((router) => health.register(router)),
  );
  const watch = (service: string) => {
    const controller = new AbortController();
    const stream = iteratorOf(client.watch({ service }, { signal: controller.signal }));
    const next = async () => (await stream.next()).value?.status;
    const leave = async () => {
      const ended = expect(stream.next()).rejects.toMatchObject({ code: Code.Canceled });
      controller.abort();
      await ended;
    };
    return { next, leave };
  };
  return { health, client, watch };
}

test("Check knows the server as a whole and each service", async () => {
  const { health, client } = setup();
  health.set("other.v1.Other", "NOT_SERVING");
  expect((await client.check({ service: "" })).status).toBe(SERVING);
  expect((await client.check({ service: HealthService.typeName })).status).toBe(SERVING);
  expect((await client.check({ service: "other.v1.Other" })).status).toBe(NOT_SERVING);
});

test("a server can start as NOT_SERVING", async () => {
  const { client } = setup({ initialStatus: "NOT_SERVING" });
  expect((await client.check({})).status).toBe(NOT_SERVING);
});

test("Check answers NOT_FOUND for an unknown service", async () => {
  const { client } = setup();
  const error = await failureOf(client.check({ service: "no.such" }));
  expect(error).toMatchObject({ code: Code.NotFound });
  expect(readDetails(error).resource).toEqual({ type: "service", name: "no.such" });
});

test("Watch tells the status at once and then each change, not repetitions", async () => {
  const { health, watch } = setup();
  const watcher = watch("");
  expect(await watcher.next()).toBe(SERVING);
  health.set("", "SERVING");
  health.set("", "NOT_SERVING");
  expect(await watcher.next()).toBe(NOT_SERVING);
  health.set("", "SERVING");
  expect(await watcher.next()).toBe(SERVING);
  await watcher.leave();
});

test("Watch of an unknown service stays open and learns when the service appears", async () => {
  const { health, watch } = setup();
  const watcher = watch("later.v1.Later");
  expect(await watcher.next()).toBe(SERVICE_UNKNOWN);
  health.set("later.v1.Later", "SERVING");
  expect(await watcher.next()).toBe(SERVING);
  await watcher.leave();
});

test("a watcher that leaves is forgotten", async () => {
  const { health, watch } = setup();
  const watchers = [watch(""), watch(""), watch("no.such")];
  await Promise.all(watchers.map((watcher) => watcher.next()));
  expect(health.watchers).toBe(3);
  await Promise.all(watchers.map((watcher) => watcher.leave()));
  await expect.poll(() => health.watchers).toBe(0);
});

test("drain tells every watcher, and nothing can be set to SERVING afterwards", async () => {
  const { health, client, watch } = setup();
  const watcher = watch("other.v1.Other");
  await watcher.next();
  health.drain();
  expect(await watcher.next()).toBe(NOT_SERVING);
  health.set("other.v1.Other", "SERVING");
  expect((await client.check({ service: "other.v1.Other" })).status).toBe(NOT_SERVING);
  expect((await client.check({ service: "" })).status).toBe(NOT_SERVING);
  await watcher.leave();
});

test("one watcher too many is refused with a retry delay, and fits again when another leaves", async () => {
  const { health, client, watch } = setup({ maxWatchers: 1 });
  const first = watch("");
  await first.next();
  const refused = await failureOf(iteratorOf(client.watch({})).next());
  expect(refused).toMatchObject({ code: Code.ResourceExhausted });
  expect(readDetails(refused)).toMatchObject({ reason: "TOO_MANY_WATCHERS", retryDelayMs: 5000 });
  await first.leave();
  await expect.poll(() => health.watchers).toBe(0);
  const second = watch("");
  expect(await second.next()).toBe(SERVING);
  await second.leave();
});

test("an absurdly long service name is refused instead of kept", async () => {
  const { client } = setup();
  const watching = iteratorOf(client.watch({ service: "x".repeat(513) })).next();
  await expect(watching).rejects.toMatchObject({ code: Code.InvalidArgument });
});

test("List shows every service, up to the protocol's bound of 100", async () => {
  const { health, client } = setup();
  const { statuses } = await client.list({});
  expect(Object.entries(statuses).map(([name, { status }]) => [name, status])).toEqual([
    ["", SERVING],
    [HealthService.typeName, SERVING],
    ["other.v1.Other", SERVING],
  ]);
  for (let number = 0; number < 98; number += 1) {
    health.set(`s${number}`, "SERVING");
  }
  await expect(client.list({})).rejects.toMatchObject({ code: Code.ResourceExhausted });
});

test.for([0, -1, 1.5, Number.NaN])("maxWatchers of %d is refused", (maxWatchers) => {
  expect(() => createHealth({ services: [], maxWatchers })).toThrow(`got ${maxWatchers}`);
});
