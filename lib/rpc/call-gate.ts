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

const END: ContextKey<CallEnd | undefined> = createContextKey<CallEnd | undefined>(undefined, {
  description: "the end that its pass puts to the call",
});

/** For `requestGate` of Connect: lets a call in, and looks after its pass for {@link endWithPass}, from before its body arrives. */
export async function passThrough(gate: CallGate, call: HandlerContext): Promise<void> {
  const pass = await gate(call);
  if (pass !== undefined && !call.signal.aborted) call.values.set(END, new CallEnd(pass, call.signal));
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
    const end = request.contextValues.get(END);
    return end === undefined ? next(request) : guarded(end, request, next);
  };
}

async function guarded(end: CallEnd, request: Request, next: AnyFn): Promise<Response> {
  const signal = AbortSignal.any([request.signal, end.signal]);
  try {
    signal.throwIfAborted();
    if (!request.stream) {
      return await next({ ...request, signal });
    }
    const response = await end.before(next({ ...request, signal, message: untilEnd(request.message, end) }));
    return response.stream ? { ...response, message: untilEnd(response.message, end) } : response;
  } catch (error) {
    // Whatever the implementation makes of it, this is why it ended.
    throw end.signal.aborted ? end.signal.reason : error;
  }
}

/** The end that a pass puts to a call. */
class CallEnd {
  readonly #controller = new AbortController();
  readonly #waiting = new Set<(reason: unknown) => void>();

  /** `over` aborts when the call is over, however it ends. */
  constructor(pass: CallPass, over: AbortSignal) {
    const stopWatching = pass.watch((reason) => {
      this.#controller.abort(reason);
      for (const end of this.#waiting) end(reason);
    });
    over.addEventListener("abort", stopWatching, { once: true });
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

/** The same messages until the end. */
function untilEnd<T>(messages: AsyncIterable<T>, end: CallEnd): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      const finish = (): void => {
        // It may be at something that never ends; nobody waits for that.
        iterator.return?.()?.catch(() => undefined);
      };
      return {
        async next() {
          try {
            return await end.before(iterator.next());
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
