// The transport under a client: tries idempotent calls again, leaves a lost server for the next, keeps the caller's deadline.
// Must not repeat a call that is not safe to repeat; of a stream, only the connecting is repeated.
import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";
import type { ResolvedOptions } from "./client-options.ts";
import type { Endpoint, Endpoints } from "./endpoints.ts";
import { MycelError, abortError, toMycelError, withAcceptance } from "./mycel-error.ts";
import { pause } from "../../lib/time/pause.ts";
import { tlsProblem } from "../../lib/tls/client-tls.ts";
import type { EndpointBreakers } from "./resilience/breakers.ts";
import { delayBeforeTry, isRefusal, judge, verdictOn } from "./retry.ts";

/** Makes the transport. `closed` is aborted when the client is disposed. Everything it throws is a MycelError. */
export function createResilientTransport(
  options: ResolvedOptions,
  endpoints: Endpoints,
  breakers: Pick<EndpointBreakers, "allOpen">,
  closed: AbortSignal,
): Transport {
  const failure = (error: unknown, endpoint: Endpoint, signal: AbortSignal | undefined): MycelError => {
    if (closed.aborted) return closedError();
    if (signal?.aborted === true) return abortError(signal);
    return judge(error, false).kind === "lost" ? lostError(error, endpoint) : toMycelError(error);
  };

  // The error of a call that no endpoint may take.
  const nobody = (before: MycelError | undefined, signal: AbortSignal | undefined): MycelError => {
    if (closed.aborted) return closedError();
    return signal?.aborted === true ? abortError(signal) : breakers.allOpen(before);
  };

  // What every try needs; rejects with the ConnectError of a failed connection.
  const ready = async (endpoint: Endpoint, signal: AbortSignal | undefined, limitMs: number): Promise<void> => {
    if (closed.aborted) throw closedError();
    if (signal?.aborted === true) throw abortError(signal);
    if (!endpoint.connected) await orAborted(endpoint.connect(limitMs), signal);
  };

  const leaveIfUseless = (error: unknown, endpoint: Endpoint): void => {
    const failed = judge(error, false);
    // A server that is merely full is as good as its neighbours: they share the queues.
    if (failed.kind === "lost" || failed.kind === "leaving" || isUnavailable(error)) endpoints.leave(endpoint);
  };

  const tried = <T>(
    endpoint: Endpoint,
    signal: AbortSignal | undefined,
    tryMs: number,
    work: () => Promise<T>,
  ): Promise<T> => {
    if (endpoint.breaker === undefined) return work();
    return endpoint.breaker.run(work, (error) =>
      verdictOn(error, signal?.aborted === true || closed.aborted, wholeMs(tryMs)),
    );
  };

  async function unary<I extends DescMessage, O extends DescMessage>(
    ...[method, signal, timeoutMs, header, input, contextValues]: UnaryArguments<I, O>
  ): Promise<UnaryResponse<I, O>> {
    const limitMs = timeoutMs ?? options.timeoutMs;
    const deadline = performance.now() + limitMs;
    const repeatable = isRepeatable(method, input);
    let before: MycelError | undefined;
    // Whether a server may have begun what was asked for.
    let begun = false;
    for (let tries = 1; ; tries += 1) {
      const endpoint = endpoints.current;
      if (endpoint === undefined) throw withAcceptance(nobody(before, signal), !begun);
      const remainingMs = deadline - performance.now();
      let sent = false;
      try {
        return await tried(endpoint, signal, remainingMs, async () => {
          await ready(endpoint, signal, remainingMs);
          sent = true;
          return await endpoint.transport.unary(method, signal, wholeMs(remainingMs), header, input, contextValues);
        });
      } catch (error) {
        const failed = judge(error, signal?.aborted === true || closed.aborted);
        begun ||= sent && !isRefusal(error);
        leaveIfUseless(error, endpoint);
        // A try that the deadline cuts short says less than the failure that made it necessary.
        if (before !== undefined && isOutOfTime(error, deadline)) throw withAcceptance(before, !begun);
        before = withAcceptance(failure(error, endpoint, signal), !begun);
        if (failed.kind === "final" || (sent && !repeatable) || tries >= options.maximumTries) throw before;
        const delayMs = delayBeforeTry(failed, tries, endpoints.count, Math.random(), options.backoff);
        if (performance.now() + delayMs >= deadline) throw before;
        options.logger.debug({ err: error, method: method.name, tries, delay_ms: delayMs }, "trying a call again");
        if (delayMs > 0 && !(await pause(delayMs, signal, closed))) {
          throw withAcceptance(failure(error, endpoint, signal), !begun);
        }
      }
    }
  }

  async function stream<I extends DescMessage, O extends DescMessage>(
    ...[method, signal, timeoutMs, header, input, contextValues]: StreamArguments<I, O>
  ): Promise<StreamResponse<I, O>> {
    const limitMs = timeoutMs === undefined ? undefined : wholeMs(timeoutMs);
    for (let tries = 1; ; tries += 1) {
      const endpoint = endpoints.current;
      if (endpoint === undefined) throw withAcceptance(nobody(undefined, signal), true);
      let sent = false;
      try {
        const response = await tried(endpoint, signal, limitMs ?? Infinity, async () => {
          await ready(endpoint, signal, limitMs ?? Infinity);
          sent = true;
          return await endpoint.transport.stream(method, signal, limitMs, header, input, contextValues);
        });
        return { ...response, message: guarded(response.message, endpoint, signal) };
      } catch (error) {
        leaveIfUseless(error, endpoint);
        if (sent || error instanceof MycelError || tries >= endpoints.count) {
          throw withAcceptance(failure(error, endpoint, signal), !sent || isRefusal(error));
        }
      }
    }
  }

  async function* guarded<T>(
    messages: AsyncIterable<T>,
    endpoint: Endpoint,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T> {
    let answered = false;
    try {
      for await (const message of messages) {
        answered = true;
        yield message;
      }
    } catch (error) {
      leaveIfUseless(error, endpoint);
      endpoint.breaker?.note(error, verdictOn(error, signal?.aborted === true || closed.aborted, 0));
      throw withAcceptance(failure(error, endpoint, signal), !answered && isRefusal(error));
    }
  }

  return { unary, stream };
}

type UnaryArguments<I extends DescMessage, O extends DescMessage> = [
  method: DescMethodUnary<I, O>,
  ...rest: Parameters<Transport["unary"]> extends [unknown, infer S, infer T, infer H, unknown, (infer C)?]
    ? [signal: S, timeoutMs: T, header: H, input: MessageInitShape<I>, contextValues?: C]
    : never,
];

type StreamArguments<I extends DescMessage, O extends DescMessage> = [
  method: DescMethodStreaming<I, O>,
  ...rest: Parameters<Transport["stream"]> extends [unknown, infer S, infer T, infer H, unknown, (infer C)?]
    ? [signal: S, timeoutMs: T, header: H, input: AsyncIterable<MessageInitShape<I>>, contextValues?: C]
    : never,
];

/** The error of every call on a client that was disposed. */
export function closedError(): MycelError {
  return new MycelError("canceled", "the client is closed", { reason: "CLIENT_CLOSED" });
}

function lostError(error: unknown, endpoint: Endpoint): MycelError {
  // What a server makes of this side's certificate, it says after the handshake.
  const refused = error instanceof ConnectError ? tlsProblem(error.cause) : undefined;
  const message = refused ?? (error instanceof ConnectError ? error.rawMessage : String(error));
  // A failed connection names the URL itself.
  const text = message.includes(endpoint.url) ? message : `the connection to ${endpoint.url} was lost: ${message}`;
  return new MycelError("unavailable", text, { reason: "CONNECTION_LOST", cause: error });
}

// gRPC's timeout header knows whole numbers only, and servers refuse others.
function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}

// Timers fire up to a millisecond early.
function isOutOfTime(error: unknown, deadline: number): boolean {
  return error instanceof ConnectError && error.code === Code.DeadlineExceeded && performance.now() >= deadline - 1;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unavailable;
}

// The contract calls the submissions idempotent under a condition, which is checked here.
function isRepeatable(method: DescMethodUnary, input: unknown): boolean {
  if (method.idempotency === MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN) return false;
  if (method.name === "SubmitTask") return hasId(input);
  if (method.name !== "BatchSubmitTasks") return true;
  const tasks: unknown = typeof input === "object" && input !== null && "tasks" in input ? input.tasks : undefined;
  return Array.isArray(tasks) && tasks.every(hasId);
}

function hasId(task: unknown): boolean {
  if (typeof task !== "object" || task === null) return false;
  return ("taskId" in task && task.taskId !== "") || ("requestId" in task && task.requestId !== "");
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(abortError(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
