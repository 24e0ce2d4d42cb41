// Owns one run: a task submitted and followed in one call, and then over as many connections as it takes.
import { type Client } from "@connectrpc/connect";
import type {
  AgentService,
  ResultKind,
  StreamResultsResponse,
  SubmitTaskRequest,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { type TaskEvent, isLast } from "./event.ts";
import { MycelError, invalidOption, toMycelError, withAcceptance } from "./mycel-error.ts";
import type { StreamLimits } from "./resilience/call-limits.ts";
import { type SubmittedTask, submittedOf } from "./submit.ts";

/** A task that was submitted and is followed. Iterate it for its events (once), ask it for its result, or both. */
export interface TaskRun<Result = unknown> extends AsyncIterable<TaskEvent> {
  /** Resolves when the task is accepted; rejects with a MycelError if it is not. */
  readonly submitted: Promise<SubmittedTask>;
  /**
   * What the task returned. Rejects with a TaskFailedError if it ended otherwise. Reads the events itself unless they are being iterated
   * over; after an iteration that was left early it waits for the task's end.
   */
  result(): Promise<Result>;
}

/** What a run needs. */
export interface RunOptions {
  readonly rpc: Pick<Client<typeof AgentService>, "runTask" | "streamResults">;
  readonly kinds: ResultKind[];
  /** What a connection that is opened now has left. */
  readonly remaining: StreamLimits["remaining"];
  /** Encodes the submission, uploading a large input. */
  readonly prepare: () => Promise<SubmitTaskRequest>;
  /** Follows a task whose streams are opened so. */
  readonly follow: (
    open: (cursor: string, signal: AbortSignal) => AsyncIterable<StreamResultsResponse>,
  ) => AsyncIterable<TaskEvent>;
  /** Resolves with the result of a task that ended or will end. */
  readonly resultOf: (taskId: string, last: TaskEvent | undefined) => Promise<unknown>;
}

/** Starts a run: the submission leaves at once, whether or not anybody reads. */
export function startRun(options: RunOptions): TaskRun {
  const accepted = Promise.withResolvers<SubmittedTask>();
  let taskId: string | undefined;
  // How many times it was sent without it being certain that it was not taken.
  let doubts = 0;
  let request: Promise<SubmitTaskRequest> | undefined;

  async function* open(cursor: string, signal: AbortSignal): AsyncGenerator<StreamResultsResponse> {
    if (taskId !== undefined) {
      yield* options.rpc.streamResults({ taskId, cursor, kinds: options.kinds }, { signal, ...options.remaining() });
      return;
    }
    // Until the answer is there, the same request is sent again: its id makes that safe. One that could not be prepared never left.
    request ??= options.prepare().catch((error: unknown) => {
      request = undefined;
      throw error;
    });
    const task = await request;
    const limits = { signal, ...options.remaining() };
    doubts += 1;
    try {
      for await (const { kind } of options.rpc.runTask({ task, kinds: options.kinds }, limits)) {
        if (kind.case === "submitted") {
          const submitted = submittedOf(kind.value);
          taskId = submitted.taskId;
          accepted.resolve(submitted);
        } else if (kind.case === "result") {
          yield kind.value;
        }
      }
    } catch (error) {
      if (toMycelError(error).unaccepted) doubts -= 1;
      throw error;
    }
  }

  const events = options.follow(open)[Symbol.asyncIterator]();
  const left = Promise.withResolvers<TaskEvent | undefined>();
  // Pulled at once, so that the task is submitted even if nobody reads yet.
  let first: Promise<IteratorResult<TaskEvent>> | undefined = events.next();
  // The last try's error says nothing of those before.
  const told = (error: unknown): unknown => (error instanceof MycelError ? withAcceptance(error, doubts === 0) : error);
  const fail = (cause: unknown): void => {
    const error = told(cause);
    accepted.reject(error);
    left.reject(error);
  };
  first.catch(fail);
  accepted.promise.catch(() => undefined);
  left.promise.catch(() => undefined);
  let reading = false;

  async function* read(): AsyncGenerator<TaskEvent, void, undefined> {
    let last: TaskEvent | undefined;
    try {
      for (;;) {
        const next = await (first ?? events.next());
        first = undefined;
        if (next.done === true) return;
        if (isLast(next.value)) last = next.value;
        yield next.value;
      }
    } catch (error) {
      fail(error);
      throw told(error);
    } finally {
      left.resolve(last);
      void events.return?.()?.catch(() => undefined);
    }
  }

  return {
    submitted: accepted.promise,
    [Symbol.asyncIterator]() {
      if (reading) throw invalidOption("run", "can be iterated only once");
      reading = true;
      return read();
    },
    async result() {
      if (!reading) {
        for await (const _ of this);
      }
      const last = await left.promise;
      if (taskId === undefined) throw new MycelError("internal", "the server did not say which task it runs");
      return await options.resultOf(taskId, last);
    },
  };
}
