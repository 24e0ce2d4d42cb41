// How a call is let in before anything of its body is looked at, and how it ends when whoever makes it may not go on. Decides neither.
import type { ConnectError, ContextKey, HandlerContext, Interceptor } from "@connectrpc/connect";
import { createContextKey } from "@connectrpc/connect";

/** What a call that was let in has for as long as it lasts. */
export interface CallPass {
  /** Has a function called, once, when the call may not go on, with the error that it ends with. Returns what stops that. */
  watch(over: (reason: ConnectError) => void): () => void;
}

/**
 * Lets a call in, or throws the ConnectError that refuses it. Sees what came before the body; answers at once where it can. Undefined for a
 * call that may last as long as it likes.
 */
export type CallGate = (call: HandlerContext) => CallPass | undefined | Promise<CallPass | undefined>;

const PASS: ContextKey<CallPass | undefined> = createContextKey<CallPass | undefined>(undefined, {
  description: "what lets the call go on",
});

/** For `requestGate` of Connect: lets a call in, and keeps its pass for {@link endWithPass}. */
export async function passThrough(gate: CallGate, call: HandlerContext): Promise<void> {
  const pass = await gate(call);
  if (pass !== undefined) call.values.set(PASS, pass);
}

type AnyFn = ReturnType<Interceptor>;
type Request = Parameters<AnyFn>[0];
type Response = Awaited<ReturnType<AnyFn>>;

/**
 * Ends the calls that Connect serves with their passes: a unary call is told by its signal, and ends as its implementation has it; a stream
 * ends at once, in both directions. Calls whose passes are not kept here are passed on as they are.
 */
export function endWithPass(): Interceptor {
  return (next) => (request) => {
    const pass = request.contextValues.get(PASS);
    return pass === undefined ? next(request) : guarded(pass, request, next);
  };
}

async function guarded(pass: CallPass, request: Request, next: AnyFn): Promise<Response> {
  const end = new CallEnd(pass);
  const signal = AbortSignal.any([request.signal, end.signal]);
  try {
    if (!request.stream) {
      const response = await next({ ...request, signal });
      end.stopWatching();
      return response;
    }
    const response = await end.before(next({ ...request, signal, message: untilEnd(request.message, end) }));
    return response.stream
      ? { ...response, message: untilEnd(response.message, end, () => end.stopWatching()) }
      : response;
  } catch (error) {
    end.stopWatching();
    // Whatever the implementation makes of it, this is why it ended.
    throw end.signal.aborted ? end.signal.reason : error;
  }
}

/** The end that a pass puts to a call. */
class CallEnd {
  readonly #controller = new AbortController();
  readonly #waiting = new Set<(reason: unknown) => void>();
  /** Stops looking after the call. */
  readonly stopWatching: () => void;

  constructor(pass: CallPass) {
    this.stopWatching = pass.watch((reason) => {
      this.#controller.abort(reason);
      for (const end of this.#waiting) end(reason);
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What a promise gives, unless the end comes before. A race would hold all that it ever waited for until the end. */
  before<T>(value: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settled = (): void => void this.#waiting.delete(reject);
      this.#waiting.add(reject);
      if (this.signal.aborted) reject(this.signal.reason);
      value.then(resolve, reject).finally(settled);
    });
  }
}

/** The same messages until the end; `done` is called after the last. */
function untilEnd<T>(messages: AsyncIterable<T>, end: CallEnd, done: () => void = () => undefined): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      const finish = (): void => {
        done();
        // It may be at something that never ends; nobody waits for that.
        iterator.return?.()?.catch(() => undefined);
      };
      return {
        async next() {
          try {
            const result = await end.before(iterator.next());
            if (result.done === true) done();
            return result;
          } catch (error) {
            finish();
            throw error;
          }
        },
        return() {
          finish();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}
