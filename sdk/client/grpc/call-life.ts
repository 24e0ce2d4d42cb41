// How long a call lives: until its deadline, its caller's signal, or its end. A signal of its own is made when somebody asks for it:
// making and linking them is what Connect's own calls spend most on.
import { Code, ConnectError } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";

/** The life of one call. */
export class CallLife {
  readonly #callers: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void =>
    this.#cut(this.#callers === undefined ? undefined : getAbortSignalReason(this.#callers));
  #controller: AbortController | undefined;
  #onCut: ((failure: ConnectError) => void) | undefined;
  #failure: ConnectError | undefined;
  #over = false;

  /** `timeoutMs`: undefined or 0 for no deadline. */
  constructor(callers: AbortSignal | undefined, timeoutMs: number | undefined) {
    this.#callers = callers;
    if (callers?.aborted === true) {
      this.#onAbort();
      return;
    }
    callers?.addEventListener("abort", this.#onAbort);
    if (timeoutMs !== undefined && timeoutMs > 0) this.#timer = setTimeout(() => this.#cut(timedOut()), timeoutMs);
  }

  /** Aborts when the call is cut short, has failed, or is over. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#over) this.#controller.abort(this.#failure);
    }
    return this.#controller.signal;
  }

  /** Why the call was cut short or has failed. */
  get failure(): ConnectError | undefined {
    return this.#failure;
  }

  /** Calls back once when the call is cut short or fails, at once if it has already. Another listener takes the place of the one before. */
  onCut(listener: (failure: ConnectError) => void): void {
    if (this.#failure === undefined) this.#onCut = listener;
    else listener(this.#failure);
  }

  /** Ends a call that went well. */
  end(): void {
    this.#end();
  }

  /** Ends a call that failed. Returns why: what cut it short, if anything did. */
  fail(reason: unknown): ConnectError {
    if (!this.#over) this.#cutWith(ConnectError.from(reason));
    return (this.#failure ??= ConnectError.from(reason));
  }

  #cut(reason: unknown): void {
    if (!this.#over) this.#cutWith(ConnectError.from(reason, Code.Canceled));
  }

  #cutWith(failure: ConnectError): void {
    this.#failure = failure;
    const onCut = this.#onCut;
    this.#end();
    onCut?.(failure);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onCut = undefined;
    clearTimeout(this.#timer);
    this.#callers?.removeEventListener("abort", this.#onAbort);
    this.#controller?.abort(this.#failure);
  }
}

function timedOut(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}
