// The registry as several coordinators have it: whose word counts when they write at once, and what is told after a watch broke.

import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { jetstream, type JetStreamClient, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { afterEach, expect, test, vi } from "vitest";
import { type Agent, AgentSchema } from "../../../gen/mycel/v1/agent_pb.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { Registry, type RegistryChange } from "../../../lib/nats/registry.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { AGENTS_BUCKET, bucketStream } from "../../../lib/wire/subjects.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";

const STREAM = bucketStream(AGENTS_BUCKET);

afterEach(() => {
  vi.restoreAllMocks();
});

test("a heartbeat on its way while its agent deregisters does not bring the agent back", async () => {
  await using mesh = await openRegistries();
  const [here, there] = mesh.registries;
  await here.put("t", agent({}));
  await mesh.told(there, "added");

  const removed = here.remove("t", "a");
  // Behind the removal on the same connection, before anybody can know of it.
  const renewed = here.renew("t", "a", (known) => ({ ...known, running: 1 }));

  await removed;
  expect(await renewed).toBe(false);
  await here.put("t", agent({ agentId: "b" }));
  await mesh.told(there, "added b");
  expect(mesh.changes(there)).toEqual(["added a", "removed a", "added b"]);
  expect([here.get("t", "a"), there.get("t", "a")]).toEqual([undefined, undefined]);
});

test("a heartbeat does not undo what its agent said of itself meanwhile", async () => {
  await using mesh = await openRegistries();
  const [here] = mesh.registries;
  await here.put("t", agent({}));

  const registered = here.put("t", agent({ concurrency: 9 }));
  const renewed = here.renew("t", "a", (known) => ({ ...known, running: 1 }));

  await registered;
  expect(await renewed).toBe(true);
  expect(here.get("t", "a")).toMatchObject({ concurrency: 9, running: 1 });
});

test("a heartbeat renews an agent of which this coordinator has not heard yet", async () => {
  await using mesh = await openRegistries();
  const [here, there] = mesh.registries;
  await mesh.deafen();
  await here.put("t", agent({}));

  expect(there.get("t", "a")).toBeUndefined();
  expect(await there.renew("t", "a", (known) => ({ ...known, running: 1 }))).toBe(true);
  expect(await there.renew("t", "nobody", (known) => known)).toBe(false);
});

test("an agent that was removed stays removed when an earlier write of it is acknowledged late", async () => {
  await using mesh = await openRegistries();
  const [here, there] = mesh.registries;
  await here.put("t", agent({}));
  await mesh.told(there, "added a");
  const late = Promise.withResolvers<void>();
  const other = jetstream(mesh.connections[1]);
  const clients = Object.getPrototypeOf(other) as JetStreamClient;
  vi.spyOn(clients, "publish").mockImplementationOnce(async (...stored) => {
    const acknowledged = await other.publish(...stored);
    await late.promise;
    return acknowledged;
  });

  const written = here.put("t", agent({ running: 1 }));
  await mesh.told(there, "updated a");
  await there.remove("t", "a");
  await mesh.told(here, "removed a");
  late.resolve();
  await written;

  expect(here.get("t", "a")).toBeUndefined();
});

test("a registry whose watch the broker lost hears of others again within seconds", { timeout: 30_000 }, async () => {
  await using mesh = await openRegistries();
  const [here, there] = mesh.registries;
  await mesh.deafen();

  await there.put("t", agent({}));

  await mesh.told(here, "added a");
});

test("an agent that vanished without a word while the connection was gone is lost", async () => {
  await using mesh = await openRegistries();
  const [here, there] = mesh.registries;
  await there.put("t", agent({}));
  await mesh.told(here, "added a");
  // As after an outage that outlasts the broker's markers.
  await (await jetstreamManager(mesh.connections[0])).streams.purge(STREAM);

  await mesh.connections[0].reconnect();

  await mesh.told(here, "lost a");
});

test("nobody is lost and added anew when the connection was gone", async () => {
  await using mesh = await openRegistries();
  const [here, there] = mesh.registries;
  await there.put("t", agent({}));
  await mesh.told(here, "added a");

  await mesh.connections[0].reconnect();
  // This one is written while the watch is opened anew, or before.
  await here.put("t", agent({ agentId: "b" }));
  await mesh.told(here, "updated a");

  expect(mesh.changes(here).filter((change) => change.startsWith("lost"))).toEqual([]);
});

test("whoever registers or leaves while nobody keeps the bucket is told to come again", async () => {
  await using mesh = await openRegistries();
  const [here] = mesh.registries;
  await here.put("t", agent({}));
  await (await jetstreamManager(mesh.connections[0])).streams.delete(STREAM);

  await expect(here.put("t", agent({ agentId: "b" }))).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  await expect(here.remove("t", "a")).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
});

test("a registry that is closed while it opens its watch anew does not wait for ever", async () => {
  const failed = Promise.withResolvers<unknown>();
  await using mesh = await openRegistries(failed.resolve);
  await (await jetstreamManager(mesh.connections[0])).streams.delete(STREAM);
  await mesh.connections[0].reconnect();
  await failed.promise;

  process.kill(mesh.nats.process.pid, "SIGSTOP");
  // Whether it is asking the broker now or about to: nobody answers.
  await mesh.registries[0][Symbol.asyncDispose]();
  process.kill(mesh.nats.process.pid, "SIGCONT");
});

interface Registries extends AsyncDisposable {
  readonly nats: TestNats;
  readonly connections: readonly [NatsConnection, NatsConnection];
  readonly registries: readonly [Registry, Registry];
  /** What a registry has told, as in `added a`. */
  changes(registry: Registry): readonly string[];
  /** Resolves when a registry has told what begins so. */
  told(registry: Registry, change: string): Promise<void>;
  /** Has the broker forget both watches. */
  deafen(): Promise<void>;
}

/** Two coordinators' registries, each over a connection of its own. */
async function openRegistries(onError: (error: unknown) => void = () => undefined): Promise<Registries> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await openTestNats());
  const connect = async (): Promise<NatsConnection> =>
    stack.adopt(await openNats({ servers: nats.url, name: "test" }), (opened) => opened.close());
  const connections = [await connect(), await connect()] as const;
  await ensureTopology(connections[0], { replicas: 1, retentionMs: 86_400_000, maxBytes: -1, agentTtlMs: 60_000 });
  const told = new Map<Registry, { changes: string[]; heard: () => void }>();
  const open = async (connection: NatsConnection): Promise<Registry> => {
    const registry = stack.use(
      await Registry.open(connection, { onError, onGarbage: (key) => expect.unreachable(key) }),
    );
    const record = { changes: [] as string[], heard: () => undefined as void };
    told.set(registry, record);
    registry.listen(({ kind, agent: { agentId } }: RegistryChange) => {
      record.changes.push(`${kind} ${agentId}`);
      record.heard();
    });
    return registry;
  };
  const registries = [await open(connections[0]), await open(connections[1])] as const;
  return {
    nats,
    connections,
    registries,
    changes: (registry) => told.get(registry)!.changes,
    told: async (registry, change) => {
      const record = told.get(registry)!;
      while (!record.changes.some((each) => each.startsWith(change))) {
        await new Promise<void>((resolve) => (record.heard = resolve));
      }
    },
    deafen: async () => {
      const { consumers } = await jetstreamManager(connections[0]);
      for await (const { name } of consumers.list(STREAM)) await consumers.delete(STREAM, name);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function agent(more: Partial<Pick<Agent, "agentId" | "concurrency" | "running">>): Agent {
  return create(AgentSchema, { agentId: "a", name: "a", concurrency: 4, ...more });
}
