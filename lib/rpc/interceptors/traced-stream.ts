// Owns what tracing does to the messages of a stream: they come from the context of the call, and whoever follows it hears of them.
import { type Context, context } from "@opentelemetry/api";
import { canPush, type MessageSink, type PushedMessages } from "../pushed-messages.ts";

/** Hears how a stream goes on. */
export interface StreamWatch {
  message(): void;
  /** All messages are there, or its reader left; perhaps told again. */
  done(): void;
  /** No more come, for this reason; perhaps told again. */
  failed(error: unknown): void;
}

/**
 * Runs each step of a stream in the context of its call: what the handler does there is of the same trace, recorded or not. What is pushed
 * begins in it only: whoever pushes goes on wherever it is woken.
 */
export function within<Item>(source: AsyncIterable<Item>, inside: Context): AsyncIterable<Item> {
  const pulled = {
    [Symbol.asyncIterator](): AsyncIterator<Item> {
      const items = context.with(inside, () => source[Symbol.asyncIterator]());
      const next = (): Promise<IteratorResult<Item>> => items.next();
      return {
        next: () => context.with(inside, next),
        return: (value) => context.with(inside, async () => (await items.return?.(value)) ?? { done: true, value }),
        throw: (error) =>
          context.with(inside, async () => {
            if (items.throw === undefined) throw error;
            return await items.throw(error);
          }),
      };
    },
  };
  if (!canPush(source)) return pulled;
  const inBothForms: PushedMessages<Item> = {
    ...pulled,
    pushTo: (sink) => context.with(inside, () => source.pushTo(sink)),
  };
  return inBothForms;
}

/** Tells of each message, and of the end, in whichever form the messages are taken. */
export function watched<Item>(source: AsyncIterable<Item>, watch: StreamWatch): AsyncIterable<Item> {
  const pulled = {
    [Symbol.asyncIterator]: () => new WatchedIterator(source[Symbol.asyncIterator](), watch),
  };
  if (!canPush(source)) return pulled;
  const inBothForms: PushedMessages<Item> = {
    ...pulled,
    pushTo: (sink) => source.pushTo(new WatchingSink(sink, watch)),
  };
  return inBothForms;
}

/** An iterator rather than a generator: a reader that leaves early (return) is told of, although no last message ever comes. */
class WatchedIterator<Item> implements AsyncIterator<Item> {
  readonly #items: AsyncIterator<Item>;
  readonly #watch: StreamWatch;

  constructor(items: AsyncIterator<Item>, watch: StreamWatch) {
    this.#items = items;
    this.#watch = watch;
  }

  next(): Promise<IteratorResult<Item>> {
    return this.#step(this.#items.next());
  }

  return(value?: unknown): Promise<IteratorResult<Item>> {
    return this.#step(this.#items.return?.(value));
  }

  throw(error: unknown): Promise<IteratorResult<Item>> {
    return this.#step(this.#items.throw?.(error));
  }

  async #step(taken: Promise<IteratorResult<Item>> | undefined): Promise<IteratorResult<Item>> {
    try {
      const result = (await taken) ?? { done: true, value: undefined };
      if (result.done === true) this.#watch.done();
      else this.#watch.message();
      return result;
    } catch (error) {
      this.#watch.failed(error);
      throw error;
    }
  }
}

/** Stands between who sends and who takes. */
class WatchingSink<Item> implements MessageSink<Item> {
  readonly #sink: MessageSink<Item>;
  readonly #watch: StreamWatch;

  constructor(sink: MessageSink<Item>, watch: StreamWatch) {
    this.#sink = sink;
    this.#watch = watch;
  }

  async send(message: Item): Promise<void> {
    await this.#sink.send(message);
    this.#watch.message();
  }

  // The watch is told first: once the call is over its signal aborts, whatever the reason.
  end(): void {
    this.#watch.done();
    this.#sink.end();
  }

  fail(error: unknown): void {
    this.#watch.failed(error);
    this.#sink.fail(error);
  }
}
