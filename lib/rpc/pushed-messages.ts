// Answers of a stream that are pushed when there are some, as well as being there for whoever asks for them one by one. While a stream has
// nothing to say, whoever asks holds a suspended frame in every interceptor, which together are several KiB; whoever is told holds nothing.

/** Takes messages as they come. */
export interface MessageSink<T> {
  /** Takes one. Resolves when the next may come; rejects when none is wanted any more. */
  send(message: T): Promise<void>;
  /** All were sent. Must not throw. */
  end(): void;
  /** No more come, for this reason. Must not throw. */
  fail(error: unknown): void;
}

/** Something that sends messages. */
export interface MessageSender {
  /** Makes it fail for this reason, soon. Does nothing once it has ended. */
  stop(reason: unknown): void;
}

/** Messages that are asked for, or else pushed; once. */
export interface PushedMessages<T> extends AsyncIterable<T> {
  /** Begins to send them to a sink. */
  pushTo(sink: MessageSink<T>): MessageSender;
}

/** Whether messages can be pushed. */
export function canPush<T>(messages: AsyncIterable<T>): messages is PushedMessages<T> {
  return "pushTo" in messages;
}

/** Messages in the form in which they are given, with the error that ends them changed. */
export function withError<T>(messages: AsyncIterable<T>, change: (error: unknown) => unknown): AsyncIterable<T> {
  if (!canPush(messages)) return eachWithError(messages, change);
  const inBothForms: PushedMessages<T> = {
    [Symbol.asyncIterator]: () => eachWithError(messages, change),
    pushTo: (sink) => messages.pushTo(new ChangingSink(sink, same, change)),
  };
  return inBothForms;
}

/** Pushed messages, each of them changed. */
export function withMessages<T, U>(messages: PushedMessages<T>, change: (message: T) => U): PushedMessages<U> {
  return {
    [Symbol.asyncIterator]: () => eachChanged(messages, change),
    pushTo: (sink) => messages.pushTo(new ChangingSink(sink, change, same)),
  };
}

/** Stands between who sends and who takes. */
class ChangingSink<T, U> implements MessageSink<T> {
  readonly #sink: MessageSink<U>;
  readonly #message: (message: T) => U;
  readonly #error: (error: unknown) => unknown;

  constructor(sink: MessageSink<U>, message: (message: T) => U, error: (error: unknown) => unknown) {
    this.#sink = sink;
    this.#message = message;
    this.#error = error;
  }

  async send(message: T): Promise<void> {
    await this.#sink.send(this.#message(message));
  }

  end(): void {
    this.#sink.end();
  }

  fail(error: unknown): void {
    this.#sink.fail(this.#error(error));
  }
}

function same<T>(value: T): T {
  return value;
}

async function* eachWithError<T>(messages: AsyncIterable<T>, change: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw change(error);
  }
}

async function* eachChanged<T, U>(messages: AsyncIterable<T>, change: (message: T) => U): AsyncGenerator<U> {
  for await (const message of messages) yield change(message);
}
