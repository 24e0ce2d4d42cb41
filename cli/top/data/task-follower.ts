// Follows one task for as long as it is on the screen: its events as they come, and why it waits.
import { pause } from "../../../lib/time/pause.ts";
import { type MycelClient, MycelError } from "../../../sdk/client/index.ts";
import { lineOf } from "../../failure.ts";
import { harmless } from "../../output/terminal.ts";
import { isOver, type Story, tell, untoldStory } from "./story.ts";

const EXPLAIN_EVERY_MS = 2_000;

/** What is known of a task that is followed. */
export interface Followed {
  readonly story: Story;
  /** Why it is where it is, in sentences; empty if nobody says. */
  readonly reasons: readonly string[];
  /** Why nothing more is told; undefined while there is no reason. */
  readonly error: string | undefined;
}

/** A task that is followed. Disposing ends that. */
export class TaskFollower implements AsyncDisposable {
  readonly #client: MycelClient;
  readonly #onChange: () => void;
  readonly #closed = new AbortController();
  readonly #ended: Promise<unknown>;
  #followed: Followed;

  /** `onChange` is told of every change, after it. */
  constructor(client: MycelClient, taskId: string, onChange: () => void) {
    this.#client = client;
    this.#onChange = onChange;
    this.#followed = { story: untoldStory(taskId), reasons: [], error: undefined };
    this.#ended = Promise.all([this.#watch(taskId), this.#explain(taskId)]);
  }

  /** What is known by now. */
  get followed(): Followed {
    return this.#followed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#ended;
  }

  async #watch(taskId: string): Promise<void> {
    const { signal } = this.#closed;
    let cursor = "";
    while (!signal.aborted && !isOver(this.#followed.story)) {
      try {
        for await (const event of this.#client.watch(taskId, { cursor, signal })) {
          // A watch that is taken up again begins with a snapshot, which is no news.
          if (event.kind === "snapshot" && cursor !== "") continue;
          cursor = event.cursor;
          this.#become({ story: tell(this.#followed.story, event), error: undefined });
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof MycelError)) throw error;
        this.#become({ error: harmless(lineOf(error)) });
        if (error.code !== "unavailable") return;
        await pause(EXPLAIN_EVERY_MS, signal);
      }
    }
  }

  async #explain(taskId: string): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted && !isOver(this.#followed.story)) {
      try {
        const { explanation } = await this.#client.rpc.explainTask({ taskId }, { signal });
        if (!isOver(this.#followed.story)) {
          this.#become({ reasons: (explanation?.reasons ?? []).map(({ message }) => harmless(message)) });
        }
      } catch (error) {
        if (!(error instanceof MycelError)) throw error;
        if (error.code === "unimplemented" || error.code === "not_found") return;
      }
      await pause(EXPLAIN_EVERY_MS, signal);
    }
    this.#become({ reasons: [] });
  }

  #become(change: Partial<Followed>): void {
    if (this.#closed.signal.aborted) return;
    this.#followed = { ...this.#followed, ...change };
    this.#onChange();
  }
}
