// `mycel top --once`: one look, as a frame of text or as a JSON document.
import { stripVTControlCharacters } from "node:util";
import { type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { renderToString } from "ink";
import { AgentSchema } from "../../gen/mycel/v1/agent_pb.ts";
import { DeadLetterSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { MetricsSchema } from "../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueSchema } from "../../gen/mycel/v1/queue_pb.ts";
import type { MycelClient } from "../../sdk/client/index.ts";
import { jsonOf } from "../output/json.ts";
import { Feed } from "./data/feed.ts";
import type { Snapshot, Told } from "./data/snapshot.ts";
import type { Size } from "./state/layout.ts";
import { START } from "./state/model.ts";
import { frame } from "./views/frame.ts";

/** What a single look needs. */
export interface OnceOptions {
  readonly client: MycelClient;
  readonly types: readonly string[];
  readonly refreshMs: number;
  readonly windowMs: number;
  readonly signal: AbortSignal;
}

/** Looks once. */
export async function lookOnce({ client, types, windowMs, signal }: OnceOptions): Promise<Snapshot> {
  await using feed = new Feed({ client, windowMs, now: () => Date.now() });
  return await feed.look({ types, focus: undefined }, signal);
}

/** A snapshot as a frame of text. */
export function textOf(snapshot: Snapshot, size: Size, { types, refreshMs, windowMs }: OnceOptions): string {
  const view = {
    snapshot,
    model: { ...START, types },
    size,
    nowMs: snapshot.takenMs,
    clock: new Date(snapshot.takenMs).toLocaleTimeString("en-GB", { hour12: false }),
    refreshMs,
    windowMs,
    followed: undefined,
    calls: [],
  };
  const lines = stripVTControlCharacters(renderToString(frame(view), { columns: size.columns })).split("\n");
  // Keys do nothing here: neither what they do nor what they would act on is shown.
  return lines
    .slice(0, -1)
    .map((line) => line.replace("▸", " ").trimEnd())
    .join("\n");
}

/** A snapshot as a JSON document. A part that told nothing is an `error`, one that the coordinator does not know is null. */
export function jsonOfSnapshot(snapshot: Snapshot): unknown {
  const { takenMs, coordinators, lostSinceMs, agents, queues, open, metrics, pulse, failures } = snapshot;
  return {
    time: new Date(takenMs).toISOString(),
    healthy: lostSinceMs === undefined,
    coordinators,
    agents: part(agents, (all) =>
      all.map(({ agent, condition }) => ({ condition, agent: jsonOf(AgentSchema, agent) })),
    ),
    queues: part(queues, (all) => all.map(inJson(QueueSchema))),
    openTasks: part(open, ({ total, byState, asOf }) => ({ total, byState: Object.fromEntries(byState), asOf })),
    metrics: part(metrics, inJson(MetricsSchema)),
    pulse: part(pulse, inJson(MetricsSchema)),
    failures: part(failures, (all) => all.map(inJson(DeadLetterSchema))),
  };
}

function part<T>({ value, error, served }: Told<T>, json: (value: T) => unknown): unknown {
  if (!served) return null;
  return value === undefined ? { error: error ?? "nothing was told" } : json(value);
}

function inJson<Desc extends DescMessage>(schema: Desc): (message: MessageShape<Desc>) => unknown {
  return (message) => jsonOf(schema, message);
}
