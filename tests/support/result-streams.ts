// Streams of results over the logs of a test's mesh.
import { ResultKind, type StreamResultsResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import { EventReader } from "../../lib/nats/event-reader.ts";
import { LiveHub } from "../../lib/nats/live-hub.ts";
import {
  openResultStreams,
  type ResultStreams,
  type ResultStreamsOptions,
} from "../../services/coordinator/results/stream-results.ts";
import { type MeshLog, TENANT } from "./mesh-log.ts";
import { TakenMessages } from "./taken-messages.ts";

/** The streams of one coordinator of a test. */
export interface TestStreams extends Disposable {
  readonly hub: LiveHub;
  readonly streams: ResultStreams;
  readonly drain: AbortController;
  /** Opens a stream. */
  stream(taskId: string, cursor?: string, kinds?: readonly ResultKind[]): AsyncIterator<StreamResultsResponse>;
  /** Reads a stream to its end. */
  readAll(taskId: string, cursor?: string): Promise<StreamResultsResponse[]>;
}

/** Opens the streams of a coordinator of its own, which are asked for their messages or push them. */
export function openTestStreams(
  log: MeshLog,
  options: Partial<ResultStreamsOptions> = {},
  how: "asked" | "pushed" = "asked",
): TestStreams {
  const hub = new LiveHub(log.connection);
  const drain = new AbortController();
  const streams = openResultStreams({
    taskLog: log.taskLog,
    outputLog: log.outputLog,
    eventReader: new EventReader(log),
    hub,
    clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
    drain: drain.signal,
    ...options,
  });
  const open = (
    taskId: string,
    cursor = "",
    kinds: readonly ResultKind[] = [],
  ): AsyncIterable<StreamResultsResponse> => {
    const messages = streams.streamResults({ tenant: TENANT, taskId, cursor, kinds });
    return how === "asked" ? messages : new TakenMessages(messages);
  };
  return {
    hub,
    streams,
    drain,
    stream: (taskId, cursor, kinds) => open(taskId, cursor, kinds)[Symbol.asyncIterator](),
    readAll: async (taskId, cursor) => await Array.fromAsync(open(taskId, cursor)),
    [Symbol.dispose]() {
      streams[Symbol.dispose]();
      hub[Symbol.dispose]();
    },
  };
}

/** What a message says, in short: the state of a change, the text of a chunk, or the case. */
export function shortOf(message: StreamResultsResponse): string {
  const { kind } = message;
  if (kind.case === "stateChange") return `state ${kind.value.status?.state}`;
  if (kind.case !== "output") return kind.case ?? "";
  const payload = kind.value.output?.kind;
  const value = payload?.case === "chunk" ? payload.value.kind : undefined;
  const text = value?.case === "json" && value.value.kind.case === "stringValue" ? value.value.kind.value : "?";
  return `${kind.value.agentId}${kind.value.attempt} ${text}`;
}

/** The next messages of a stream, in short, until one says this. */
export async function shortUntil(stream: AsyncIterator<StreamResultsResponse>, last: string): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done === true) throw new Error(`the stream ended after ${JSON.stringify(found)}, before ${last}`);
    found.push(shortOf(next.value));
    if (found.at(-1) === last) return found;
  }
}
