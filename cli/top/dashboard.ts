// The live dashboard: wires keys, looks and frames together, and gives the terminal back as it was.
import { createElement as h, Fragment, type ReactElement } from "react";
import { type Instance, render } from "ink";
import type { ReadStream, WriteStream } from "node:tty";
import { pause } from "../../lib/time/pause.ts";
import { type MycelClient, MycelError } from "../../sdk/client/index.ts";
import { lineOf } from "../failure.ts";
import { harmless } from "../output/terminal.ts";
import { Feed } from "./data/feed.ts";
import type { Focus, Snapshot } from "./data/snapshot.ts";
import { emptySnapshot } from "./data/snapshot.ts";
import { TaskFollower } from "./data/task-follower.ts";
import { Colours } from "./draw/words.ts";
import { useKeys } from "./keys.ts";
import { callLines, type CallTarget } from "./state/calls.ts";
import type { Size } from "./state/layout.ts";
import { type Deed, type Model, type Notice, screenOf, START } from "./state/model.ts";
import { type Effect, type Key, press } from "./state/press.ts";
import { frame } from "./views/frame.ts";
import type { View } from "./views/view.ts";

/** What a dashboard needs. */
export interface DashboardOptions {
  readonly client: MycelClient;
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly colours: boolean;
  /** The time between two looks, in milliseconds. */
  readonly refreshMs: number;
  readonly types: readonly string[];
  /** How far back the metrics reach, in milliseconds. */
  readonly windowMs: number;
  /** Where the calls that are shown would go. */
  readonly target: CallTarget;
  /** Ends it. */
  readonly interrupted: AbortSignal;
}

// Ages and the clock go on between two looks.
const TICK_MS = 1_000;
const PAUSE_REASON = "paused in mycel top";
const CANCEL_REASON = "canceled in mycel top";

/** Shows the mesh until somebody quits. Rejects with what went wrong in the program itself; the mesh may come and go. */
export async function runDashboard(options: DashboardOptions): Promise<void> {
  await using dashboard = new Dashboard(options);
  await dashboard.run();
}

class Dashboard implements AsyncDisposable {
  readonly #options: DashboardOptions;
  readonly #feed: Feed;
  readonly #quit = new AbortController();
  readonly #frames: Instance;
  readonly #onResize = (): void => this.#draw();
  #model: Model;
  #snapshot: Snapshot;
  #follower: TaskFollower | undefined;
  /** Ends the wait for the next look, and the look under way: what is to be looked at has changed. */
  #hurry = new AbortController();
  /** By which ages are told; stands still while the screen is held. */
  #nowMs = Date.now();

  constructor(options: DashboardOptions) {
    const { client, input, output, windowMs, types } = options;
    this.#options = options;
    this.#model = { ...START, types };
    this.#snapshot = emptySnapshot(this.#nowMs);
    this.#feed = new Feed({ client, windowMs, now: () => Date.now() });
    // Before Ink hears of a new size: it would draw the old frame on the new screen.
    output.prependListener("resize", this.#onResize);
    // Before the first frame: the kernel would write keys that are typed by then into it.
    input.setRawMode(true);
    this.#frames = render(this.#tree(), {
      stdin: input,
      stdout: output,
      exitOnCtrlC: false,
      patchConsole: false,
      alternateScreen: true,
      incrementalRendering: true,
      // Both ends were found to be terminals; Ink would take a CI's word over that.
      interactive: true,
    });
  }

  async run(): Promise<void> {
    const { interrupted } = this.#options;
    const ended = this.#frames.waitUntilExit();
    const stop = AbortSignal.any([this.#quit.signal, interrupted]);
    try {
      await Promise.race([ended, Promise.all([this.#look(stop), this.#tick(stop)])]);
    } finally {
      this.#quit.abort();
      this.#frames.unmount();
      await ended;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#options.output.off("resize", this.#onResize);
    this.#quit.abort();
    await this.#follower?.[Symbol.asyncDispose]();
    await this.#feed[Symbol.asyncDispose]();
  }

  async #look(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      this.#hurry = new AbortController();
      const hurry = this.#hurry.signal;
      if (!this.#model.paused) {
        try {
          const look = { types: this.#model.types, focus: focusOf(this.#model) };
          this.#snapshot = await this.#feed.look(look, AbortSignal.any([stop, hurry]));
          this.#draw();
        } catch (error) {
          if (stop.aborted) return;
          if (!hurry.aborted) throw error;
          continue;
        }
      }
      await pause(this.#options.refreshMs, stop, hurry);
    }
  }

  async #tick(stop: AbortSignal): Promise<void> {
    while (await pause(TICK_MS, stop)) this.#draw();
  }

  #press(key: Key): void {
    const sight = { snapshot: this.#snapshot, story: this.#follower?.followed.story };
    const { model, effect } = press(this.#model, key, sight);
    this.#model = model;
    this.#follow();
    if (effect !== undefined) this.#do(effect);
    this.#draw();
  }

  #do(effect: Effect): void {
    if (effect.kind === "quit") return this.#quit.abort();
    if (effect.kind === "look") return this.#hurry.abort();
    // Never rejects: what the mesh answers is said at the foot of the screen.
    void this.#carryOut(effect).then((notice) => {
      this.#model = { ...this.#model, notice };
      this.#hurry.abort();
      this.#draw();
    });
  }

  async #carryOut(deed: Deed): Promise<Notice> {
    const { client } = this.#options;
    const signal = this.#quit.signal;
    try {
      switch (deed.kind) {
        case "cancel":
          await client.cancel(deed.taskId, CANCEL_REASON, { signal });
          return { text: `${deed.taskId} is canceled`, bad: false };
        case "retry": {
          const { task } = await client.retry(deed.taskId, { signal });
          return { text: `submitted again as ${task.taskId}`, bad: false };
        }
        case "pause":
          await client.queues.pauseQueue({ queue: deed.queue, reason: PAUSE_REASON }, { signal });
          return { text: `queue ${deed.queue} is paused`, bad: false };
        case "resume":
          await client.queues.resumeQueue({ queue: deed.queue }, { signal });
          return { text: `queue ${deed.queue} goes on`, bad: false };
      }
    } catch (error) {
      return { text: harmless(error instanceof MycelError ? lineOf(error) : String(error)), bad: true };
    }
  }

  /** Follows the task that is on the screen, and no other. */
  #follow(): void {
    const screen = screenOf(this.#model);
    const taskId = screen.kind === "task" ? screen.taskId : undefined;
    if (taskId === this.#follower?.followed.story.taskId) return;
    void this.#follower?.[Symbol.asyncDispose]();
    this.#follower =
      taskId === undefined ? undefined : new TaskFollower(this.#options.client, taskId, () => this.#draw());
  }

  #draw(): void {
    if (this.#quit.signal.aborted) return;
    this.#frames.rerender(this.#tree());
  }

  #tree(): ReactElement {
    const { colours, output, refreshMs, windowMs, target } = this.#options;
    const { paused } = this.#model;
    if (!paused) this.#nowMs = Date.now();
    const view: View = {
      snapshot: this.#snapshot,
      model: this.#model,
      size: sizeOf(output),
      nowMs: this.#nowMs,
      clock: new Date(this.#nowMs).toLocaleTimeString("en-GB", { hour12: false }),
      refreshMs,
      windowMs,
      followed: this.#follower?.followed,
      calls: this.#model.overlay === "calls" ? callLines(this.#model, windowMs, target) : [],
    };
    return h(Colours, { value: colours }, h(Keyboard, { onKey: (key: Key) => this.#press(key) }), frame(view));
  }
}

function Keyboard({ onKey }: { readonly onKey: (key: Key) => void }): ReactElement {
  useKeys(onKey);
  return h(Fragment);
}

function focusOf(model: Model): Focus | undefined {
  const screen = screenOf(model);
  return screen.kind === "agent" || screen.kind === "queue" ? screen : undefined;
}

function sizeOf({ columns, rows }: WriteStream): Size {
  return { columns, rows };
}
