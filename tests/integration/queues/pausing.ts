// What a coordinator has to do with pauses, on a real broker, and pulls that stand as those of agents do.
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { QueuePause } from "../../../lib/core/queue-pause.ts";
import { LanePauses } from "../../../lib/nats/lane-pauses.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { QueueSettings } from "../../../lib/nats/queue-settings.ts";
import { laneConsumer, parseDeliverySubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { openPauseFollower } from "../../../services/coordinator/queues/pause-follower.ts";

/** The tenant of all tests here. */
export const TENANT = "t";

/** The lease of all tests here, in milliseconds. */
export const LEASE_MS = 1_000;

/** The parts of a coordinator that pause. */
export interface Pausing extends AsyncDisposable {
  readonly settings: QueueSettings;
  readonly pauses: LanePauses;
  readonly lanes: Lanes;
  /** Keeps a pause, without an end unless one is given. */
  pause(queue: string, untilMs?: number): Promise<QueuePause | undefined>;
  /** Keeps no pause. */
  resume(queue: string): Promise<QueuePause | undefined>;
}

/** Opens the parts, with a follower. What goes wrong with the settings goes to `onError`. */
export async function openPausing(
  mesh: { readonly connection: NatsConnection; readonly manager: JetStreamManager },
  onError: (error: unknown) => void = (error) => {
    throw error;
  },
): Promise<Pausing> {
  const { connection, manager } = mesh;
  const stack = new AsyncDisposableStack();
  const settings = stack.use(await QueueSettings.open(connection, { onError, onGarbage: onError }));
  const now = (): number => Date.now();
  const pauses = new LanePauses({ connection, manager, settings, now });
  const options = { leaseMs: LEASE_MS, depthLimit: 100, maxQueues: 100 };
  const lanes = new Lanes({ connection, manager, pauses }, options, () => performance.now());
  stack.use(openPauseFollower({ settings, pauses, logger: silentLogger, retryMs: 50 }));
  return {
    settings,
    pauses,
    lanes,
    pause: (queue, untilMs) => settings.change(TENANT, queue, () => ({ sinceMs: now(), untilMs, reason: "" })),
    resume: (queue) => settings.change(TENANT, queue, () => undefined),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A pull that stands, and what it brings in turn: the ids of tasks, and codes for what the broker says beside. */
export interface StandingPull extends Disposable {
  readonly came: readonly { readonly what: string; readonly deliveries: number }[];
}

/** Pulls one message of the NORMAL lane whenever it comes, for half a minute. */
export function pullStanding(connection: NatsConnection, queue: string, heartbeatMs: number): StandingPull {
  const inbox = `pulls.${crypto.randomUUID()}`;
  const came: { readonly what: string; readonly deliveries: number }[] = [];
  const sub = connection.subscribe(inbox, {
    callback: (_error, message) => {
      const delivery = parseDeliverySubject(message.reply ?? "");
      const what = delivery === undefined ? String(message.headers?.code) : (message.subject.split(".")[2] ?? "");
      came.push({ what, deliveries: delivery?.deliveries ?? 0 });
    },
  });
  const body = JSON.stringify({ batch: 1, expires: 30_000_000_000, idle_heartbeat: heartbeatMs * 1_000_000 });
  const consumer = laneConsumer(TENANT, queue, 5);
  connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${consumer}`, body, { reply: inbox });
  return { came, [Symbol.dispose]: () => sub.unsubscribe() };
}
