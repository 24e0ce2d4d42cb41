// Fleets of coordinators on one real broker, without the rest of them: who is registered, who has a credential, who is shut out.
import type { NatsConnection } from "@nats-io/nats-core";
import { silentLogger } from "../../lib/core/logger.ts";
import type { AgentIdentity } from "../../lib/nats/agent-requests.ts";
import { LaneWatch } from "../../lib/nats/lane-deliveries.ts";
import { Lanes } from "../../lib/nats/lanes.ts";
import { Registry } from "../../lib/nats/registry.ts";
import { TaskLog } from "../../lib/nats/task-log.ts";
import { Timers } from "../../lib/nats/timers.ts";
import type { AgentCredentialRequest } from "../../lib/nats/trust/agent-credential.ts";
import type { BusTrust, KeyToRevoke } from "../../lib/nats/trust/bus-trust.ts";
import { openAgentAccess } from "../../services/coordinator/agents/agent-access.ts";
import { Fleet } from "../../services/coordinator/agents/fleet.ts";
import type { Revocations } from "../../services/coordinator/agents/revocations.ts";
import { Lifecycle } from "../../services/coordinator/tasks/lifecycle.ts";
import { openMeshLog, TENANT } from "./mesh-log.ts";

/** A trust that writes down what it is asked for. */
export class RecordingTrust implements BusTrust {
  readonly issued: AgentCredentialRequest[] = [];
  readonly revoked: string[] = [];
  /** What was revoked at once. */
  readonly calls: (readonly KeyToRevoke[])[] = [];

  issueAgentCredential(request: AgentCredentialRequest): string {
    this.issued.push(request);
    return `jwt of ${request.publicKey}`;
  }

  async revoke(keys: readonly KeyToRevoke[]): Promise<void> {
    this.calls.push(keys);
    this.revoked.push(...keys.map(({ publicKey }) => publicKey));
  }

  async revokeAll(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A coordinator's fleet. */
export interface OpenedFleet {
  readonly fleet: Fleet;
  readonly revocations: Revocations;
}

/** Fleets, and what they have in common. */
export interface TestFleet extends AsyncDisposable, OpenedFleet {
  readonly connection: NatsConnection;
  /** The fleet of another coordinator. */
  openOther(): Promise<OpenedFleet>;
  /** The fleet of another coordinator, which hears of no registration from now on. */
  openDeaf(): Promise<Fleet>;
  /** Whether another coordinator finds an agent. */
  isRegistered(agentId: string): Promise<boolean>;
}

/** Opens a fleet; with a trust, the broker is said to ask agents for credentials. `now` is the mesh's time. */
export async function openFleet(trust?: BusTrust, now: () => number = Date.now): Promise<TestFleet> {
  const stack = new AsyncDisposableStack();
  const log = stack.use(await openMeshLog());
  const open = async (): Promise<Registry> =>
    stack.use(await Registry.open(log.connection, { onError: () => undefined, onGarbage: () => undefined }));
  const clock = { now, monotonicMs: () => performance.now() };
  const lanes = new Lanes(log, { leaseMs: 30_000, depthLimit: 10, maxQueues: 10 }, () => clock.monotonicMs());
  const { connection, manager, publisher, reader, outputLog: outputs } = log;
  const taskLog = new TaskLog({ connection, manager, publisher, reader });
  const timers = new Timers(publisher);
  const logger = silentLogger;
  const lifecycle = new Lifecycle({ connection, log: taskLog, outputs, timers, lanes, clock, logger });
  const fleetOf = async (registry: Registry): Promise<OpenedFleet> => {
    const { credentials, revocations } = stack.use(
      await openAgentAccess({
        connection,
        registry,
        trust,
        credentialMs: 60_000,
        clock,
        logger,
        index: { listTasks: () => Promise.reject(new Error("no index here")) },
        log: taskLog,
        lifecycle,
        lanes: new LaneWatch({ connection, manager, reader }),
      }),
    );
    const fleet = new Fleet({
      registry,
      lanes,
      clock,
      logger,
      randomId: () => "x",
      natsUrls: [log.nats.url],
      leaseMs: 30_000,
      heartbeatMs: 1_000,
      credentials,
      revocations,
    });
    return { fleet: stack.use(fleet), revocations };
  };
  return {
    ...(await fleetOf(await open())),
    connection,
    openOther: async () => fleetOf(await open()),
    openDeaf: async () => {
      const registry = await open();
      await registry[Symbol.asyncDispose]();
      return (await fleetOf(registry)).fleet;
    },
    isRegistered: async (agentId) => (await open()).get(TENANT, agentId) !== undefined,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** An agent of the tests' tenant. */
export function agentNamed(agentId: string): AgentIdentity {
  return { tenant: TENANT, agentId };
}
