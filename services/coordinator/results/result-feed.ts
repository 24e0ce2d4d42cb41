// Pushes the results of one task to whoever takes them. While there is none to push, nothing of it waits but its places in the lists of
// those who wake it: no promise, no suspended function.

import type { StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { MessageSender, MessageSink } from "../../../lib/rpc/pushed-messages.ts";
import type { ResultReader } from "./result-reader.ts";
import type { Rester, Sleeper, WakeReason } from "./sleeper.ts";

/** What a feed is made of. */
export interface FeedParts {
  /** Disposing it gives back all that the feed holds. */
  readonly listening: Disposable & { readonly waits: Sleeper };
  readonly reader: ResultReader;
}

/** The results of one task on their way to a sink. */
export class ResultFeed implements MessageSender, Rester {
  readonly #sink: MessageSink<StreamResultsResponse>;
  #parts: FeedParts | undefined;

  constructor(sink: MessageSink<StreamResultsResponse>) {
    this.#sink = sink;
  }

  /** Begins. What `open` throws, the sink is told. */
  start(open: () => FeedParts): void {
    try {
      this.#parts = open();
    } catch (error) {
      this.#sink.fail(error);
      return;
    }
    void this.#run(this.#parts, undefined);
  }

  stop(reason: unknown): void {
    this.#parts?.listening.waits.stop(reason);
  }

  woken(reason: WakeReason): void {
    if (this.#parts !== undefined) void this.#run(this.#parts, reason);
  }

  /** Pushes what there is, and rests. Never rejects. */
  async #run(parts: FeedParts, reason: WakeReason | undefined): Promise<void> {
    const { listening, reader } = parts;
    const { waits } = listening;
    try {
      waits.check();
      for await (const message of reader.readOn(reason)) await this.#sink.send(message);
      // Who stops while the last message is on its way wakes nobody: the rest would last until the next sign of life.
      if (!reader.ended) waits.check();
    } catch (error) {
      this.#close(parts);
      this.#sink.fail(error);
      return;
    }
    if (!reader.ended) {
      waits.rest(reader.restMs, this);
      return;
    }
    this.#close(parts);
    this.#sink.end();
  }

  #close(parts: FeedParts): void {
    this.#parts = undefined;
    parts.listening[Symbol.dispose]();
  }
}
