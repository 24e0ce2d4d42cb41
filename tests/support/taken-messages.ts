// Takes messages that are pushed as if they were asked for: each is let through when somebody asks for it.
import type { MessageSender, MessageSink, PushedMessages } from "../../lib/rpc/pushed-messages.ts";

/** Pushed messages, one by one. */
export class TakenMessages<T> implements AsyncIterableIterator<T>, MessageSink<T> {
  readonly #messages: PushedMessages<T>;
  #sender: MessageSender | undefined;
  #asked: PromiseWithResolvers<IteratorResult<T>> | undefined;
  #held: PromiseWithResolvers<void> | undefined;
  #ended = false;
  readonly #over = Promise.withResolvers<void>();

  constructor(messages: PushedMessages<T>) {
    this.#messages = messages;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    this.#asked = Promise.withResolvers();
    const { promise } = this.#asked;
    this.#held?.resolve();
    this.#sender ??= this.#messages.pushTo(this);
    return promise;
  }

  async return(): Promise<IteratorResult<T>> {
    this.stop(new Error("nobody reads any more"));
    await this.#over.promise;
    return { done: true, value: undefined };
  }

  /** Has the sender stop. */
  stop(reason: unknown): void {
    this.#sender?.stop(reason);
    this.#held?.reject(reason);
  }

  send(message: T): Promise<void> {
    this.#held = Promise.withResolvers();
    this.#asked?.resolve({ done: false, value: message });
    this.#asked = undefined;
    return this.#held.promise;
  }

  end(): void {
    this.#asked?.resolve({ done: true, value: undefined });
    this.#finish();
  }

  fail(error: unknown): void {
    this.#asked?.reject(error);
    this.#finish();
  }

  #finish(): void {
    this.#ended = true;
    this.#over.resolve();
  }
}
